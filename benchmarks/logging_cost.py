"""What does it cost a training to be shown in TensorBoard?

    python benchmarks/logging_cost.py [--repeat 9] [--epochs 5]

Trains a DeepFM (a table of 100 thousand rows x 16, a tower of 256 and 128 units) on 200 thousand
generated rows in batches of 4,096, with and without `log_dir` in turn, and compares the two
trainings of each pair. Prints the medians of what logging adds, in percent of the training, and of
the time that is spent inside of its callback. Both compute the norm of the gradient, which only
logging shows: its share of the processor's time of a step is measured apart, by the fastest calls.
Fails if the norm, with the time inside of the callback or with the processor's time, comes to 3 %
or more. By the clock, equal trainings differ by tens of percent on a shared machine.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from ranklite.models.training import data, fit as training, telemetry  # isort: skip
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.training.config import TrainingConfig

from ranklite.models.features.layout import RESERVED_ROWS, FeatureLayout  # isort: skip
from ranklite.models.training.lazy_adam import LazyAdam
from ranklite.models.training.task import RankingModel

ROWS, EVAL_ROWS, BATCH, FIELDS, TABLE_ROWS = 200_000, 20_000, 4096, 10, 100_000
MODEL = DeepFMConfig(embedding_dim=16, hidden_units=(256, 128), batch_norm=True)
MOST = 3.0


def write(path: pathlib.Path, layout: FeatureLayout, rows: int, seed: int) -> str:
    """Writes transformed Examples with uniform ids and random labels."""
    random = np.random.default_rng(seed)
    low = np.array([field.offset for field in layout.fields])
    ids = low + random.integers(0, layout.fields[0].rows, (rows, FIELDS))
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
        for row, label in zip(ids, random.integers(0, 2, (rows, 1)), strict=True):
            features = {
                "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=row)),
                "label": tf.train.Feature(float_list=tf.train.FloatList(value=label)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return str(path)


HOOKS = (
    *("set_model", "on_train_begin", "on_train_batch_begin", "on_train_batch_end"),
    *("on_epoch_begin", "on_epoch_end", "on_train_end"),
)


class Timed(telemetry.Telemetry):
    """Counts the seconds that are spent inside of it, over all trainings."""

    seconds = 0.0


def _timed(name: str) -> Any:
    def hook(self: Timed, *args: Any, **kwargs: Any) -> None:
        start = time.perf_counter()
        getattr(telemetry.Telemetry, name)(self, *args, **kwargs)
        Timed.seconds += time.perf_counter() - start

    return hook


for _name in HOOKS:
    setattr(Timed, _name, _timed(_name))


def norm_cost(layout: FeatureLayout, files: list[str], settings: TrainingConfig) -> float:
    """What the norm of the gradient takes of the processor's time of a step, in percent."""
    model = RankingModel(training.build(layout, MODEL, settings))
    model.compile(LazyAdam(*training.optimizer_settings(settings, ROWS)))
    (batch,) = data.dataset(files, layout, BATCH).take(1)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    result = tape.gradient(loss, model.trainable_variables)
    gradients = [gradient for gradient in result if gradient is not None]
    step = tf.function(lambda: model.train_step(batch))
    norm = tf.function(lambda: tf.linalg.global_norm(gradients))
    return 100 * fastest(norm) / fastest(step)


def fastest(function: Any) -> float:
    """Least seconds of the processor that a call takes; the first one traces it."""
    function()
    took = []
    for _ in range(50):
        start = time.process_time()
        for _ in range(10):
            function()
        took.append((time.process_time() - start) / 10)
    return min(took)


def main() -> int:
    """Prints every pair and the median; 1 if logging costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9, help="pairs to train (default: 9)")
    parser.add_argument("--epochs", type=int, default=5, help="of each training (default: 5)")
    arguments = parser.parse_args()
    training.Telemetry = Timed  # type: ignore[misc]
    settings = TrainingConfig(batch_size=BATCH, epochs=arguments.epochs, patience=arguments.epochs)
    values = TABLE_ROWS // FIELDS - RESERVED_ROWS
    layout = FeatureLayout.build([(f"field_{k}", 1, values) for k in range(FIELDS)])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        train = [write(folder / "train.gz", layout, ROWS, 0)]
        evaluation = [write(folder / "eval.gz", layout, EVAL_ROWS, 1)]

        def seconds(log_dir: str | None) -> tuple[float, float]:
            model = training.build(layout, MODEL, settings)
            start, start_cpu = time.perf_counter(), time.process_time()
            training.fit(model, layout, train, evaluation, settings, log_dir=log_dir)
            return time.perf_counter() - start, time.process_time() - start_cpu

        norm = norm_cost(layout, train, settings)
        print(f"the norm of the gradient takes {norm:.1f} % of the processor's time of a step")
        seconds(None)  # the first training of a process pays for what all of them use
        overheads = []
        for pair in range(arguments.repeat):
            order = [None, str(folder / f"logs_{pair}")]
            took = {log_dir: seconds(log_dir) for log_dir in (order if pair % 2 else order[::-1])}
            plain, logged = (took[log_dir] for log_dir in order)
            added = [100 * (b / a - 1) for a, b in zip(plain, logged, strict=True)]
            inside = 100 * Timed.seconds / logged[0]
            Timed.seconds = 0.0
            overheads.append([*added, inside])
            print(
                f"{plain[0]:.2f} s, logged {logged[0]:.2f} s: {added[0]:+.1f} %; "
                f"processor {plain[1]:.2f} s, logged {logged[1]:.2f} s: {added[1]:+.1f} %; "
                f"inside of the callback {inside:.1f} %",
                flush=True,
            )
    clock, processor, inside = (
        statistics.median(column) for column in zip(*overheads, strict=True)
    )
    print(
        f"\nLogging adds {clock:.1f} % by the clock, {processor:.1f} % of the processor's time; "
        f"{inside:.1f} % is spent inside of its callback (medians of {arguments.repeat} pairs); "
        f"the norm of the gradient takes {norm:.1f} %; {MOST} % is the most."
    )
    return int(norm + max(processor, inside) >= MOST)


if __name__ == "__main__":
    sys.exit(main())
