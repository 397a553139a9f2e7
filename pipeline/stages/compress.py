"""A float model -> step by step, or by a search, to a smaller one."""

from __future__ import annotations

import dataclasses

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types.channel import BaseChannel

from ranklite.components.budget_search.component import BudgetSearch
from ranklite.components.clusterer.component import Clusterer
from ranklite.components.compressor.base import Compressor
from ranklite.components.distiller.component import Distiller
from ranklite.components.pruner.component import Pruner
from ranklite.components.quantizer.component import Quantizer
from ranklite.models.compression.config import STAGES, CompressionStep, Search
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import executor_digest
from ranklite.pipeline.stages.data import Transformed
from ranklite.pipeline.stages.train import Trained

COMPRESSORS: dict[str, type[Compressor]] = {
    "prune_rows": Pruner,
    "prune_units": Pruner,
    "prune": Pruner,
    "cluster": Clusterer,
    "quantize": Quantizer,
}


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A model on its way to the smallest one.

    Attributes:
      components: The compressors in order, or BudgetSearch.
      checkpoints: Channels of the Models by stage, from `float` to the one that ships.
      control: Channel of the quantized model's float control, where there is one.
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
    config: RunConfig, transformed: Transformed, trained: Trained, work_dir: str
) -> Compressed:
    """The steps of the recipe, or the search for one within a budget."""
    if isinstance(config.compression, Search):
        return _search(config, config.compression, transformed, trained, work_dir)
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
    config: RunConfig, search: Search, transformed: Transformed, trained: Trained, work_dir: str
) -> Compressed:
    component = BudgetSearch(
        base_model=trained.model,
        teachers=trained.teachers,
        transformed_examples=transformed.examples,
        transform_graph=transformed.graph,
        config=search.model_dump_json(),
        features=config.feature_set.model_dump_json(),
        training=config.fitting.model_dump_json(),
        gates=config.judged_by.model_dump_json(),
        work_dir=work_dir,
        code_digest=executor_digest(BudgetSearch, *config.family_modules),
    )
    return Compressed(
        (component,),
        {"float": trained.model, "chosen": component.outputs["model"]},
        control=component.outputs["control"],
        trials=component.outputs["trials"],
    )


def _compressor(
    config: RunConfig,
    step: CompressionStep,
    transformed: Transformed,
    trained: Trained,
    base_model: BaseChannel,
) -> BaseComponent:
    training = config.fitting.model_dump_json()
    if step.technique == "distill":
        return Distiller(
            teachers=trained.teachers,
            transformed_examples=transformed.examples,
            config=step.model_dump_json(),
            features=config.feature_set.model_dump_json(),
            training=training,
            code_digest=executor_digest(Distiller, *config.family_modules),
        )
    kind = COMPRESSORS[step.technique]
    return kind(
        base_model=base_model,
        transformed_examples=transformed.examples,
        config=step.model_dump_json(),
        training=training,
        code_digest=executor_digest(kind, *config.family_modules),
    ).with_id(_component_id(kind, step.technique))


def _component_id(kind: type[BaseComponent], technique: str) -> str:
    """`Pruner` for `prune`, `Pruner.units` for `prune_units`."""
    _, _, part = technique.partition("_")
    return f"{kind.__name__}.{part}" if part else kind.__name__
