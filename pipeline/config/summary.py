"""A configuration in one line, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranklite.models.compression.config import Search

if TYPE_CHECKING:
    from ranklite.pipeline.config.run_config import RunConfig


def summary(config: RunConfig) -> str:
    """Its name, kinds of features, split, and the way from the float model to what ships."""
    kinds = [feature.kind for feature in config.features]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    if isinstance(config.compression, Search):
        tried = config.compression.recipes or range(config.compression.trials)
        steps = f"float -> best of {len(tried)} recipes"
    else:
        steps = " -> ".join(["float", *(step.technique for step in config.compression)])
    if config.tune:
        steps = f"settings by a search of {config.tune.length} -> {steps}"
    seeds = f", {config.repeat} seeds" if config.repeat > 1 else ""
    engine = f", on {config.engine.kind}" if config.engine else ""
    return f"{config.name}, {counted}, split by {config.split.by}, {steps}{seeds}{engine}"
