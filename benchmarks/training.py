"""How near does `fit` come to a bare loop over its steps?

    python -m benchmarks.training
    ... --data <folder that holds frappe/>

Trains a DeepFM of Frappe's size, a tower of 400 x 3, as the Trainer does, on one pinned core and on
two, each in a process of its own. After each epoch of `fit` the same number of steps runs as a bare
loop: a `tf.function` of the step of another model of the same sizes with its own optimizer, over
batches that are tensors already. An epoch of `fit` counts from the end of what the epoch before did
after its steps to the end of its own, so waiting between epochs counts, and validation does not.
Without Frappe's files rows of the same shape are drawn.

The clock of a busy machine says little: compare the ratios, and the same by the processor's time.
The best of several epochs counts, taken in turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

from benchmarks import report  # isort: skip

CORES = ([0], [0, 1])
WARM_UP = 1  # epochs: the first one traces
DRAWN_ROWS = 100_000
VALUES = (957, 4082, 7, 7, 2, 3, 2, 9, 80, 233)  # of Frappe's fields
BATCH, TOWER, DIM = 4096, (400, 400, 400), 10
TO_REACH = "0.9 of the bare loop"


def write_rows(folder: str, given: str | None) -> None:
    """Writes Examples of both splits and their layout."""
    import numpy as np
    import pandas as pd

    from benchmarks.frappe_float import prepare, write_examples
    from ranklite.models.features.layout import RESERVED_ROWS, FeatureLayout

    if given and pathlib.Path(given, "frappe", "train.csv").is_file():
        layout, _, _ = prepare(given, folder)
    else:
        layout = FeatureLayout.build([(f"f{k}", 1, count) for k, count in enumerate(VALUES)])
        random = np.random.default_rng(0)
        for name, rows in (("train", DRAWN_ROWS), ("valid", DRAWN_ROWS // 10)):
            table = {
                field.name: random.integers(0, field.rows - RESERVED_ROWS, rows)
                for field in layout.fields
            }
            frame = pd.DataFrame({**table, "label": random.integers(0, 2, rows)})
            ids = {
                field.name: {k: field.missing_row + 1 + k for k in range(field.rows)}
                for field in layout.fields
            }
            write_examples(frame, layout, ids, os.path.join(folder, f"{name}.gz"))
    pathlib.Path(folder, "layout.pickle").write_bytes(pickle.dumps(layout.to_dict()))


@dataclasses.dataclass
class Span:
    """What some steps took."""

    clock: float
    processor: float


class Stopwatch:
    """Time since it was made, by the clock and by the processor."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def span(self) -> Span:
        return Span(time.perf_counter() - self._clock, time.process_time() - self._processor)


def measure(folder: str, epochs: int) -> dict[str, Any]:
    """Rows a second of `fit` and of the bare loop; the best epoch of each."""
    import tensorflow as tf
    import tf_keras as keras

    from ranklite.models.architectures.deepfm import DeepFMConfig
    from ranklite.models.features.layout import FeatureLayout
    from ranklite.models.training import data
    from ranklite.models.training import fit as training
    from ranklite.models.training.config import TrainingConfig
    from ranklite.models.training.lazy_adam import LazyAdam
    from ranklite.models.training.task import RankingModel

    stored = pathlib.Path(folder, "layout.pickle").read_bytes()
    layout = FeatureLayout.from_dict(pickle.loads(stored))
    train, valid = ([os.path.join(folder, f"{name}.gz")] for name in ("train", "valid"))
    config = DeepFMConfig(embedding_dim=DIM, hidden_units=TOWER, dropout=0.2, batch_norm=True)
    settings = TrainingConfig(
        batch_size=BATCH,
        epochs=WARM_UP + epochs,
        patience=WARM_UP + epochs,
        ridge=0.0,
        embedding_l2=0.1,
        oov_rate=0.0,
    )
    rows = data.count_rows(train, layout)
    model = training.build(layout, config, settings)
    bare = RankingModel(training.build(layout, config, settings))
    bare.compile(LazyAdam(*training.optimizer_settings(settings, rows)))
    batches = list(data.dataset(train, layout, BATCH, drop_remainder=True))

    @tf.function(autograph=False)
    def step(features: Any, label: Any) -> Any:
        return bare.train_step((features, label))

    step(*batches[0])
    step(*batches[0])
    fitted: list[Span] = []
    looped: list[Span] = []

    class Begin(keras.callbacks.Callback):
        watch = Stopwatch()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            fitted.append(self.watch.span())

    class End(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            watch = Stopwatch()
            for batch in batches:
                result = step(*batch)
            float(result["loss"])
            looped.append(watch.span())
            Begin.watch = Stopwatch()

    training.fit(model, layout, train, valid, settings, callbacks=[Begin()], watchers=[End()])
    count = len(batches) * BATCH
    return {
        f"{name}_{what}": count / min(getattr(span, what) for span in spans[WARM_UP:])
        for name, spans in (("fit", fitted), ("bare", looped))
        for what in ("clock", "processor")
    }


def measured_on(cores: list[int], folder: str, epochs: int) -> dict[str, float]:
    """`measure` in a process that may use some cores only."""
    command = [sys.executable, "-m", "benchmarks.training", "--measure", folder]
    command += ["--epochs", str(epochs), "--cores", ",".join(map(str, cores))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    made: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return made


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RANKLITE_DATA"), help="holds frappe/")
    parser.add_argument("--epochs", type=int, default=4, help="to time, after the first")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--cores", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        # Before TensorFlow is imported, which makes a thread for each core that it may use.
        os.sched_setaffinity(0, [int(core) for core in arguments.cores.split(",")])
        print(json.dumps(measure(arguments.measure, arguments.epochs)))
        return 0
    figures = []
    there = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        write_rows(folder, arguments.data)
        by_cores: list[dict[str, float]] = []
        for cores in CORES:
            if not set(cores) <= there:
                continue
            made = measured_on(cores, folder, arguments.epochs)
            by_cores.append(made)
            what = f"fit, {len(cores)} core{'s' * (len(cores) > 1)}"
            for name, suffix in (("clock", ""), ("processor", ", by the processor's time")):
                ours, peer = made[f"fit_{name}"], made[f"bare_{name}"]
                if len(cores) == 1 or name == "clock":
                    figures.append(
                        report.Figure(what + suffix, ours, peer, ours / peer, "rows/s", TO_REACH)
                    )
    if len(by_cores) == len(CORES):
        one, two = (made["fit_clock"] for made in by_cores)
        figures.append(report.Figure("2 cores against 1", two, one, two / one, "rows/s", "1.7"))
    print(report.show(figures))
    if arguments.json:
        report.write(arguments.json, "training", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
