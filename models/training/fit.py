"""Trains a model in a TensorFlow Recommenders ranking task; fine-tunes compressed ones too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models import progress
from ranklite.models.evaluation import metrics
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import checkpoints, data, resume, rules, runtime, sharded, suspects
from ranklite.models.training.building import as_float32, build, is_chief, strategy
from ranklite.models.training.callbacks import Cosine, Steps, TrainingFailed, Validation
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.ema import WeightAverage
from ranklite.models.training.lazy_adam import LazyAdam
from ranklite.models.training.negatives import redrawn_negatives
from ranklite.models.training.task import RankingModel
from ranklite.models.training.telemetry import Telemetry

__all__ = [
    "TrainingFailed",
    "as_float32",
    "build",
    "evaluate",
    "fit",
    "is_chief",
    "predict",
    "strategy",
]

PREDICT_BATCH = 8192

Forward = Callable[[dict[str, tf.Tensor]], tf.Tensor]


def optimizer_settings(training: TrainingConfig, rows: int) -> tuple[float, float, float]:
    """Arguments of `LazyAdam`, for a train split of so many rows."""
    rate = rules.learning_rate(training, rows)
    return rate, training.embedding_l2, training.ridge / rows


def _variables(optimizer: keras.optimizers.legacy.Optimizer) -> list[tf.Variable]:
    scale = getattr(optimizer, "_loss_scale", None)  # of a LossScaleOptimizer, which hides it
    return [*optimizer.variables(), *(scale._weights.values() if scale is not None else ())]


def _forward(model: keras.Model, layout: FeatureLayout) -> Forward:
    def forward(features: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.sigmoid(model(features, training=False))

    def together(features: dict[str, tf.Tensor]) -> tf.Tensor:
        return model.distribute_strategy.run(forward, args=(features,))

    return tf.function(  # traced once, though the last batch has fewer rows
        together if sharded.shards(model) else forward,
        autograph=False,
        input_signature=[data.specs(layout)],
    )


def _score(
    forward: Forward, layout: FeatureLayout, files: Sequence[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    batches = [
        (forward(features).numpy()[:, 0], label.numpy()[:, 0])
        for features, label in data.in_order(files, layout, PREDICT_BATCH)
    ]
    if not batches:
        raise ValueError(f"no rows to score in {list(files)}")
    scores, labels = zip(*batches, strict=True)
    return np.concatenate(scores), np.concatenate(labels)


def _measure(forward: Forward, layout: FeatureLayout, files: Sequence[str]) -> dict[str, float]:
    scores, labels = _score(forward, layout, files)
    return metrics.binary_metrics(labels, scores)


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

    Raises:
      ValueError: The files hold no rows.
    """
    return _score(_forward(model, layout), layout, files)


def evaluate(model: keras.Model, layout: FeatureLayout, files: Sequence[str]) -> dict[str, float]:
    """AUC, log loss and calibration of a model on some files."""
    return _measure(_forward(model, layout), layout, files)


