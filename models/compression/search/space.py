"""What the default search varies: the shares of all techniques, together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ranklite.models.compression.config import Recipe, parse_step
from ranklite.models.compression.technique import Dimension
from ranklite.models.compression.techniques import TECHNIQUES, in_order

Point = dict[str, Any]


def dimensions() -> list[Dimension]:
    """The dimensions of all registered techniques, in the order of the registry.

    The sampler's proposals depend on the order: it is that of the registry, not that of a recipe.
    """
    return [dimension for entry in TECHNIQUES.all().values() for dimension in entry.dimensions]


def space() -> dict[str, list[Any]]:
    """The values of each dimension."""
    return {dimension.key: list(dimension.values) for dimension in dimensions()}


def starts() -> list[Point]:
    """Points to begin with, from the gentlest to the harshest."""
    every = dimensions()
    count = max((len(dimension.starts) for dimension in every), default=0)
    return [
        {d.key: d.starts[k] if k < len(d.starts) else d.values[0] for d in every}
        for k in range(count)
    ]


def recipe_at(point: Mapping[str, Any]) -> Recipe:
    """The recipe at a point of the default search space.

    Args:
      point: A value for each dimension, by key.
    """
    steps = {name: entry.step_at(point) for name, entry in in_order().items()}
    return tuple(
        parse_step(json.dumps({"technique": name, **step}))
        for name, step in steps.items()
        if step is not None
    )


def name_of(point: Mapping[str, Any]) -> str:
    """The name of the recipe at a point: `units0.5_rows1_sparsity0_clusters0_int8`."""
    return "_".join(d.label.format(point[d.key]) for d in dimensions())


def searched() -> list[str]:
    """Names of the techniques that take part in the default search."""
    return [name for name, entry in TECHNIQUES.all().items() if entry.dimensions]
