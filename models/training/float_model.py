"""A float model from scratch, and what of a trained one is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras as keras

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
    return plain(model, layout, config, training, splits.eval, metrics)


def plain(
    model: keras.Model,
    layout: FeatureLayout,
    config: FamilySettings,
    training: TrainingConfig,
    eval_files: Sequence[str],
    metrics: dict[str, Any],
) -> Checkpoint:
    """The checkpoint of a model that was trained, in float32 and outside of any strategy.

    Args:
      model: As it was trained.
      layout: Where the features live in its inputs.
      config: Its family and sizes.
      training: How it was trained.
      eval_files: Of the validation split; measured anew where the precision changes.
      metrics: What the training measured.
    """
    if training.precision != "float32" or training.strategy != "none":
        model = fit.as_float32(model, layout, config)
        metrics = {**metrics, **fit.evaluate(model, layout, eval_files)}
    return Checkpoint(model, layout, config, metrics, training=training)
