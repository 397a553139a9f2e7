"""Logs -> examples -> statistics -> schema -> gate -> transformed examples."""

from __future__ import annotations

import dataclasses

from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.proto import transform_pb2
from tfx.types.channel import BaseChannel

from ranklite.components.log_example_gen.component import LogExampleGen, Span
from ranklite.components.schema_from_config.component import SchemaFromConfig
from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.components.statistics_gen.component import StatisticsGen
from ranklite.components.transform.component import Transform
from ranklite.components.validation_gate.component import ValidationGate
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import code_digest, executor_digest
from ranklite.pipeline.history import STATISTICS, History

LOG_EXAMPLE_GEN = "ranklite.components.log_example_gen.executor"
TRANSFORM_MODULE = "ranklite.components.transform.module"
TRANSFORM_EXECUTOR = "ranklite.components.transform.executor"


@dataclasses.dataclass(frozen=True)
class Ingested:
    """What is known of the log.

    Attributes:
      components: LogExampleGen and StatisticsGen.
      examples: Channel of the Examples.
      statistics: Channel of their ExampleStatistics.
      report: Channel of the IngestReport.
    """

    components: tuple[BaseComponent, ...]
    examples: BaseChannel
    statistics: BaseChannel
    report: BaseChannel


@dataclasses.dataclass(frozen=True)
class Validated:
    """A schema, and the data held to it.

    Attributes:
      components: The schema's component and ValidationGate.
      schema: Channel of the Schema.
      anomalies: Channel of the ExampleAnomalies.
      gate: The component that what needs valid data runs after.
    """

    components: tuple[BaseComponent, ...]
    schema: BaseChannel
    anomalies: BaseChannel
    gate: BaseComponent


@dataclasses.dataclass(frozen=True)
class Transformed:
    """Examples as the model takes them.

    Attributes:
      components: Transform.
      examples: Channel of the transformed Examples.
      graph: Channel of the TransformGraph.
    """

    components: tuple[BaseComponent, ...]
    examples: BaseChannel
    graph: BaseChannel


def ingest(config: RunConfig, data_root: str, rejects_dir: str, span: Span) -> Ingested:
    """LogExampleGen and StatisticsGen."""
    example_gen = LogExampleGen(
        config.ingest,
        data_root=data_root,
        rejects_dir=rejects_dir,
        span=span,
        code_digest=code_digest(LOG_EXAMPLE_GEN, *config.feature_set.modules),
    )
    examples = example_gen.outputs["examples"]
    statistics = StatisticsGen(
        examples=examples,
        stats_options=statistics_options(config.feature_set),
        code_digest=executor_digest(StatisticsGen),
    )
    return Ingested(
        (example_gen, statistics),
        examples,
        statistics.outputs["statistics"],
        example_gen.outputs["report"],
    )


def validate(config: RunConfig, ingested: Ingested, history: History) -> Validated:
    """The schema, given or written from the configuration, and ValidationGate."""
    validation = config.validation.model_dump_json()
    schema_gen = (
        ImportSchemaGen(schema_file=config.schema_file)
        if config.schema_file
        else SchemaFromConfig(
            statistics=ingested.statistics,
            features=config.feature_set.model_dump_json(),
            validation=validation,
            code_digest=executor_digest(SchemaFromConfig, *config.feature_set.modules),
        )
    )
    schema = schema_gen.outputs["schema"]
    gate = ValidationGate(
        statistics=ingested.statistics,
        schema=schema,
        baseline_statistics=history.recall(STATISTICS, ingested.statistics),
        config=validation,
        code_digest=executor_digest(ValidationGate),
    )
    history.attach(
        gate, recalls={"baseline_statistics": STATISTICS}, keeps={STATISTICS: "statistics"}
    )
    return Validated((schema_gen, gate), schema, gate.outputs["anomalies"], gate)


def transform(config: RunConfig, ingested: Ingested, validated: Validated) -> Transformed:
    """Transform, which runs only on data that the gate let pass."""
    component = Transform(
        examples=ingested.examples,
        schema=validated.schema,
        preprocessing_fn=f"{TRANSFORM_MODULE}.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(
            analyze=["train"], transform=list(config.ingest.split_names)
        ),
        disable_statistics=True,
        disable_analyzer_cache=True,  # nothing reads it
        custom_config={
            "features": config.feature_set.model_dump_json(),
            "code_digest": code_digest(
                TRANSFORM_MODULE, TRANSFORM_EXECUTOR, *config.feature_set.modules
            ),
        },
    )
    component.add_upstream_node(validated.gate)
    return Transformed(
        (component,),
        component.outputs["transformed_examples"],
        component.outputs["transform_graph"],
    )
