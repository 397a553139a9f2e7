"""Quantizer."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.checkpoint_io import CompressionSpec
from components.quantizer.executor import Executor
from models.config import Quantization


class QuantizerSpec(CompressionSpec):
    """Specification of Quantizer."""

    OUTPUTS = {
        **CompressionSpec.OUTPUTS,
        "control": ChannelParameter(type=standard_artifacts.Model),
    }


class Quantizer(base_component.BaseComponent):
    """Quantizes a DeepFM to int8.

    Args:
      base_model: Channel of a Model with a float checkpoint, pruned or not.
      transformed_examples: Channel of Examples.
      config: JSON of a Quantization.
      training: JSON of the float model's TrainingConfig.
      code_digest: Digest of the executor's code.
    """

    SPEC_CLASS = QuantizerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        base_model: channel.Channel,
        transformed_examples: channel.Channel,
        config: str,
        training: str,
        code_digest: str,
    ) -> None:
        Quantization.model_validate_json(config)
        super().__init__(
            QuantizerSpec(
                base_model=base_model,
                transformed_examples=transformed_examples,
                config=config,
                training=training,
                code_digest=code_digest,
                model=channel.Channel(type=standard_artifacts.Model),
                control=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
