"""Applies a recipe, compression steps in order, to a trained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.config import CompressionStep, Distillation, Quantization
from ranklite.models.compression.distillation import distill
from ranklite.models.compression.rounding import quantize
from ranklite.models.compression.technique import Splits, compress
from ranklite.models.compression.techniques import technique
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all steps of all recipes share.

    Attributes:
      features: The configured features.
      splits: Data to train and validate on.
      training: The settings that the float model was trained with.
      teachers: Float models to distil from.
    """

    features: FeatureSet
    splits: Splits
    training: TrainingConfig
    teachers: Sequence[Checkpoint] = ()


def apply(
    step: CompressionStep, checkpoint: Checkpoint, setting: Setting, log_dir: str | None = None
) -> Checkpoint:
    """Applies one step to a model, which is not changed.

    Raises:
      NotCompressible: The step does not fit the model; nothing was trained.
      PostConditionFailed: The result is not what was asked for.
    """
    if isinstance(step, Distillation):
        return distill(
            step,
            setting.teachers,
            setting.features,
            setting.splits,
            setting.training,
            log_dir=log_dir,
        )
    if isinstance(step, Quantization):
        without_control = step.model_copy(update={"control": False})
        return quantize(
            without_control, checkpoint, setting.splits, setting.training, log_dir=log_dir
        )[0]
    return compress(technique(step), checkpoint, setting.splits, setting.training, log_dir=log_dir)
