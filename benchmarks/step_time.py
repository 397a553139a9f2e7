"""Does a training step cost more when the embedding table is larger?

    python benchmarks/step_time.py

Times training steps of a DeepFM on 4,096 rows of 10 fields, with a table of 10 thousand and of 5
million rows x 16, by LazyAdam and by tf_keras's Adam; then the lookup and update of 4,096 rows
alone. Ids are uniform, the worst case: each one misses the processor's caches in the large table,
where real ids repeat. Fails if a step with LazyAdam takes more than 1.5 times as long.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip
import tf_keras as keras  # isort: skip

from ranklite.models.training import runtime  # isort: skip
from ranklite.models.architectures.deepfm import DeepFMConfig

from ranklite.models.architectures.deepfm import build_deepfm  # isort: skip
from ranklite.models.features.layout import RESERVED_ROWS, FeatureLayout  # isort: skip
from ranklite.models.training.lazy_adam import LazyAdam  # isort: skip
from ranklite.models.training.task import RankingModel  # isort: skip

BATCH, FIELDS, DIM = 4096, 10, 16
MODEL = DeepFMConfig(embedding_dim=DIM, hidden_units=(256, 128), batch_norm=True)
ROWS = (10_000, 5_000_000)
MOST = 1.5
OPTIMIZERS = {
    "LazyAdam": lambda: LazyAdam(1e-3, l2=0.1),
    "tf_keras Adam": lambda: keras.optimizers.Adam(1e-3),
}


def median_seconds(step: Callable[[int], None], repeats: int) -> float:
    """Median time of a step, after a few to warm up."""
    for number in range(8):
        step(number)
    seconds = []
    for number in range(repeats):
        start = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def training_step(optimizer: keras.optimizers.Optimizer, rows: int) -> Callable[[int], None]:
    """A step of a DeepFM, its table divided among the fields."""
    values = rows // FIELDS - RESERVED_ROWS
    layout = FeatureLayout.build([(f"field_{k}", 1, values) for k in range(FIELDS)])
    ranking = RankingModel(build_deepfm(layout, MODEL))
    ranking.compile(optimizer)
    random = np.random.default_rng(0)
    low = np.array([field.offset for field in layout.fields])
    batches = [
        (
            {"ids": tf.constant(low + random.integers(0, values, (BATCH, FIELDS)))},
            tf.constant(random.integers(0, 2, (BATCH, 1)), tf.float32),
        )
        for _ in range(8)
    ]
    step = tf.function(ranking.train_step)
    return lambda number: step(batches[number % len(batches)])


def lookup_step(optimizer: keras.optimizers.Optimizer, rows: int) -> Callable[[int], None]:
    """Look rows of a table up, differentiate, update."""
    table = tf.Variable(tf.zeros([rows, DIM]))
    random = np.random.default_rng(0)
    batches = [tf.constant(random.integers(0, rows, BATCH)) for _ in range(8)]

    @tf.function
    def step(ids: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.gather(table, ids) - 1.0))
        optimizer.apply_gradients([(tape.gradient(loss, table), table)])

    return lambda number: step(batches[number % len(batches)])


def main() -> int:
    """Prints the table; 1 if a step depends on the vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=60, help="steps to time (default: 60)")
    repeats = parser.parse_args().repeats
    runtime.configure()
    print(f"Milliseconds (median of {repeats} steps):\n")
    print(f"{'':<36}" + "".join(f"{rows:>12,}" for rows in ROWS) + f"{'ratio':>8}")
    ratios = {}
    for what, make in (("DeepFM step", training_step), ("lookup and update", lookup_step)):
        for name, optimizer in OPTIMIZERS.items():
            count = repeats if name == "LazyAdam" else max(1, repeats // 10)
            small, large = (1e3 * median_seconds(make(optimizer(), r), count) for r in ROWS)
            ratios[what, name] = large / small
            label = f"{what}, {name}"
            print(f"{label:<36}{small:>12.2f}{large:>12.2f}{large / small:>8.2f}", flush=True)
    print(f"\nA DeepFM step with LazyAdam may take {MOST} times as long at most.")
    return int(ratios["DeepFM step", "LazyAdam"] > MOST)


if __name__ == "__main__":
    sys.exit(main())
