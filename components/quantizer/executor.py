"""Executor of Quantizer."""

from __future__ import annotations

import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components import artifact_io as checkpoint_io
from ranklite.components import run_logs
from ranklite.models.compression.config import Quantization
from ranklite.models.compression.rounding import quantize
from ranklite.models.training.config import TrainingConfig


class Executor(base_executor.BaseExecutor):
    """Quantizes a model."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Calibrates, trains quantization-aware and, as a control, without quantization.

        Args:
          input_dict:
            - base_model: Model with a float checkpoint, pruned or not.
            - transformed_examples: Examples, splits `train` and `eval`.
          output_dict:
            - model: Model with the fake-quantized checkpoint that did better on the eval split,
              trained or only calibrated; its figures are custom properties.
            - control: Model with the float checkpoint that was trained as long.
            - model_run: TensorBoard's logs, `quantized` and `control`.
          exec_properties:
            - config: JSON of a Quantization.
            - training: JSON of the TrainingConfig of the float model.
            - code_digest: Only keys the cache.

        Raises:
          PostConditionFailed: Zeros that pruning left were lost.
        """
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        with run_logs.kept(logs):
            quantized, control = quantize(
                Quantization.model_validate_json(exec_properties["config"]),
                checkpoint_io.load(input_dict["base_model"]),
                checkpoint_io.splits(input_dict["transformed_examples"]),
                TrainingConfig.model_validate_json(exec_properties["training"]),
                log_dir=logs,
            )
        os.makedirs(logs, exist_ok=True)
        checkpoint_io.save(quantized, output_dict["model"])
        checkpoint_io.save(control, output_dict["control"])