def fit(
    model: keras.Model,
    layout: FeatureLayout,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    training: TrainingConfig,
    *,
    log_dir: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    watchers: Sequence[keras.callbacks.Callback] = (),
    keep_best: bool = True,
    best_from: int = 0,
    optimizer: keras.optimizers.legacy.Optimizer | None = None,
    task: Callable[[keras.Model, WeightAverage | None], RankingModel] = RankingModel,
    augment: data.Augment | None = None,
) -> dict[str, Any]:
    """Trains a logit model in place.

    An epoch is as many whole batches as the train split holds, in another order each time: a last,
    smaller batch would weigh as much as the others in batch normalization's averages.

    Args:
      model: From features to the logit [B, 1]; under a strategy if it was built so.
      layout: Of the features.
      train_files: Gzipped TFRecord files of the train split.
      eval_files: Those of the validation split.
      training: Batch size (over all replicas), epochs, rates, seed.
      log_dir: Folder for TensorBoard; None logs nothing.
      callbacks: More Keras callbacks; they see the `tfrs` model around this one, and come before
        the epoch is measured.
      watchers: Those that come after it, and see `val_auc` and so on.
      keep_best: Put back the weights of the epoch with the best validation AUC at the end.
      best_from: First epoch (from 0) that may be the best: those of a pruning ramp may not.
      optimizer: In place of `LazyAdam` with the configured rate and penalty.
      task: What the model is trained in.
      augment: Changes the batches, in place of redrawing `training.negatives`.

    Returns:
      `auc`, `log_loss`, `calibration` of the weights that stay (averaged ones where `ema` says so)
      on the validation split; `epochs` run, `best_epoch` (from 1), `steps`, `rows_per_second`;
      `batch_size` and `oov_rate` as they were; whether it was `still_improving` at the last epoch.

    Raises:
      TrainingFailed: The loss is not finite, or a split is of no use.
    """
    runtime.set_seeds(training.seed)
    rows = data.count_rows(train_files, layout)
    if not rows:
        raise TrainingFailed(f"the train split has no rows: {list(train_files)}")
    training = rules.settled(training, layout, rows, eval_files)
    batch_size = rules.batch_size(training, rows)
    steps = data.steps_per_epoch(rows, batch_size)
    epoch_rows = min(rows, steps * batch_size)
    if augment is None and training.negatives is not None:
        augment = redrawn_negatives(train_files, layout, training.negatives)
    batches = data.dataset(
        train_files,
        layout,
        batch_size,
        shuffle_rows=min(training.shuffle_rows, rows),
        seed=training.seed,
        oov_rate=training.oov_rate or 0.0,
        drop_remainder=rows >= batch_size,
        augment=augment,
        mixed=rows > training.shuffle_rows,
    ).apply(tf.data.experimental.assert_cardinality(steps))
    forward = _forward(model, layout)
    average = WeightAverage(model, training.ema, layout.table_rows) if training.ema else None
    validation = Validation(
        model,
        lambda: _measure(forward, layout, eval_files),
        training,
        rows=epoch_rows,
        best_from=best_from,
        average=average,
        suspects=lambda: suspects.words(suspects.largest_numbers(layout, train_files)),
    )
    following = Steps(training, steps, min(rows, batch_size))
    everything: list[keras.callbacks.Callback] = [*callbacks, validation, *watchers, following]
    if training.schedule == "cosine":
        everything.append(Cosine(rules.learning_rate(training, rows), steps * training.epochs))
    if log_dir:
        everything.append(Telemetry(model, log_dir))
    drawn = resume.seed_generators(model, training.seed)
    with model.distribute_strategy.scope():
        ranking = task(model, average)
        chosen = optimizer or LazyAdam(*optimizer_settings(training, rows))
        if training.precision == "float16":
            chosen = keras.mixed_precision.LossScaleOptimizer(chosen)
        ranking.compile(chosen)
        # Made by the first step instead, it would be traced once more without making them.
        ranking.optimizer._create_all_weights(ranking.trainable_variables)
    tables = sharded.shards(model).values()
    kept = checkpoints.Checkpoints(
        resume.next_path(),
        model.distribute_strategy,
        [
            *model.weights,
            *_variables(ranking.optimizer),
            ranking.optimizer.lr,
            *(average.variables if average is not None else ()),
            *(variable for shard in tables for variable in (shard.values, *shard.slots.values())),
        ],
        drawn,
        [part for part in everything if isinstance(part, resume.Resumable)],
    )
    kept.resume()
    if not kept.ended and kept.epochs < training.epochs:
        ranking.first_step = kept.steps
        ranking.fit(
            kept.remaining(batches, training.epochs),
            initial_epoch=kept.epochs,
            epochs=training.epochs,
            steps_per_epoch=steps,
            callbacks=[*everything, kept],
            verbose=1 if sys.stdout.isatty() and not progress.reported() else 0,
        )
    history = kept.history
    if keep_best and validation.weights:
        sharded.set_weights(model, validation.weights)
        final, best_epoch = validation.best, validation.best_epoch + 1
    else:
        if average is not None:
            model.set_weights(average.weights())
        final = {name: history[f"val_{name}"][-1] for name in ("auc", "log_loss", "calibration")}
        best_epoch = len(history["loss"])
    if sharded.shards(model):
        sharded.collect(model, keep=is_chief(model))
    epochs = len(history["loss"])
    progress.report(f"epoch {epochs}/{training.epochs}", 1.0, figures={"auc": final["auc"]})
    return {
        **final,
        "epochs": epochs,
        "best_epoch": best_epoch,
        "steps": epochs * steps,
        "rows_per_second": epochs * epoch_rows / validation.train_seconds,
        "batch_size": batch_size,
        "learning_rate": training.learning_rate,
        "oov_rate": training.oov_rate,
        "still_improving": float(
            best_epoch == epochs == training.epochs and training.schedule != "cosine"
        ),
    }
