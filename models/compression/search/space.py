"""What the default search varies: the shares of all techniques, together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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


def space(fits: Callable[[Recipe], bool] | None = None) -> dict[str, list[Any]]:
    """The values of each dimension.

    Args:
      fits: Whether a recipe fits the model. A value that does not, beside the first ones of all
        other dimensions, is left out: a model without hidden layers has no units to remove.
    """
    every = dimensions()
    gentlest = {dimension.key: dimension.values[0] for dimension in every}

    def fitting(dimension: Dimension) -> list[Any]:
        first, *others = dimension.values
        if fits is not None:
            others = [v for v in others if fits(recipe_at({**gentlest, dimension.key: v}))]
        return [first, *others]

    return {dimension.key: fitting(dimension) for dimension in every}


def starts(varied: Mapping[str, list[Any]] | None = None) -> list[Point]:
    """Points to begin with, from the gentlest to the harshest, each once.

    Args:
      varied: The values that are left, from `space`; the first takes the place of one that is not.
    """
    every, varied = dimensions(), varied or space()

    def value(dimension: Dimension, k: int) -> Any:
        given = dimension.starts[k] if k < len(dimension.starts) else None
        return given if given in varied[dimension.key] else dimension.values[0]

    count = max((len(dimension.starts) for dimension in every), default=0)
    points = [{dimension.key: value(dimension, k) for dimension in every} for k in range(count)]
    return [point for k, point in enumerate(points) if point not in points[:k]]


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
