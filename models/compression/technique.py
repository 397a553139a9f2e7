"""What a compression technique is, and the one fine-tuning step that all of them share."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.sparsity import prunable_weights
from ranklite.models.config import Strict
from ranklite.models.training import fit as _training
from ranklite.models.training.config import TrainingConfig

ConfigT = TypeVar("ConfigT", bound=Strict)


class PostConditionFailed(RuntimeError):
    """A compressed model is not what its technique promises."""


@dataclasses.dataclass(frozen=True)
class Splits:
    """Files of transformed Examples.

    Attributes:
      train: Gzipped TFRecord files of the train split.
      eval: Those of the validation split.
    """

    train: Sequence[str]
    eval: Sequence[str]


class Technique(abc.ABC, Generic[ConfigT]):
    """One compression technique: how to wrap a model, fine-tune it, strip it and check it.

    Args:
      config: Its settings.
    """

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        """The model to start from, by default the one that came in, which is left as it is."""
        return checkpoint

    @abc.abstractmethod
    def check(self, checkpoint: Checkpoint) -> None:
        """Raises NotCompressible, before anything trains, where the technique does not fit."""

    @abc.abstractmethod
    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        """A model with the same weights, wrapped for fine-tuning; the old one is left alone."""

    def initialize(self, model: keras.Model, checkpoint: Checkpoint, splits: Splits) -> None:
        """Sets what a wrapped model has to know before its first step."""

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        """Keras callbacks that the fine-tuning needs."""
        return []

    def optimizer(
        self, model: keras.Model, training: TrainingConfig
    ) -> keras.optimizers.legacy.Optimizer | None:
        """The optimizer of the fine-tuning; None for that of every training."""
        return None

    def first_final_epoch(self) -> int:
        """The first epoch, from 0, after which the model is compressed as much as asked for."""
        return 0

    def strip(self, model: keras.Model) -> keras.Model:
        """The model to hand on, without what only training needs."""
        return model

    @abc.abstractmethod
    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        """Figures of the result.

        Raises:
          PostConditionFailed: It is not what the technique promises.
        """


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


class KeepZeros(keras.callbacks.Callback):
    """Puts weights back to zero, after every step, that were zero before the first one.

    Args:
      model: The model being trained.
      masks: By layer name, True where a weight may change; from `masks`.
    """

    def __init__(self, model: keras.Model, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
        super().__init__()
        weights = prunable_weights(model)
        self._pairs = [(weights[name], mask.astype(np.float32)) for name, mask in masks.items()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for weight, mask in self._pairs:
            weight.assign(weight * mask)


def masks(model: keras.Model) -> dict[str, npt.NDArray[np.bool_]]:
    """Where the weights of layers with zeros are not zero."""
    return {
        name: values != 0.0
        for name, weight in prunable_weights(model).items()
        if not (values := weight.numpy()).all()
    }


def lost_zeros(before: dict[str, npt.NDArray[np.bool_]], model: keras.Model) -> dict[str, int]:
    """Number of weights a layer, masked in `before`, that are no longer zero."""
    weights = prunable_weights(model)
    counts = {
        name: int(np.count_nonzero(weights[name].numpy()[~mask])) for name, mask in before.items()
    }
    return {name: count for name, count in counts.items() if count}


def compress(
    technique: Technique[Any],
    checkpoint: Checkpoint,
    splits: Splits,
    training: TrainingConfig,
    *,
    log_dir: str | None = None,
) -> Checkpoint:
    """Applies a technique: check, wrap, fine-tune, strip, verify.

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
    rows = _training.data.count_rows(splits.train)
    model = technique.wrap(start, _training.data.steps_per_epoch(rows, training.batch_size))
    technique.initialize(model, start, splits)
    settings = fine_tuning(
        training,
        epochs=technique.config.epochs,
        learning_rate=technique.config.learning_rate,
    )
    before = _training.evaluate(checkpoint.model, checkpoint.layout, splits.eval)
    after = _training.fit(
        model,
        start.layout,
        splits.train,
        splits.eval,
        settings,
        log_dir=log_dir,
        callbacks=technique.callbacks(model),
        best_from=technique.first_final_epoch(),
        optimizer=technique.optimizer(model, settings),
    )
    final = technique.strip(model)
    figures = technique.verify(start, final)
    measured = {f"{name}_before": value for name, value in before.items()}
    return dataclasses.replace(start, model=final, metrics={**measured, **after, **figures})
