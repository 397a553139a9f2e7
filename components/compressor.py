"""What Pruner and Quantizer are: a component that makes a smaller model of a model."""

from __future__ import annotations

from tfx.dsl.components.base import base_component
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from models.config import Strict


class CompressorSpec(ComponentSpec):
    """What goes into and comes out of a compressor."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "training": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "base_model": ChannelParameter(type=standard_artifacts.Model),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Compressor(base_component.BaseComponent):
    """Base of the components that compress a checkpoint.

    Args:
      base_model: Channel of a Model with a float checkpoint.
      transformed_examples: Channel of Examples.
      config: JSON of the step's configuration, a `CONFIG`.
      training: JSON of the float model's TrainingConfig.
      code_digest: Digest of the executor's code.
    """

    SPEC_CLASS = CompressorSpec
    CONFIG: type[Strict]

    def __init__(
        self,
        base_model: channel.Channel,
        transformed_examples: channel.Channel,
        config: str,
        training: str,
        code_digest: str,
    ) -> None:
        self.CONFIG.model_validate_json(config)
        outputs = {
            key: channel.Channel(type=output.type)
            for key, output in self.SPEC_CLASS.OUTPUTS.items()
        }
        super().__init__(
            self.SPEC_CLASS(
                base_model=base_model,
                transformed_examples=transformed_examples,
                config=config,
                training=training,
                code_digest=code_digest,
                **outputs,
            )
        )
