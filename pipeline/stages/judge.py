"""Keras -> the file of an export target -> judged in the runtime that ships it."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfx.components.evaluator.component import Evaluator
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types.channel import BaseChannel

from ranklite.components.evaluator.eval_config import eval_config
from ranklite.components.exporter.component import Exporter
from ranklite.components.file_validator.component import FileValidator
from ranklite.models.export import TARGETS
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.features.slices import evaluation_slices
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import code_digest, executor_digest
from ranklite.pipeline.history import MODEL, REPORT, History
from ranklite.pipeline.stages.compress import Compressed
from ranklite.pipeline.stages.data import Ingested, Transformed

EVALUATOR_MODULE = "ranklite.components.evaluator.module"
EVALUATOR_METRICS = "ranklite.components.evaluator.metrics"


@dataclasses.dataclass(frozen=True)
class Exported:
    """The files of the stages.

    Attributes:
      components: An Exporter a stage, and one for each further target of the stage that ships.
      files: Channels of the Models by stage, from `float` to the one that ships.
      further: Channels of the Models of the further targets, by target.
    """

    components: tuple[BaseComponent, ...]
    files: dict[str, BaseChannel]
    further: dict[str, BaseChannel] = dataclasses.field(default_factory=dict)

    @property
    def shipped(self) -> BaseChannel:
        """The file of the last stage."""
        return list(self.files.values())[-1]


@dataclasses.dataclass(frozen=True)
class Judged:
    """What was measured of the shipped file, and the verdicts on it.

    Attributes:
      components: The Evaluators and FileValidator.
      verdicts: Channels of blessings and evaluations, by what RunReport and Pusher call them.
      report: Channel of the StageReport.
    """

    components: tuple[BaseComponent, ...]
    verdicts: dict[str, BaseChannel]
    report: BaseChannel


def export(
    config: RunConfig, ingested: Ingested, compressed: Compressed, transformed: Transformed
) -> Exported:
    """Exporters of all stages to the first target, and of the last one to the others."""

    def exporter(stage: str, target: str) -> Exporter:
        return Exporter(
            keras_model=compressed.checkpoints[stage],
            transform_graph=transformed.graph,
            transformed_examples=transformed.examples,
            features=config.feature_set.model_dump_json(),
            stage=stage,
            target=target,
            calibration=config.calibration,
            ingest_report=ingested.report if config.feature_set.stores_state else None,
            code_digest=executor_digest(
                Exporter,
                TARGETS.module(target),
                *config.family_modules,
                *config.feature_set.modules,
            ),
        )

    first, *others = config.targets
    stages = {
        stage: exporter(stage, first).with_id(f"Exporter.{stage}")
        for stage in compressed.checkpoints
    }
    last = list(stages)[-1]
    further = {
        target: exporter(last, target).with_id(f"Exporter.{last}.{target}") for target in others
    }
    return Exported(
        (*stages.values(), *further.values()),
        {stage: component.outputs["model"] for stage, component in stages.items()},
        {target: component.outputs["model"] for target, component in further.items()},
    )


def judge(
    config: RunConfig,
    ingested: Ingested,
    transformed: Transformed,
    compressed: Compressed,
    exported: Exported,
    history: History,
) -> Judged:
    """The Evaluators, which measure against the float parent and the model pushed last, and
    FileValidator, which decides."""
    blessed = history.recall(MODEL, exported.shipped)
    report_split = config.ingest.split_names[-1]  # the test split, where there is one
    evaluator = _evaluator(
        config,
        examples=transformed.examples,
        model=exported.shipped,
        baseline_model=exported.files["float"],
        example_splits=[report_split],
        eval_config=eval_config(
            label=config.feature_set.label,
            signature=SERVING_DEFAULT,
            slices=evaluation_slices(config.feature_set),
        ),
    ).with_id("Evaluator")
    against_blessed = _evaluator(
        config,
        examples=ingested.examples,
        model=exported.shipped,
        baseline_model=blessed,
        example_splits=[report_split],
        eval_config=eval_config(label=config.feature_set.label, signature=SERVING_RAW),
    ).with_id("Evaluator.against_blessed")
    last_report = history.recall(REPORT, exported.shipped)
    history.attach(against_blessed, recalls={"baseline_model": MODEL})
    validator = FileValidator(
        model=exported.shipped,
        keras_model=compressed.smallest,
        float_model=exported.files["float"],
        stage_models=list(exported.files.values())[1:-1],
        further_models=list(exported.further.values()),
        control_model=compressed.control,
        blessed_model=blessed,
        last_report=last_report,
        trials=compressed.trials,
        ingest_report=ingested.report,
        examples=ingested.examples,
        transformed_examples=transformed.examples,
        transform_graph=transformed.graph,
        features=config.feature_set.model_dump_json(),
        gates=config.judged_by.model_dump_json(),
        split=report_split,
        code_digest=executor_digest(
            FileValidator,
            *map(TARGETS.module, config.targets),
            *config.modules,
        ),
    )
    history.attach(validator, recalls={"blessed_model": MODEL, "last_report": REPORT})
    return Judged(
        (evaluator, against_blessed, validator),
        {
            "model_blessing": evaluator.outputs["blessing"],
            "baseline_blessing": against_blessed.outputs["blessing"],
            "infra_blessing": validator.outputs["blessing"],
            "evaluation": evaluator.outputs["evaluation"],
            "baseline_evaluation": against_blessed.outputs["evaluation"],
        },
        validator.outputs["report"],
    )


def _evaluator(config: RunConfig, **arguments: Any) -> Evaluator:
    """TFX's Evaluator with our scoring, its digest among the properties that key the cache."""
    evaluator = Evaluator(module_path=EVALUATOR_MODULE, **arguments)
    evaluator.exec_properties["code_digest"] = code_digest(
        EVALUATOR_MODULE, EVALUATOR_METRICS, TARGETS.module(config.targets[0])
    )
    return evaluator
