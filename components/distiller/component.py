"""Distiller."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs as numbered
from ranklite.components.distiller.executor import Executor
from ranklite.models.compression.config import MAX_TEACHERS, Distillation


class DistillerSpec(ComponentSpec):
    """Specification of Distiller."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "features": ExecutionParameter(type=str),
        "training": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        **numbered.parameters("teacher", standard_artifacts.Model, MAX_TEACHERS),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Distiller(base_component.BaseComponent):
    """Trains a student on the labels and on what an ensemble of teachers says.

    Args:
      teachers: Channels of Models with float checkpoints.
      transformed_examples: Channel of Examples.
      config: JSON of a Distillation.
      features: JSON of a FeatureSet.
      training: JSON of the teachers' TrainingConfig.
      code_digest: Digest of the executor's code.
    """

    SPEC_CLASS = DistillerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        teachers: Sequence[channel.BaseChannel],
        transformed_examples: channel.Channel,
        config: str,
        features: str,
        training: str,
        code_digest: str,
    ) -> None:
        Distillation.model_validate_json(config)
        super().__init__(
            DistillerSpec(
                **numbered.channels("teacher", teachers),
                transformed_examples=transformed_examples,
                config=config,
                features=features,
                training=training,
                code_digest=code_digest,
                model=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
