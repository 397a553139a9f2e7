"""Does a training step cost more when the embedding table is larger?

    python -m benchmarks.step_time

Times training steps of a DeepFM on 4,096 rows of 10 fields with LazyAdam, in turn with a table of
10 thousand rows x 16 and with one of 5 or 20 million, each pair in a process of its own, and prints
what the larger one takes beside the smaller one. The limit is what the memory allows: the rows of a
batch are read from the table and its two moments and written back, and nothing else is done. Ids
are uniform, the worst case: each one misses the processor's caches in the large table, where real
ids repeat, and a batch has four times as many different ones. tf_keras's Adam is the peer at 5
million; at 20 million it would take more memory than the 6 GB that the rest takes.

Then the same with huge pages, which glibc asks for under GLIBC_TUNABLES=glibc.malloc.hugetlb=1, and
memory: what the process grew by, beside the bytes of the weights and of their moments.

The clock of a busy machine says little; the processor's time says more there.

Fails if a step with LazyAdam takes more than 1.5 times as long at 5 million rows.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip
import tf_keras as keras  # isort: skip

from benchmarks import report  # isort: skip
from ranklite.models.training import runtime  # isort: skip
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm  # isort: skip
from ranklite.models.features.layout import RESERVED_ROWS, FeatureLayout  # isort: skip
from ranklite.models.training.lazy_adam import LazyAdam  # isort: skip
from ranklite.models.training.task import RankingModel  # isort: skip

BATCH, FIELDS, DIM = 4096, 10, 16
MODEL = DeepFMConfig(embedding_dim=DIM, hidden_units=(256, 128), batch_norm=True)
SMALL = 10_000
LARGE = {5_000_000: "1.3", 20_000_000: "1.5"}  # rows, and the ratio to reach
PEER_ROWS = 5_000_000
MOST = 1.5
SPARE_MB = 300
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
WARM_UP = 6
OPTIMIZERS = {
    "LazyAdam": lambda: LazyAdam(1e-3, l2=0.1),
    "tf_keras Adam": lambda: keras.optimizers.Adam(1e-3),
}
Step = Callable[[int], Any]


def training_step(optimizer: keras.optimizers.Optimizer, rows: int) -> tuple[Step, Any]:
    """A step of a DeepFM, its table divided among the fields, and what it trains."""
    values = rows // FIELDS - RESERVED_ROWS
    layout = FeatureLayout.build([(f"field_{k}", 1, values) for k in range(FIELDS)])
    ranking = RankingModel(build_deepfm(layout, MODEL))
    ranking.compile(optimizer)
    random = np.random.default_rng(0)
    low = np.array([field.offset for field in layout.fields])
    batches = [
        (
            {"ids": tf.constant(low + random.integers(0, values, (BATCH, FIELDS)), tf.int32)},
            tf.constant(random.integers(0, 2, (BATCH, 1)), tf.float32),
        )
        for _ in range(8)
    ]
    step = tf.function(ranking.train_step, autograph=False)
    return lambda number: step(batches[number % len(batches)]), ranking


def moving_step(rows: int) -> Step:
    """Reads the different rows of a batch from three tables and writes them back."""
    tables = [tf.Variable(tf.zeros([rows, DIM])) for _ in range(3)]
    random = np.random.default_rng(0)
    batches = [tf.constant(np.unique(random.integers(0, rows, BATCH * FIELDS))) for _ in range(8)]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int64)])
    def step(ids: tf.Tensor) -> None:
        for table in tables:
            table.scatter_update(tf.IndexedSlices(0.9 * tf.gather(table, ids), ids))

    return lambda number: step(batches[number % len(batches)])


def milliseconds(small: Step, large: Step, repeats: int) -> dict[str, float]:
    """The least of each of two steps, taken in turn, by the clock and by the processor's time."""
    taken: dict[str, list[float]] = collections.defaultdict(list)
    for number in range(WARM_UP + repeats):
        for name, step in (("small", small), ("large", large)):
            start = time.perf_counter(), time.process_time()
            step(number)
            taken[name].append(1e3 * (time.perf_counter() - start[0]))
            taken[f"{name}_processor"].append(1e3 * (time.process_time() - start[1]))
    return {name: min(spent[WARM_UP:]) for name, spent in taken.items()}


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(what: str, rows: int, repeats: int) -> dict[str, float]:
    """Milliseconds of a small and of a large table; megabytes of the large one's training."""
    runtime.configure()
    if what == "limit":
        return milliseconds(moving_step(SMALL), moving_step(rows), repeats)
    small_step, _ = training_step(OPTIMIZERS[what](), SMALL)
    small_step(0)
    before = resident()
    optimizer = OPTIMIZERS[what]()
    large_step, ranking = training_step(optimizer, rows)
    taken = milliseconds(small_step, large_step, repeats)
    variables = [*ranking.variables, *optimizer.variables()] if what == "LazyAdam" else []
    held = sum(v.shape.num_elements() * v.dtype.size for v in variables)
    grown = resident() - before
    return {**taken, "held": held / 1e6, "grown": grown / 1e6}


def apart(what: str, rows: int, repeats: int, **environment: str) -> dict[str, float]:
    """`measure` in a process of its own, which gives the memory back."""
    command = [sys.executable, "-m", "benchmarks.step_time", "--measure", what]
    command += ["--rows", str(rows), "--repeats", str(repeats)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    made: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return made


def figures(rows: int, to_reach: str, repeats: int) -> list[report.Figure]:
    """What a table of so many rows costs."""
    made = []
    label = f"{rows // 1_000_000}M rows"
    for pages, environment in (("", {}), (", huge pages", HUGE_PAGES)):
        step = apart("LazyAdam", rows, repeats, **environment)
        limit = apart("limit", rows, repeats, **environment)
        for what, one, goal in (("step", step, to_reach), ("limit: rows moved", limit, "")):
            goal = f"{goal} times as long at most" if goal else ""
            what = f"{what}, {label} against {SMALL // 1000}k{pages}"
            for clock, words in (("", ""), ("_processor", ", processor's time")):
                ours, small = one[f"large{clock}"], one[f"small{clock}"]
                made.append(report.Figure(what + words, ours, small, small / ours, "ms", goal))
        if not pages:
            held, grown = step["held"], step["grown"]
            most = held + SPARE_MB
            made.append(
                report.Figure(
                    f"memory, {label}", grown, most, most / grown, "MB", "weights, moments + 300 MB"
                )
            )
    if rows == PEER_ROWS:
        peer = apart("tf_keras Adam", rows, max(2, repeats // 10))
        ours = made[0].ours
        what = f"step, {label}, against tf_keras Adam"
        made.append(report.Figure(what, ours, peer["large"], peer["large"] / ours, "ms"))
    return made


def main() -> int:
    """Prints the table; 1 if a step depends on the vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40, help="steps to time (default: 40)")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--rows", type=int, action="append", help="of the table (default: both)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        (rows,) = arguments.rows
        print(json.dumps(measure(arguments.measure, rows, arguments.repeats)))
        return 0
    made = [
        figure
        for rows in arguments.rows or LARGE
        for figure in figures(rows, LARGE.get(rows, ""), arguments.repeats)
    ]
    print(report.show(made))
    print("\nA ratio below 1 says that the larger table is slower.")
    if arguments.json:
        report.write(arguments.json, "step_time", made)
    return int(made[0].ratio is not None and made[0].ratio < 1 / MOST)


if __name__ == "__main__":
    sys.exit(main())
