"""The pipeline, top to bottom on one page: interaction logs in, a blessed TFLite model out."""

from __future__ import annotations

from typing import Any

from tfx.components.evaluator.component import Evaluator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2
from tfx.types.channel import BaseChannel

from ranklite.components.budget_search.component import BudgetSearch
from ranklite.components.clusterer.component import Clusterer
from ranklite.components.compressor.base import Compressor
from ranklite.components.distiller.component import Distiller
from ranklite.components.evaluator.eval_config import eval_config
from ranklite.components.exporter.component import LiteConverter
from ranklite.components.file_validator.component import LiteValidator
from ranklite.components.log_example_gen.component import Span, make_example_gen
from ranklite.components.log_example_gen.config import NEWEST
from ranklite.components.pruner.component import Pruner
from ranklite.components.pusher.component import Pusher
from ranklite.components.quantizer.component import Quantizer
from ranklite.components.run_report.component import RunReport
from ranklite.components.schema_from_config.component import SchemaFromConfig
from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.components.transform.component import Transform
from ranklite.components.validation_gate.component import ValidationGate
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import STAGES, Search
from ranklite.models.export.tflite_runtime import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.features.slices import evaluation_slices
from ranklite.models.training.config import TrainingConfig
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import code_digest
from ranklite.pipeline.history import CHECKPOINT, MODEL, STATISTICS, History

LOG_EXAMPLE_GEN = "ranklite.components.log_example_gen.executor"
TRANSFORM_MODULE = "ranklite.components.transform.module"
TRANSFORM_EXECUTOR = "ranklite.components.transform.executor"
TRAINER_MODULE = "ranklite.components.trainer.module"
EVALUATOR_MODULE = "ranklite.components.evaluator.module"
COMPRESSORS: dict[str, type[Compressor]] = {
    "prune_rows": Pruner,
    "prune_units": Pruner,
    "prune": Pruner,
    "cluster": Clusterer,
    "quantize": Quantizer,
}


