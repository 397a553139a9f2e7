"""Where `repeat` asks for it: the same training and compression with other seeds."""

from __future__ import annotations

import dataclasses
import json

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types.channel import BaseChannel

from ranklite.components.seed_repeats.component import SeedRepeats
from ranklite.models.compression.config import Search
from ranklite.models.compression.techniques import modules
from ranklite.models.export import TARGETS
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import executor_digest
from ranklite.pipeline.stages.compress import Compressed, tried
from ranklite.pipeline.stages.data import Ingested, Transformed
from ranklite.pipeline.stages.train import Trained


@dataclasses.dataclass(frozen=True)
class Repeated:
    """What other seeds came to.

    Attributes:
      components: SeedRepeats, where it runs.
      seeds: Channel of its SeedFigures.
    """

    components: tuple[BaseComponent, ...] = ()
    seeds: BaseChannel | None = None


def repeat(
    config: RunConfig,
    ingested: Ingested,
    transformed: Transformed,
    trained: Trained,
    compressed: Compressed,
    work_dir: str,
) -> Repeated:
    """SeedRepeats, of the configured recipe or the one that a search chose."""
    if config.repeat == 1:
        return Repeated()
    steps = () if isinstance(config.compression, Search) else config.compression
    component = SeedRepeats(
        base_model=trained.model,
        teachers=trained.teachers,
        transformed_examples=transformed.examples,
        transform_graph=transformed.graph,
        ingest_report=ingested.report if config.feature_set.stores_state else None,
        trials=compressed.trials,
        repeat=config.repeat,
        steps=json.dumps([step.model_dump(mode="json") for step in steps]),
        features=config.feature_set.model_dump_json(),
        split=config.ingest.split_names[-1],  # the one that FileValidator judges
        target=config.targets[0],
        calibration=config.calibration,
        work_dir=f"{work_dir}-seeds",  # BudgetSearch keeps nothing of others in its own
        code_digest=executor_digest(
            SeedRepeats,
            TARGETS.module(config.targets[0]),
            *config.modules,
            *modules(tried(config.compression)),
        ),
    )
    return Repeated((component,), component.outputs["seeds"])
