"""ValidationGate."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components.artifact_types import DataBlessing
from ranklite.components.validation_gate.executor import Executor


class ValidationGateSpec(ComponentSpec):
    """Specification of ValidationGate."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "baseline_statistics": ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
    }
    OUTPUTS = {
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "blessing": ChannelParameter(type=DataBlessing),
    }


class ValidationGate(base_component.BaseComponent):
    """Fails where the data are unfit. TFX's ExampleValidator only writes down what it finds.

    Args:
      statistics: Channel of ExampleStatistics.
      schema: Channel of Schema.
      config: JSON of a ValidationConfig.
      code_digest: Digest of the executor's code.
      label: Name of the label in the Examples.
      baseline_statistics: Channel of the ExampleStatistics that were last accepted.
    """

    SPEC_CLASS = ValidationGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        statistics: channel.Channel,
        schema: channel.Channel,
        config: str,
        code_digest: str,
        label: str = "label",
        baseline_statistics: channel.Channel | None = None,
    ) -> None:
        super().__init__(
            ValidationGateSpec(
                statistics=statistics,
                schema=schema,
                baseline_statistics=baseline_statistics,
                config=config,
                label=label,
                code_digest=code_digest,
                anomalies=channel.Channel(type=standard_artifacts.ExampleAnomalies),
                blessing=channel.Channel(type=DataBlessing),
            )
        )
