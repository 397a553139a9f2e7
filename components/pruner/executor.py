"""Executor of Pruner."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components import checkpoint_io
from models.compression import compress, technique
from models.config import Pruning, TrainingConfig


class Executor(base_executor.BaseExecutor):
    """Prunes a model."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Prunes while fine-tuning.

        Args:
          input_dict:
            - base_model: Model with a float checkpoint.
            - transformed_examples: Examples, splits `train` and `eval`.
          output_dict:
            - model: Model with the pruned checkpoint; sparsity and the validation figures before
              and after are its custom properties.
            - model_run: TensorBoard's logs.
          exec_properties:
            - config: JSON of a Pruning.
            - training: JSON of the TrainingConfig of the float model.
            - code_digest: Only keys the cache.

        Raises:
          NotCompressible: The pattern does not fit the model.
          PostConditionFailed: The zeros are not there.
        """
        pruned = compress(
            technique(Pruning.model_validate_json(exec_properties["config"])),
            checkpoint_io.load(input_dict["base_model"]),
            checkpoint_io.splits(input_dict["transformed_examples"]),
            TrainingConfig.model_validate_json(exec_properties["training"]),
            log_dir=artifact_utils.get_single_uri(output_dict["model_run"]),
        )
        checkpoint_io.save(pruned, output_dict["model"])
