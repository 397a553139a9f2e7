"""Compressor."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs
from ranklite.components.compressor.executor import Executor
from ranklite.models.compression.technique import MAX_TEACHERS
from ranklite.models.compression.techniques import from_json


class CompressorSpec(ComponentSpec):
    """What may go into and come out of a compressor; what does, its technique says."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "features": ExecutionParameter(type=str, optional=True),
        "training": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "base_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        **repeated_inputs.parameters("teacher", standard_artifacts.Model, MAX_TEACHERS),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "control": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Compressor(base_component.BaseComponent):
    """Applies one compression technique; its node has the id that the technique says.

    Of the inputs, the node reads those that the technique needs. It has an output `control` where
    the technique has one.

    Args:
      transformed_examples: Channel of Examples.
      config: JSON of a step of a registered technique.
      training: JSON of the float model's TrainingConfig.
      code_digest: Digest of the executor's and the technique's code.
      base_model: Channel of a Model with the checkpoint of the stage before.
      teachers: Channels of float Models.
      features: JSON of a FeatureSet.

    Raises:
      UnknownEntry: The step's technique is not registered.
    """

    SPEC_CLASS = CompressorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        transformed_examples: channel.BaseChannel,
        config: str,
        training: str,
        code_digest: str,
        base_model: channel.BaseChannel | None = None,
        teachers: Sequence[channel.BaseChannel] = (),
        features: str | None = None,
    ) -> None:
        technique = from_json(config)
        given: dict[str, object] = {}
        if technique.needs_base:
            given["base_model"] = base_model
        if technique.needs_teachers:
            given |= repeated_inputs.channels("teacher", teachers)
        if technique.needs_features:
            given["features"] = features
        if technique.has_control:
            given["control"] = channel.Channel(type=standard_artifacts.Model)
        super().__init__(
            CompressorSpec(
                **given,
                transformed_examples=transformed_examples,
                config=config,
                training=training,
                code_digest=code_digest,
                model=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
        self.with_id(technique.component)
