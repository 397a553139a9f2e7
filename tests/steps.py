"""Single steps of a recipe, applied to a model: what the tests of several rooms share."""

from __future__ import annotations

from collections.abc import Sequence

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques.distill import Distill, Distillation
from ranklite.models.compression.techniques.quantize import Quantization, Quantize
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits


def quantize(
    config: Quantization, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
) -> tuple[Checkpoint, Checkpoint]:
    """The quantized model and its float control."""
    made = Quantize(config).apply(checkpoint, Setting(None, splits, training))
    assert made.control is not None
    return made.model, made.control


def distill(
    config: Distillation,
    teachers: Sequence[Checkpoint],
    features: FeatureSet,
    splits: Splits,
    training: TrainingConfig,
) -> Checkpoint:
    """The student."""
    setting = Setting(features, splits, training, teachers)
    return Distill(config).apply(None, setting).model
