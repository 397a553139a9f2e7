"""SchemaFromConfig."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components.schema_from_config.executor import Executor


class SchemaFromConfigSpec(ComponentSpec):
    """Specification of SchemaFromConfig."""

    PARAMETERS = {
        "features": ExecutionParameter(type=str),
        "validation": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {"statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics)}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class SchemaFromConfig(base_component.BaseComponent):
    """Makes a schema of what the configuration promises; an inferred one would promise nothing.

    Args:
      statistics: Channel of ExampleStatistics.
      features: JSON of a FeatureSet.
      validation: JSON of a ValidationConfig.
      code_digest: Digest of the executor's code.
    """

    SPEC_CLASS = SchemaFromConfigSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, statistics: channel.Channel, features: str, validation: str, code_digest: str
    ) -> None:
        super().__init__(
            SchemaFromConfigSpec(
                statistics=statistics,
                features=features,
                validation=validation,
                code_digest=code_digest,
                schema=channel.Channel(type=standard_artifacts.Schema),
            )
        )
