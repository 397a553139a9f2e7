"""The quantized model, calibrated or trained, whichever is better, and its float control."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

import tf_keras as keras

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression.clustering import clustered_weights
from ranklite.models.compression.config import Quantization
from ranklite.models.compression.equalization import equalize
from ranklite.models.compression.mixed_bits import choose_bits
from ranklite.models.compression.quantization import Quantize
from ranklite.models.compression.technique import KeepZeros, Splits, compress, fine_tuning, masks
from ranklite.models.layers.table_config import EMBEDDING
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig


def rounding_forms(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Models without batch normalization that compute the same function but round differently.

    Returns:
      The folded model, and the equalized one unless its kernels are clustered: equalizing gives
      every unit another factor, which shared values would not survive.
    """
    folded = fold_batch_norm(checkpoint)
    clustered = any(name != EMBEDDING for name in clustered_weights(folded.model))
    return [folded] if clustered else [folded, equalize(folded)]


def quantize(
    config: Quantization,
    checkpoint: Checkpoint,
    splits: Splits,
    training_config: TrainingConfig,
    *,
    log_dir: str | None = None,
) -> tuple[Checkpoint, Checkpoint]:
    """Quantizes a model and trains its float control.

    Args:
      config: What to do.
      checkpoint: The float model, pruned or not; it is not changed.
      splits: Data to train and validate on.
      training_config: The settings that the float model was trained with.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The quantized model, trained or only calibrated, whichever has the lower log loss on the
      validation split (`chosen` among its metrics says which), and the control: the folded float
      model, trained as long where the configuration asks for it.
    """
    if config.format in ("dynamic_range", "float16"):
        rounded = rounding_forms(checkpoint)[-1]
        metrics = training.evaluate(rounded.model, rounded.layout, splits.eval)
        return dataclasses.replace(rounded, metrics=dict(metrics), format=config.format), rounded
    trainings = 2 if config.control and config.epochs else 1
    start = calibrated(config, checkpoint, splits)
    before = start.metrics
    quantized = dataclasses.replace(
        start.form,
        model=start.model,
        metrics={**before, **start.technique.verify(start.form, start.model)},
        format=config.format,
    )
    figures: dict[str, Any] = {f"calibrated_{name}": value for name, value in before.items()}
    figures["chosen"] = "calibrated"
    if config.epochs:
        with progress.part("quantized" if trainings > 1 else "", 0, trainings):
            trained = compress(
                start.technique,
                start.form,
                splits,
                training_config,
                log_dir=log_dir and os.path.join(log_dir, "quantized"),
            )
        figures |= {f"trained_{name}": trained.metrics[name] for name in before}
        if trained.metrics["log_loss"] <= before["log_loss"]:
            figures["chosen"] = "trained"
            quantized = dataclasses.replace(trained, format=config.format)
    quantized.metrics.update(figures)
    with progress.part("control", trainings - 1, trainings):
        control = train_control(config, start.form, splits, training_config, log_dir=log_dir)
    progress.report(figures={"auc": quantized.metrics["auc"]})
    return quantized, control


class Calibrated(NamedTuple):
    """A calibrated model and what it was made of.

    Attributes:
      form: The float model without batch normalization.
      technique: With the bits that were chosen.
      model: With its fake-quantizers.
      metrics: On the validation split.
    """

    form: Checkpoint
    technique: Quantize
    model: keras.Model
    metrics: dict[str, float]


def calibrated(config: Quantization, checkpoint: Checkpoint, splits: Splits) -> Calibrated:
    """The form of a model that rounds best after calibration, by its validation log loss.

    Args:
      config: What to do.
      checkpoint: The float model; it is not changed.
      splits: Data to calibrate and measure on.

    Raises:
      NotCompressible: The configuration does not fit the model.
    """
    progress.report("calibrating")
    Quantize(config).check(checkpoint)
    candidates = []
    for form in rounding_forms(checkpoint):
        bits = choose_bits(config, form, splits) if config.bits == "mixed" else None
        technique = Quantize(config, bits)
        model = technique.wrap(form, 1)
        technique.initialize(model, form, splits)
        metrics = training.evaluate(model, form.layout, splits.eval)
        candidates.append(Calibrated(form, technique, model, metrics))
    return min(candidates, key=lambda candidate: candidate.metrics["log_loss"])


def train_control(
    config: Quantization,
    checkpoint: Checkpoint,
    splits: Splits,
    training_config: TrainingConfig,
    *,
    log_dir: str | None = None,
) -> Checkpoint:
    """The float model trained as long, on the same batches, with the same weights kept at zero.

    Args:
      config: Of the quantization that it is compared with.
      checkpoint: The float model; it is not changed.
      splits: Data to train and validate on.
      training_config: The settings that the float model was trained with.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The model, its batch normalization folded; untrained where `control` is off.
    """
    folded = fold_batch_norm(checkpoint)
    if not (config.control and config.epochs):
        return folded
    metrics = training.fit(
        folded.model,
        folded.layout,
        splits.train,
        splits.eval,
        fine_tuning(training_config, epochs=config.epochs, learning_rate=config.learning_rate),
        log_dir=log_dir and os.path.join(log_dir, "control"),
        callbacks=[KeepZeros(folded.model, masks(folded.model))],
    )
    return dataclasses.replace(folded, metrics=dict(metrics))
