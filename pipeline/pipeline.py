"""The pipeline, top to bottom on one page: interaction logs in, a blessed TFLite model out."""

from __future__ import annotations

from typing import Any

from tfx.components.evaluator.component import Evaluator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.evaluator.eval_config import eval_config
from components.lite_converter.component import LiteConverter
from components.lite_validator.component import LiteValidator
from components.log_example_gen.component import make_example_gen
from components.pruner.component import Pruner
from components.pusher.component import Pusher
from components.quantizer.component import Quantizer
from components.resolvers import LastAcceptedStatistics, LastPushedModel
from components.schema_from_config.component import SchemaFromConfig
from components.schema_from_config.statistics import statistics_options
from components.validation_gate.artifacts import DataBlessing
from components.validation_gate.component import ValidationGate
from models.lite import SERVING_DEFAULT, SERVING_RAW
from models.preprocessing import evaluation_slices
from pipeline.config import RunConfig
from pipeline.digest import code_digest

LOG_EXAMPLE_GEN = "components.log_example_gen.executor"
TRANSFORM_MODULE = "components.transform.module"
TRAINER_MODULE = "components.trainer.module"
EVALUATOR_MODULE = "components.evaluator.module"
COMPRESSORS: dict[str, tuple[type[Pruner] | type[Quantizer], str]] = {
    "prune": (Pruner, "pruned"),
    "quantize": (Quantizer, "quantized"),
}


def create_pipeline(
    config: RunConfig,
    *,
    data_root: str,
    pipeline_root: str,
    metadata_path: str,
    push_dir: str,
    rejects_dir: str,
    enable_cache: bool = True,
) -> Pipeline:
    """Builds the DAG of a configuration.

    Args:
      config: The validated configuration.
      data_root: Folder that the source's file names are relative to.
      pipeline_root: Folder of TFX's artifacts.
      metadata_path: SQLite file of ML Metadata.
      push_dir: Folder that receives the blessed versions.
      rejects_dir: Folder for the rows of the log that could not be read.
      enable_cache: Serve stages with nothing new from the cache.

    Returns:
      The pipeline, for LocalDagRunner.
    """
    features = config.feature_set.model_dump_json()
    training = config.fitting.model_dump_json()
    splits = list(config.ingest.split_names)
    report_split = splits[-1]  # the test split, where there is one
    gates = config.gates

    # Logs -> examples -> statistics -> schema -> gate
    example_gen = make_example_gen(
        config.ingest,
        data_root=data_root,
        rejects_dir=rejects_dir,
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
    last_accepted = Resolver(
        strategy_class=LastAcceptedStatistics,
        current=statistics,
        candidates=Channel(type=standard_artifacts.ExampleStatistics),
        blessings=Channel(type=DataBlessing),
    ).with_id("LastAcceptedStatistics")
    gate = ValidationGate(
        statistics=statistics,
        schema=schema,
        baseline_statistics=last_accepted.outputs["candidates"],
        config=config.validation.model_dump_json(),
        code_digest=_code(ValidationGate),
    )

    # Examples -> fused ids -> DeepFM -> pruned -> quantized
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=f"{TRANSFORM_MODULE}.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=splits),
        disable_statistics=True,
        disable_analyzer_cache=True,  # nothing reads it
        custom_config={"features": features, "code_digest": code_digest(TRANSFORM_MODULE)},
    )
    transform.add_upstream_node(gate)
    transformed = transform.outputs["transformed_examples"]
    graph = transform.outputs["transform_graph"]
    trainer = Trainer(
        run_fn=f"{TRAINER_MODULE}.run_fn",
        examples=transformed,
        transform_graph=graph,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={
            "features": features,
            "model": config.model.model_dump_json(),
            "training": training,
            "code_digest": code_digest(TRAINER_MODULE),
        },
    )
    checkpoints = {"float": trainer.outputs["model"]}
    compressors: dict[str, Pruner | Quantizer] = {}
    for step in config.compression:
        component, stage = COMPRESSORS[step.technique]
        compressors[stage] = component(
            base_model=list(checkpoints.values())[-1],
            transformed_examples=transformed,
            config=step.model_dump_json(),
            training=training,
            code_digest=_code(component),
        )
        checkpoints[stage] = compressors[stage].outputs["model"]

    # Keras -> TFLite -> judged in the runtime that ships it -> pushed
    converters = {
        stage: LiteConverter(
            keras_model=checkpoint,
            transform_graph=graph,
            features=features,
            code_digest=_code(LiteConverter),
        ).with_id(f"LiteConverter.{stage}")
        for stage, checkpoint in checkpoints.items()
    }
    lite = {stage: converter.outputs["model"] for stage, converter in converters.items()}
    shipped = list(lite.values())[-1]
    last_pushed = Resolver(
        strategy_class=LastPushedModel,
        current=shipped,
        candidates=Channel(type=standard_artifacts.Model),
        pushed=Channel(type=standard_artifacts.PushedModel),
    ).with_id("LastPushedModel")
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
        baseline_model=last_pushed.outputs["candidates"],
        example_splits=[report_split],
        eval_config=eval_config(
            label=config.feature_set.label,
            signature=SERVING_RAW,
            min_auc=gates.min_auc,
            max_auc_drop=gates.max_auc_drop_from_blessed,
            max_log_loss_rise=gates.max_log_loss_rise_from_blessed,
        ),
    ).with_id("Evaluator.against_blessed")
    validator = LiteValidator(
        model=shipped,
        keras_model=list(checkpoints.values())[-1],
        float_model=lite["float"],
        pruned_model=lite.get("pruned"),
        control_model=(
            compressors["quantized"].outputs["control"] if "quantized" in compressors else None
        ),
        examples=examples,
        transformed_examples=transformed,
        transform_graph=graph,
        features=features,
        gates=gates.model_dump_json(),
        split=report_split,
        code_digest=_code(LiteValidator),
    )
    pusher = Pusher(
        model=shipped,
        model_blessing=evaluator.outputs["blessing"],
        baseline_blessing=against_blessed.outputs["blessing"],
        infra_blessing=validator.outputs["blessing"],
        stage_report=validator.outputs["report"],
        features=features,
        config=config.model_dump_json(),
        push_destination=push_dir,
        keep=config.push.keep or 0,
        code_digest=_code(Pusher),
    )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=pipeline_root,
        components=[
            example_gen,
            statistics.producer_component,
            schema_gen,
            last_accepted,
            gate,
            transform,
            trainer,
            *compressors.values(),
            *converters.values(),
            last_pushed,
            evaluator,
            against_blessed,
            validator,
            pusher,
        ],
        enable_cache=enable_cache,
        metadata_connection_config=sqlite_metadata_connection_config(metadata_path),
        beam_pipeline_args=list(config.beam.pipeline_args),
    )


def _code(component: type[BaseComponent]) -> str:
    """Digest of the code that a component runs: edited code is never served from the cache."""
    return code_digest(component.__module__.replace(".component", ".executor"))


def _evaluator(**arguments: Any) -> Evaluator:
    """TFX's Evaluator with our scoring, its digest among the properties that key the cache."""
    evaluator = Evaluator(module_path=EVALUATOR_MODULE, **arguments)
    evaluator.exec_properties["code_digest"] = code_digest(EVALUATOR_MODULE)
    return evaluator