def create_pipeline(
    config: RunConfig,
    *,
    data_root: str,
    pipeline_root: str,
    push_dir: str,
    rejects_dir: str,
    work_dir: str,
    history: History,
    span: Span = NEWEST,
    metadata_path: str | None = None,
    enable_cache: bool = True,
) -> Pipeline:
    """Builds the DAG of a configuration.

    Args:
      config: The validated configuration.
      data_root: Folder that the source's file names are relative to.
      pipeline_root: Folder of TFX's artifacts.
      push_dir: Folder that receives the blessed versions.
      rejects_dir: Folder for the rows of the log that could not be read.
      work_dir: Folder that keeps the finished trials of a search.
      history: Where the artifacts of earlier runs come from.
      span: The newest span of the log to read.
      metadata_path: SQLite file of ML Metadata, for the local runner.
      enable_cache: Serve stages with nothing new from the cache.

    Returns:
      The pipeline, for LocalDagRunner or KubeflowV2DagRunner.
    """
    features = config.feature_set.model_dump_json()
    training = config.fitting.model_dump_json()
    splits = list(config.ingest.split_names)
    report_split = splits[-1]  # the test split, where there is one
    gates = config.judged_by

    # Logs -> examples -> statistics -> schema -> gate
    example_gen = make_example_gen(
        config.ingest,
        data_root=data_root,
        rejects_dir=rejects_dir,
        span=span,
        code_digest=code_digest(LOG_EXAMPLE_GEN),
    )
    examples = example_gen.outputs["examples"]
    statistics = StatisticsGen(
        examples=examples, stats_options=statistics_options(config.feature_set)
    ).outputs["statistics"]
    schema_gen = (
        ImportSchemaGen(schema_file=config.schema_file)
        if config.schema_file
        else SchemaFromConfig(
            statistics=statistics,
            features=features,
            validation=config.validation.model_dump_json(),
            code_digest=_code(SchemaFromConfig),
        )
    )
    schema = schema_gen.outputs["schema"]
    gate = ValidationGate(
        statistics=statistics,
        schema=schema,
        baseline_statistics=history.recall(STATISTICS, statistics),
        config=config.validation.model_dump_json(),
        code_digest=_code(ValidationGate),
    )
    history.attach(
        gate, recalls={"baseline_statistics": STATISTICS}, keeps={STATISTICS: "statistics"}
    )

    # Examples -> fused ids -> DeepFM
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=f"{TRANSFORM_MODULE}.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=splits),
        disable_statistics=True,
        disable_analyzer_cache=True,  # nothing reads it
        custom_config={
            "features": features,
            "code_digest": code_digest(TRANSFORM_MODULE, TRANSFORM_EXECUTOR),
        },
    )
    transform.add_upstream_node(gate)
    transformed = transform.outputs["transformed_examples"]
    graph = transform.outputs["transform_graph"]
    warm = config.training.warm_start
    trainer = _trainer(
        config,
        transformed,
        graph,
        config.model,
        config.fitting,
        base_model=history.recall(CHECKPOINT, transformed) if warm else None,
    )
    if warm:
        history.attach(trainer, recalls={"base_model": CHECKPOINT})
    teachers = [
        _trainer(config, transformed, graph, model, settings).with_id(f"Trainer.teacher_{k}")
        for k, (model, settings) in enumerate(config.teachers)
    ]
    taught_by = [teacher.outputs["model"] for teacher in teachers]

    # DeepFM -> step by step, or by a search, to a smaller one
    checkpoints = {"float": trainer.outputs["model"]}
    compressors: list[BaseComponent] = []
    control = trials = None
    if isinstance(config.compression, Search):
        found = BudgetSearch(
            base_model=trainer.outputs["model"],
            teachers=taught_by,
            transformed_examples=transformed,
            transform_graph=graph,
            config=config.compression.model_dump_json(),
            features=features,
            training=training,
            gates=gates.model_dump_json(),
            work_dir=work_dir,
            code_digest=_code(BudgetSearch),
        )
        compressors, control, trials = [found], found.outputs["control"], found.outputs["trials"]
        checkpoints["chosen"] = found.outputs["model"]
    else:
        for step in config.compression:
            stage = STAGES[step.technique]
            if step.technique == "distill":
                component: BaseComponent = Distiller(
                    teachers=taught_by,
                    transformed_examples=transformed,
                    config=step.model_dump_json(),
                    features=features,
                    training=training,
                    code_digest=_code(Distiller),
                )
            else:
                kind = COMPRESSORS[step.technique]
                component = kind(
                    base_model=list(checkpoints.values())[-1],
                    transformed_examples=transformed,
                    config=step.model_dump_json(),
                    training=training,
                    code_digest=_code(kind),
                ).with_id(_component_id(kind, step.technique))
            compressors.append(component)
            checkpoints[stage] = component.outputs["model"]
            control = component.outputs.get("control")

    # Keras -> TFLite -> judged in the runtime that ships it -> pushed
    converters = {
        stage: LiteConverter(
            keras_model=checkpoint,
            transform_graph=graph,
            features=features,
            stage=stage,
            code_digest=_code(LiteConverter),
        ).with_id(f"LiteConverter.{stage}")
        for stage, checkpoint in checkpoints.items()
    }
    lite = {stage: converter.outputs["model"] for stage, converter in converters.items()}
    shipped = list(lite.values())[-1]
    evaluator = _evaluator(
        examples=transformed,
        model=shipped,
        baseline_model=lite["float"],
        example_splits=[report_split],
        eval_config=eval_config(
            label=config.feature_set.label,
            signature=SERVING_DEFAULT,
            slices=evaluation_slices(config.feature_set),
            min_auc=gates.min_auc,
            max_auc_drop=gates.max_auc_drop,
            max_log_loss=gates.max_log_loss,
            max_log_loss_rise=gates.max_log_loss_rise,
            calibration=(gates.min_calibration, gates.max_calibration),
        ),
    ).with_id("Evaluator")
    against_blessed = _evaluator(
        examples=examples,
        model=shipped,
        baseline_model=history.recall(MODEL, shipped),
        example_splits=[report_split],
        eval_config=eval_config(
            label=config.feature_set.label,
            signature=SERVING_RAW,
            min_auc=gates.min_auc,
            max_auc_drop=gates.max_auc_drop_from_blessed,
            max_log_loss_rise=gates.max_log_loss_rise_from_blessed,
        ),
    ).with_id("Evaluator.against_blessed")
    history.attach(against_blessed, recalls={"baseline_model": MODEL})
    validator = LiteValidator(
        model=shipped,
        keras_model=list(checkpoints.values())[-1],
        float_model=lite["float"],
        stage_models=list(lite.values())[1:-1],
        control_model=control,
        trials=trials,
        examples=examples,
        transformed_examples=transformed,
        transform_graph=graph,
        features=features,
        gates=gates.model_dump_json(),
        split=report_split,
        code_digest=_code(LiteValidator),
    )
    trainings = [
        component.outputs["model_run"]
        for component in (trainer, *teachers, *compressors)
        if "model_run" in component.outputs
    ]
    judged = {
        "model_blessing": evaluator.outputs["blessing"],
        "baseline_blessing": against_blessed.outputs["blessing"],
        "infra_blessing": validator.outputs["blessing"],
        "evaluation": evaluator.outputs["evaluation"],
        "baseline_evaluation": against_blessed.outputs["evaluation"],
    }
    page = RunReport(
        ingest_report=example_gen.outputs.get("report"),  # Beam's reader writes none
        float_checkpoint=checkpoints["float"],
        transform_graph=graph,
        statistics=statistics,
        schema=schema,
        anomalies=gate.outputs["anomalies"],
        stage_report=validator.outputs["report"],
        **judged,
        trainings=trainings,
        config=config.model_dump_json(),
        features=features,
        code_digest=_code(RunReport),
    )
    pusher = Pusher(
        model=shipped,
        **judged,
        stage_report=validator.outputs["report"],
        page=page.outputs["page"],
        float_checkpoint=checkpoints["float"],
        examples=transformed,
        features=features,
        config=config.model_dump_json(),
        push_destination=push_dir,
        keep=config.push.keep or 0,
        code_digest=_code(Pusher),
    )
    history.attach(pusher, keeps={MODEL: "model", CHECKPOINT: "float_checkpoint"})
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=pipeline_root,
        components=[
            example_gen,
            statistics.producer_component,
            schema_gen,
            gate,
            transform,
            trainer,
            *teachers,
            *compressors,
            *converters.values(),
            evaluator,
            against_blessed,
            validator,
            page,
            pusher,
            *history.nodes,
        ],
        enable_cache=enable_cache,
        metadata_connection_config=(
            sqlite_metadata_connection_config(metadata_path) if metadata_path else None
        ),
        beam_pipeline_args=list(config.beam.pipeline_args),
    )


