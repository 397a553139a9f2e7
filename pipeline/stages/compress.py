"""A float model -> step by step, or by a search, to a smaller one."""

from __future__ import annotations

import dataclasses

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types.channel import BaseChannel

from ranklite.components.budget_search.component import BudgetSearch
from ranklite.components.compressor.component import Compressor
from ranklite.models.compression.config import STAGES, Compression, CompressionStep, Search
from ranklite.models.compression.search.space import searched
from ranklite.models.compression.techniques import modules
from ranklite.models.export import TARGETS
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import executor_digest
from ranklite.pipeline.stages.data import Ingested, Transformed
from ranklite.pipeline.stages.train import Trained


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A model on its way to the smallest one.

    Attributes:
      components: The compressors in order, or BudgetSearch.
      checkpoints: Channels of the Models by stage, from `float` to the one that ships.
      control: Channel of the float model that the last one is compared with, where there is one.
      trials: Channel of a search's Trials.
    """

    components: tuple[BaseComponent, ...]
    checkpoints: dict[str, BaseChannel]
    control: BaseChannel | None = None
    trials: BaseChannel | None = None

    @property
    def smallest(self) -> BaseChannel:
        """The Model of the last stage, which ships."""
        return list(self.checkpoints.values())[-1]


def compress(
    config: RunConfig,
    ingested: Ingested,
    transformed: Transformed,
    trained: Trained,
    work_dir: str,
) -> Compressed:
    """The steps of the recipe, or the search for one within a budget."""
    if isinstance(config.compression, Search):
        return _search(config, config.compression, ingested, transformed, trained, work_dir)
    compressed = Compressed((), {"float": trained.model})
    for step in config.compression:
        component = _compressor(config, step, transformed, trained, compressed.smallest)
        compressed = Compressed(
            (*compressed.components, component),
            {**compressed.checkpoints, STAGES[step.technique]: component.outputs["model"]},
            control=component.outputs.get("control"),
        )
    return compressed


def _search(
    config: RunConfig,
    search: Search,
    ingested: Ingested,
    transformed: Transformed,
    trained: Trained,
    work_dir: str,
) -> Compressed:
    component = BudgetSearch(
        base_model=trained.model,
        teachers=trained.teachers,
        transformed_examples=transformed.examples,
        transform_graph=transformed.graph,
        ingest_report=ingested.report if config.feature_set.stores_state else None,
        config=search.model_dump_json(),
        features=config.feature_set.model_dump_json(),
        training=config.fitting.model_dump_json(),
        gates=config.judged_by.model_dump_json(),
        target=config.targets[0],
        calibration=config.calibration,
        work_dir=work_dir,
        code_digest=executor_digest(
            BudgetSearch,
            TARGETS.module(config.targets[0]),
            *config.modules,
            *modules(tried(search)),
        ),
    )
    return Compressed(
        (component,),
        {"float": trained.model, "chosen": component.outputs["model"]},
        control=component.outputs["control"],
        trials=component.outputs["trials"],
    )


def tried(compression: Compression) -> list[str]:
    """Names of the techniques that a recipe, or the recipes of a search, are made of."""
    if not isinstance(compression, Search):
        return [step.technique for step in compression]
    if compression.recipes is None:
        return searched()
    return [step.technique for recipe in compression.recipes.values() for step in recipe]


def _compressor(
    config: RunConfig,
    step: CompressionStep,
    transformed: Transformed,
    trained: Trained,
    base_model: BaseChannel,
) -> Compressor:
    return Compressor(
        base_model=base_model,
        teachers=trained.teachers,
        transformed_examples=transformed.examples,
        config=step.model_dump_json(),
        features=config.feature_set.model_dump_json(),
        training=config.fitting.model_dump_json(),
        code_digest=executor_digest(
            Compressor,
            *config.modules,
            *modules([step.technique]),
        ),
    )
