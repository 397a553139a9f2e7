"""The one fine-tuning that the techniques share."""

from __future__ import annotations

import dataclasses
from typing import Any

import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.invariants import left_by
from ranklite.models.compression.technique import FineTuned, PostConditionFailed, Splits
from ranklite.models.memory import give_back
from ranklite.models.training import fit as _training
from ranklite.models.training import rules
from ranklite.models.training.config import TrainingConfig


def fine_tuning(training: TrainingConfig, *, epochs: int, learning_rate: float) -> TrainingConfig:
    """The settings of a fine-tuning: the training's own but for its length and rate."""
    return training.model_copy(
        update={
            "epochs": epochs,
            "learning_rate": learning_rate,
            "schedule": "cosine",
            "patience": epochs,
            "precision": "float32",
            "ema": 0.0,  # an average over steps would bring back what was pruned in between
        }
    )


def copy(checkpoint: Checkpoint) -> keras.Model:
    """A model of its own with the weights of a checkpoint that is not quantized."""
    model = checkpoint.rebuilt().model
    model.set_weights(checkpoint.model.get_weights())
    return model


def compress(
    technique: FineTuned[Any],
    checkpoint: Checkpoint,
    splits: Splits,
    training: TrainingConfig,
    *,
    log_dir: str | None = None,
) -> Checkpoint:
    """Applies a technique: check, wrap, fine-tune, strip, verify.

    What earlier steps left and the technique does not keep by itself is kept as well.

    Args:
      technique: The technique with its settings.
      checkpoint: The model to compress; it is not changed.
      splits: Data to fine-tune and validate on.
      training: The settings that the float model was trained with.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The compressed model; its metrics hold the validation figures before and after.

    Raises:
      NotCompressible: The technique does not fit the model; nothing was trained.
      PostConditionFailed: The result is not what was asked for.
    """
    technique.check(checkpoint)
    start = technique.prepare(checkpoint, splits, training)
    rows = _training.data.count_rows(splits.train, checkpoint.layout)
    model = technique.wrap(
        start, _training.data.steps_per_epoch(rows, rules.batch_size(training, rows))
    )
    technique.initialize(model, start, splits)
    settings = fine_tuning(
        training,
        epochs=technique.config.epochs,
        learning_rate=technique.config.learning_rate,
    )
    before = _training.evaluate(checkpoint.model, checkpoint.layout, splits.eval)
    invariants = [
        invariant
        for name, invariant in left_by(checkpoint.techniques).items()
        if name not in technique.keeps
    ]
    after = _training.fit(
        model,
        start.layout,
        splits.train,
        splits.eval,
        settings,
        log_dir=log_dir,
        callbacks=[*technique.callbacks(model), *(i.callback(model) for i in invariants)],
        best_from=technique.first_final_epoch(),
        optimizer=technique.optimizer(model, settings, rows),
    )
    give_back()  # the optimizer has two numbers for each weight
    final = technique.strip(model)
    figures = technique.verify(start, final)
    for invariant in invariants:
        if broken := invariant.broken(start.model, final):
            raise PostConditionFailed(broken)
    measured = {f"{name}_before": value for name, value in before.items()}
    return dataclasses.replace(start, model=final, metrics={**measured, **after, **figures})
