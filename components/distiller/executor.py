"""Executor of Distiller."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components import artifact_io as checkpoint_io
from ranklite.components import repeated_inputs as numbered
from ranklite.components import run_logs
from ranklite.models.compression.config import Distillation
from ranklite.models.compression.distillation import distill
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.config import TrainingConfig


class Executor(base_executor.BaseExecutor):
    """Distils teachers into a student."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains the student.

        Args:
          input_dict:
            - teacher_0, ...: Models with float checkpoints.
            - transformed_examples: Examples, splits `train` and `eval`.
          output_dict:
            - model: Model with the student's checkpoint; its figures and the teachers' are custom
              properties.
            - model_run: TensorBoard's logs.
          exec_properties:
            - config: JSON of a Distillation.
            - features: JSON of a FeatureSet.
            - training: JSON of the TrainingConfig of the teachers.
            - code_digest: Only keys the cache.

        Raises:
          NotCompressible: The teachers do not fit together.
        """
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        with run_logs.kept(logs):
            student = distill(
                Distillation.model_validate_json(exec_properties["config"]),
                [checkpoint_io.load([t]) for t in numbered.artifacts("teacher", input_dict)],
                FeatureSet.model_validate_json(exec_properties["features"]),
                checkpoint_io.splits(input_dict["transformed_examples"]),
                TrainingConfig.model_validate_json(exec_properties["training"]),
                log_dir=logs,
            )
        checkpoint_io.save(student, output_dict["model"])
