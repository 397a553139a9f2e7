"""A float model from scratch, as the Trainer makes it: for notebooks and for other seeds."""

from __future__ import annotations

from typing import Any

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import fit
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits


def trained(
    layout: FeatureLayout,
    config: FamilySettings,
    training: TrainingConfig,
    splits: Splits,
    log_dir: str | None = None,
) -> Checkpoint:
    """Builds a model and trains it; what comes of it is plain float32.

    Args:
      layout: Where the features live in its inputs.
      config: Its family and sizes.
      training: How it is trained; `warm_start` is left aside.
      splits: Data to train and validate on.
      log_dir: Folder for TensorBoard; None logs nothing.

    Raises:
      TrainingFailed: The loss is not finite, or a split is of no use.
    """
    model = fit.build(layout, config, training)
    metrics: dict[str, Any] = fit.fit(
        model, layout, splits.train, splits.eval, training, log_dir=log_dir
    )
    if training.precision != "float32" or training.strategy != "none":
        model = fit.as_float32(model, layout, config)
        metrics |= fit.evaluate(model, layout, splits.eval)
    return Checkpoint(model, layout, config, metrics, training=training)
