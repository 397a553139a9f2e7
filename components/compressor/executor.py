"""Executor of Compressor."""

from __future__ import annotations

import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components import artifact_io, finished_trials, run_logs, unfinished
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.techniques import from_json
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.config import TrainingConfig

_KEYS = ("config", "features", "training", "code_digest")  # of the properties


class Executor(base_executor.BaseExecutor):
    """Applies a technique."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Compresses a model with the technique that its configuration names.

        Its trainings resume where they were killed.

        Args:
          input_dict:
            - base_model: Model with a checkpoint, where the technique needs one.
            - teacher_0, ...: Models with float checkpoints, where it needs teachers.
            - transformed_examples: Examples, splits `train` and `eval`.
          output_dict:
            - model: Model with the compressed checkpoint; its figures are its custom properties.
            - control: Model with the float checkpoint that it is to be compared with, where the
              technique has one.
            - model_run: TensorBoard's logs.
          exec_properties:
            - config: JSON of the step.
            - features: JSON of the FeatureSet, where the technique needs it.
            - training: JSON of the TrainingConfig of the float model, where no checkpoint says it:
              a search may have chosen other settings than the configured ones.
            - code_digest: Keys the cache and what a killed training resumes from.

        Raises:
          NotCompressible: The technique does not fit the model; nothing was trained.
          PostConditionFailed: The result is not what was asked for.
        """
        technique = from_json(exec_properties["config"])
        base = artifact_io.load(input_dict["base_model"]) if technique.needs_base else None
        features = exec_properties.get("features")
        setting = artifact_io.setting(
            input_dict,
            FeatureSet.model_validate_json(features) if features else None,
            (base and base.training)
            or TrainingConfig.model_validate_json(exec_properties["training"]),
        )
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        told = (str(exec_properties.get(key)) for key in _KEYS)
        with unfinished.resumed(logs, finished_trials.digest(input_dict, *told)):
            with run_logs.kept(logs):
                made = apply(technique, base, setting, logs)
            os.makedirs(logs, exist_ok=True)
            artifact_io.save(made.model, output_dict["model"])
            if made.control is not None:
                artifact_io.save(made.control, output_dict["control"])
