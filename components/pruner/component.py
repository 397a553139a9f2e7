"""Pruner."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts

from components.checkpoint_io import CompressionSpec
from components.pruner.executor import Executor
from models.config import Pruning


class Pruner(base_component.BaseComponent):
    """Prunes a trained DeepFM by magnitude.

    Args:
      base_model: Channel of a Model with a float checkpoint.
      transformed_examples: Channel of Examples.
      config: JSON of a Pruning.
      training: JSON of the float model's TrainingConfig.
      code_digest: Digest of the executor's code.
    """

    SPEC_CLASS = CompressionSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        base_model: channel.Channel,
        transformed_examples: channel.Channel,
        config: str,
        training: str,
        code_digest: str,
    ) -> None:
        Pruning.model_validate_json(config)
        super().__init__(
            CompressionSpec(
                base_model=base_model,
                transformed_examples=transformed_examples,
                config=config,
                training=training,
                code_digest=code_digest,
                model=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