def _trainer(
    config: RunConfig,
    transformed: BaseChannel,
    graph: BaseChannel,
    model: DeepFMConfig,
    training: TrainingConfig,
    base_model: BaseChannel | None = None,
) -> Trainer:
    """TFX's Trainer of a float DeepFM."""
    return Trainer(
        run_fn=f"{TRAINER_MODULE}.run_fn",
        examples=transformed,
        transform_graph=graph,
        base_model=base_model,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={
            "features": config.feature_set.model_dump_json(),
            "model": model.model_dump_json(),
            "training": training.model_dump_json(),
            "code_digest": code_digest(TRAINER_MODULE),
        },
    )


def _component_id(kind: type[BaseComponent], technique: str) -> str:
    """`Pruner` for `prune`, `Pruner.units` for `prune_units`."""
    _, _, part = technique.partition("_")
    return f"{kind.__name__}.{part}" if part else kind.__name__


def _code(component: type[BaseComponent]) -> str:
    """Digest of the code that a component runs: edited code is never served from the cache."""
    return code_digest(component.__module__.replace(".component", ".executor"))


def _evaluator(**arguments: Any) -> Evaluator:
    """TFX's Evaluator with our scoring, its digest among the properties that key the cache."""
    evaluator = Evaluator(module_path=EVALUATOR_MODULE, **arguments)
    evaluator.exec_properties["code_digest"] = code_digest(EVALUATOR_MODULE)
    return evaluator
