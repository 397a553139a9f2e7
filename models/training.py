"""Trains a DeepFM in a TensorFlow Recommenders ranking task; fine-tunes compressed ones too."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from models import data, metrics, runtime
from models.config import DeepFMConfig, TrainingConfig
from models.deepfm import build_deepfm
from models.layout import IDS, FeatureLayout
from models.optimizers import LazyAdam

_log = logging.getLogger(__name__)

PREDICT_BATCH = 8192
PLATEAU_FACTOR = 0.1


class TrainingFailed(ValueError):
    """Training cannot go on; the message says why and what to change."""


class RankingModel(tfrs.Model):
    """A logit model in a `tfrs` ranking task.

    The loss of a batch of R rows, with U the rows of the embedding tables that it looked up:

        L = 1/R sum_r BCE(y_r, sigmoid(logit_r)) + embedding_l2 / 2 * sum_{u in U} |e_u|^2

    The penalty leaves rows alone that the batch did not touch, so a step's cost does not depend on
    the size of the tables.

    Args:
      logits: From features to the logit [B, 1].
      layout: Of the features.
      embedding_l2: Weight of the penalty.
    """

    def __init__(self, logits: keras.Model, layout: FeatureLayout, embedding_l2: float) -> None:
        super().__init__()
        self.logits = logits
        self.task = tfrs.tasks.Ranking(
            loss=keras.losses.BinaryCrossentropy(
                from_logits=True, reduction=keras.losses.Reduction.NONE
            ),
            metrics=[keras.metrics.BinaryCrossentropy("log_loss", from_logits=True)],
        )
        self._embedding_l2 = embedding_l2
        self._tables = [
            weight
            for weight in logits.trainable_weights
            if "embeddings" in weight.name and weight.shape[0] == layout.table_rows
        ]

    def call(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The logits [B, 1]."""
        return self.logits(features, training=training)

    def compute_loss(
        self, inputs: tuple[dict[str, tf.Tensor], tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """The loss of this replica's batch, divided by the number of replicas."""
        features, labels = inputs
        logits = self.logits(features, training=training)
        loss = tf.reduce_mean(self.task(labels=labels, predictions=logits))
        if self._embedding_l2:
            rows, _ = tf.unique(tf.reshape(features[IDS], [-1]))
            for table in self._tables:
                penalty = tf.reduce_sum(tf.square(tf.gather(table, rows)))
                loss += 0.5 * self._embedding_l2 * penalty
        return loss / tf.distribute.get_strategy().num_replicas_in_sync


def strategy(name: str) -> tf.distribute.Strategy:
    """The distribution strategy of a configuration: `none`, `mirrored` or `multi_worker`."""
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def build(layout: FeatureLayout, config: DeepFMConfig, training: TrainingConfig) -> keras.Model:
    """Builds a DeepFM ready for `fit`: seeded, in its precision, under its strategy."""
    runtime.set_seeds(training.seed)
    policy = keras.mixed_precision.global_policy()
    try:
        if training.precision == "bfloat16":
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        with strategy(training.strategy).scope():
            return build_deepfm(layout, config)
    finally:
        keras.mixed_precision.set_global_policy(policy)


def as_float32(model: keras.Model, layout: FeatureLayout, config: DeepFMConfig) -> keras.Model:
    """The same model computing in float32, outside of any strategy: what later stages continue."""
    plain = build_deepfm(layout, config)
    plain.set_weights(model.get_weights())
    return plain


def predict(
    model: keras.Model, layout: FeatureLayout, files: Sequence[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores rows in the order of the files.

    Args:
      model: From features to the logit.
      layout: Of the features.
      files: Gzipped TFRecord files of transformed Examples.

    Returns:
      Probabilities [R] and labels [R].
    """
    runtime.configure()
    forward = tf.function(
        lambda features: tf.sigmoid(model(features, training=False)), autograph=False
    )
    scores, labels = [], []
    for features, label in data.dataset(files, layout, PREDICT_BATCH):
        scores.append(forward(features).numpy()[:, 0])
        labels.append(label.numpy()[:, 0])
    if not scores:
        raise ValueError(f"no rows to score in {list(files)}")
    return np.concatenate(scores), np.concatenate(labels)


def evaluate(model: keras.Model, layout: FeatureLayout, files: Sequence[str]) -> dict[str, float]:
    """AUC, log loss and calibration of a model on some files."""
    scores, labels = predict(model, layout, files)
    return metrics.binary_metrics(labels, scores)


class _Validation(keras.callbacks.Callback):
    """Measures every epoch, keeps the best weights, lowers the rate and stops when it is time."""

    def __init__(
        self,
        logits: keras.Model,
        layout: FeatureLayout,
        files: Sequence[str],
        training: TrainingConfig,
        rows: int,
        best_from: int,
    ) -> None:
        super().__init__()
        self._logits, self._layout, self._files = logits, layout, files
        self._training, self._rows, self._best_from = training, rows, best_from
        self._waited = 0
        self._started = 0.0
        self.best: dict[str, float] = {}
        self.best_epoch = -1
        self.weights: list[npt.NDArray[np.float32]] = []
        self.train_seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        seconds = time.monotonic() - self._started
        self.train_seconds += seconds
        if not math.isfinite(logs["loss"]):
            raise TrainingFailed(
                f"the loss became {logs['loss']} in epoch {epoch + 1}: lower the learning_rate "
                f"(it is {self._training.learning_rate}) or look at the numeric features"
            )
        measured = evaluate(self._logits, self._layout, self._files)
        logs.update({f"val_{name}": value for name, value in measured.items()})
        logs["learning_rate"] = float(keras.backend.get_value(self.model.optimizer.lr))
        logs["rows_per_second"] = self._rows / seconds
        _log.info("epoch %d: %s", epoch + 1, logs)
        if epoch < self._best_from:
            return
        if not self.best or measured["auc"] > self.best["auc"]:
            self.best, self.best_epoch, self._waited = measured, epoch, 0
            self.weights = self._logits.get_weights()
            return
        self._waited += 1
        if self._training.schedule == "plateau":
            rate = logs["learning_rate"] * PLATEAU_FACTOR
            keras.backend.set_value(self.model.optimizer.lr, rate)
        if self._waited >= self._training.patience:
            self.model.stop_training = True


class _Cosine(keras.callbacks.Callback):
    """Lets the learning rate fall from its start to 0 along half a cosine, step by step."""

    def __init__(self, start: float, steps: int) -> None:
        super().__init__()
        self._start, self._steps, self._step = start, steps, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        share = min(1.0, self._step / self._steps)
        rate = 0.5 * self._start * (1 + math.cos(math.pi * share))
        keras.backend.set_value(self.model.optimizer.lr, rate)
        self._step += 1


def fit(
    model: keras.Model,
    layout: FeatureLayout,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    training: TrainingConfig,
    *,
    log_dir: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    keep_best: bool = True,
    best_from: int = 0,
) -> dict[str, float]:
    """Trains a logit model in place.

    Args:
      model: From features to the logit [B, 1]; under a strategy if it was built so.
      layout: Of the features.
      train_files: Gzipped TFRecord files of the train split.
      eval_files: Those of the validation split.
      training: Batch size, epochs, rates, seed.
      log_dir: Folder for TensorBoard; None logs nothing.
      callbacks: More Keras callbacks; they see the `tfrs` model around this one.
      keep_best: Put back the weights of the epoch with the best validation AUC at the end.
      best_from: First epoch (from 0) that may be the best: those of a pruning ramp may not.

    Returns:
      `auc`, `log_loss`, `calibration` of the weights that stay, on the validation split; `epochs`
      run, `best_epoch` (from 1), `steps`, `rows_per_second`.

    Raises:
      TrainingFailed: The loss is not finite, or a split is of no use.
    """
    runtime.set_seeds(training.seed)
    rows = data.count_rows(train_files)
    if not rows:
        raise TrainingFailed("the train split has no rows")
    steps = math.ceil(rows / training.batch_size)
    batches = data.dataset(
        train_files,
        layout,
        training.batch_size,
        shuffle_rows=min(training.shuffle_rows, rows),
        seed=training.seed,
        oov_rate=training.oov_rate,
    )
    validation = _Validation(model, layout, eval_files, training, rows, best_from)
    # What a technique does at the end of an epoch (masks, say) has to come before the measuring.
    everything: list[keras.callbacks.Callback] = [*callbacks, validation]
    if training.schedule == "cosine":
        everything.append(_Cosine(training.learning_rate, steps * training.epochs))
    if log_dir:
        everything.append(
            keras.callbacks.TensorBoard(log_dir, histogram_freq=1, update_freq="epoch")
        )
    with model.distribute_strategy.scope():
        ranking = RankingModel(model, layout, training.embedding_l2)
        ranking.compile(optimizer=LazyAdam(training.learning_rate))
    history = ranking.fit(
        batches.apply(tf.data.experimental.assert_cardinality(steps)),
        epochs=training.epochs,
        callbacks=everything,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    measured = {name: values[-1] for name, values in history.history.items()}
    final = {name: measured[f"val_{name}"] for name in ("auc", "log_loss", "calibration")}
    if keep_best and validation.weights:
        model.set_weights(validation.weights)
        final = validation.best
    epochs = len(history.epoch)
    return {
        **final,
        "epochs": epochs,
        "best_epoch": validation.best_epoch + 1 if keep_best else epochs,
        "steps": epochs * steps,
        "rows_per_second": epochs * rows / validation.train_seconds,
    }
