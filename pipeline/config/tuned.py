"""What a search for settings may vary in a run: never what the run would refuse."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ranklite.models.compression.config import CompressionStep
from ranklite.models.compression.techniques import technique
from ranklite.models.search_space import Choice, Point, Space
from ranklite.models.training import tuning_config as tuning

if TYPE_CHECKING:
    from ranklite.pipeline.config.run_config import RunConfig


def search_space(config: RunConfig, recipes: Mapping[str, tuple[CompressionStep, ...]]) -> Space:
    """The values of each setting that a search varies; empty where none is asked for.

    Values that the run refuses are left out, such as an `embedding_dim` that no block of a pruning
    pattern divides.

    Args:
      config: Valid but for its `tune`.
      recipes: Of its compression.

    Raises:
      ValueError: The run cannot be tuned, or nothing is left to search.
    """
    if config.tune is None:
        return {}
    _check_run(config, recipes)
    space: Space = {}
    keys = _keys(config)
    start = tuning.configured(config.model, config.training, keys)
    every = tuning.declared(config.model, config.training)
    for key in keys:
        values = every[key]
        if isinstance(values, Choice):
            allowed = values.including(start[key]).values
            kept = tuple(value for value in allowed if not _refusal(config, {key: value}))
            if len(kept) < 2:
                continue
            values = Choice(values=kept)
        space[key] = values
    if not space:
        raise ValueError(
            f"tune: of {', '.join(keys)} every value but the configured one is refused by the run; "
            "leave more of `model` and `training` out"
        )
    choices = {key: given.values for key, given in space.items() if isinstance(given, Choice)}
    for chosen in itertools.product(*choices.values()):
        point = dict(zip(choices, chosen, strict=True))
        if why := _refusal(config, point):
            shown = ", ".join(f"{key} {value}" for key, value in point.items())
            raise ValueError(f"tune: it could choose {shown}, and then: {why}; give one of these")
    return space


def _check_run(config: RunConfig, recipes: Mapping[str, tuple[CompressionStep, ...]]) -> None:
    """Raises where what a search finds would not be what ships."""
    if config.training.warm_start:
        raise ValueError(
            "tune with training.warm_start: a model that starts warm has the sizes of the one "
            "pushed last; tune once, paste what was chosen, and start warm from then on"
        )
    if config.training.strategy == "multi_worker":
        raise ValueError(
            "tune with training.strategy 'multi_worker': trials train in one process; take "
            "'mirrored' or 'none', or paste what a search on one machine chose"
        )
    if recipes and all(
        any(not technique(step).needs_base for step in steps) for steps in recipes.values()
    ):
        raise ValueError(
            "tune with a recipe that distils: its student and teachers have settings of their own, "
            "and the model that is tuned would not ship; tune without `distill`"
        )


def _keys(config: RunConfig) -> list[str]:
    """The settings to search."""
    every = tuning.declared(config.model, config.training)
    assert config.tune is not None
    if config.tune.keys is None:
        keys = tuning.open_keys(config.model, config.training)
        if not keys:
            raise ValueError(
                f"tune: every setting that it searches is given ({', '.join(every)}): leave one "
                "out, or name it in tune.keys"
            )
        return keys
    unknown = [key for key in config.tune.keys if key not in every]
    if unknown:
        raise ValueError(
            f"tune.keys names {', '.join(map(repr, unknown))}; what can be searched is "
            f"{', '.join(every)}"
        )
    return [key for key in every if key in config.tune.keys]


def _refusal(config: RunConfig, point: Point) -> str:
    """Why the run cannot have some values; empty where it can."""
    try:
        model, training = tuning.merged(config.model, config.training, point)
        given = {key: getattr(config, key) for key in type(config).model_fields}
        changes = {"model": model, "training": training, "tune": None}
        type(config).model_validate({**given, **changes})
    except ValidationError as error:
        return str(error.errors()[0]["msg"].removeprefix("Value error, "))
    return ""
