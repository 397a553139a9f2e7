"""The quantized model, trained or only calibrated, and its float control."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression.choice import first_as_good
from ranklite.models.compression.equalization import rounding_forms
from ranklite.models.compression.fine_tuning import compress, fine_tuning
from ranklite.models.compression.invariants import KeepZeros, masks
from ranklite.models.compression.mixed_bits import choose_bits
from ranklite.models.compression.technique import Compressed, Setting, Splits
from ranklite.models.evaluation.metrics import binary_metrics, losses
from ranklite.models.memory import give_back
from ranklite.models.training import fit as training

if TYPE_CHECKING:
    from ranklite.models.compression.techniques.quantize import Quantize


def quantize(
    technique: Quantize, checkpoint: Checkpoint, setting: Setting, *, log_dir: str | None = None
) -> Compressed:
    """Quantizes a model and trains its float control.

    Args:
      technique: What to do.
      checkpoint: The float model, pruned or not; it is not changed.
      setting: Data and training.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The quantized model, trained, or only calibrated where that has a lower log loss on the
      validation split by more than noise (`chosen` among its metrics says which), and the control:
      the folded float model, trained as long where the settings ask for it.
    """
    config, splits = technique.config, setting.splits
    if config.format in ("dynamic_range", "float16"):
        rounded = rounding_forms(checkpoint)[-1]
        metrics = training.evaluate(rounded.model, rounded.layout, splits.eval)
        file = dataclasses.replace(rounded, metrics=dict(metrics), format=config.format)
        return Compressed(file, rounded)
    trainings = 2 if config.control and setting.control and config.epochs else 1
    start = calibrated(technique, checkpoint, splits)
    give_back()  # other forms
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
                setting.training,
                log_dir=log_dir and os.path.join(log_dir, "quantized"),
            )
        figures |= {f"trained_{name}": trained.metrics[name] for name in before}
        scores, labels = training.predict(trained.model, trained.layout, splits.eval)
        if first_as_good(labels, [scores, start.scores]) == 0:
            figures["chosen"] = "trained"
            quantized = dataclasses.replace(trained, format=config.format)
        del trained
    quantized.metrics.update(figures)
    form = start.form
    del start
    give_back()  # the one that was not chosen
    with progress.part("control", trainings - 1, trainings):
        control = train_control(technique, form, setting, log_dir=log_dir)
    progress.report(figures={"auc": quantized.metrics["auc"]})
    return Compressed(quantized, control)


class Calibrated(NamedTuple):
    """A calibrated model and what it was made of.

    Attributes:
      form: The float model without batch normalization.
      technique: With the bits that were chosen.
      model: With its fake-quantizers.
      metrics: On the validation split.
      scores: Probabilities of its rows.
    """

    form: Checkpoint
    technique: Quantize
    model: keras.Model
    metrics: dict[str, float]
    scores: npt.NDArray[np.float32]


def calibrated(technique: Quantize, checkpoint: Checkpoint, splits: Splits) -> Calibrated:
    """The form of a model that rounds best after calibration.

    Forms compute the same function, so what rounding does to it can be told without labels and
    their noise: by the log loss that the float model expects of the rounded one,

        mean of  -p log q - (1 - p) log(1 - q),  p of the float model, q of the rounded one.

    Args:
      technique: What to do.
      checkpoint: The float model; it is not changed.
      splits: Data to calibrate and measure on.

    Raises:
      NotCompressible: The settings do not fit the model.
    """
    progress.report("calibrating")
    config = technique.config
    technique.check(checkpoint)
    expected, labels = training.predict(checkpoint.model, checkpoint.layout, splits.eval)
    candidates = []
    for form in rounding_forms(checkpoint):
        limit, batches = config.max_weight_bytes, config.calibration_batches
        bits = choose_bits(form, splits, limit, batches) if limit is not None else None
        candidate = technique.with_bits(bits)
        model = candidate.wrap(form, 1)
        candidate.initialize(model, form, splits)
        scores, _ = training.predict(model, form.layout, splits.eval)
        figures = binary_metrics(labels, scores)
        candidates.append(Calibrated(form, candidate, model, figures, scores))
    return min(candidates, key=lambda one: float(losses(expected, one.scores).mean()))


def train_control(
    technique: Quantize, checkpoint: Checkpoint, setting: Setting, *, log_dir: str | None = None
) -> Checkpoint:
    """The float model trained as long, on the same batches, with the same weights kept at zero.

    Args:
      technique: The quantization that it is compared with.
      checkpoint: The float model; it is not changed.
      setting: Data and training.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The model, its batch normalization folded; untrained where `control` is off.
    """
    config, splits = technique.config, setting.splits
    folded = fold_batch_norm(checkpoint)
    if not (config.control and setting.control and config.epochs):
        return folded
    metrics = training.fit(
        folded.model,
        folded.layout,
        splits.train,
        splits.eval,
        fine_tuning(setting.training, epochs=config.epochs, learning_rate=config.learning_rate),
        log_dir=log_dir and os.path.join(log_dir, "control"),
        callbacks=[KeepZeros(folded.model, masks(folded.model))],
    )
    return dataclasses.replace(folded, metrics=dict(metrics))
