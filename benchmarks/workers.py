"""What a second process gains a training, and what a table takes in each of them.

    python -m benchmarks.workers                       # a table of 5,000,000 rows x 16, 1 and 2
    python -m benchmarks.workers --rows 100000 --workers 2 4

One process, processes with whole tables, and processes that divide the rows among them train on the
same generated batches, one after the other in one run: the ratios hold on a busy machine, where the
times do not. A step's time is that of the quickest of the second epoch; memory is the most that a
process had, TensorFlow itself included, which `--rows 1000` shows.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa

from ranklite.components.trainer import workers
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.tfrecords import write_examples

BATCH = 4096  # over all processes
FIELDS = 4


def layout(rows: int) -> FeatureLayout:
    """Fields of equal size whose tables have about so many rows together."""
    return FeatureLayout.build([(f"field{k}", 1, rows // FIELDS) for k in range(FIELDS)])


def write(path: str, of: FeatureLayout, rows: int, seed: int) -> str:
    """Examples whose ids are as unequal as items of a log: frequency falls with the rank."""
    random = np.random.default_rng(seed)
    columns = []
    for field in of.fields:
        values = field.rows - 3
        rank = np.exp(random.random(rows) * np.log(values)).astype(np.int64)
        columns.append(field.missing_row + 1 + rank)
    ids = np.stack(columns, axis=1)
    label = (random.random((rows, 1)) < 0.3).astype(np.float32)

    def lists(values: Any) -> pa.Array:
        ends = np.arange(0, values.size + 1, values.shape[1])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values.ravel()))

    batch = pa.RecordBatch.from_pydict({"ids": lists(ids), "label": lists(label)})
    write_examples(path, [batch])
    return path


def measure(given: dict[str, Any]) -> None:
    """Trains, in one process of however many, and writes down what it took."""
    import tf_keras as keras

    from ranklite.models.architectures.deepfm import DeepFMConfig
    from ranklite.models.training import fit as training
    from ranklite.models.training.config import TrainingConfig

    class Clock(keras.callbacks.Callback):
        """Notes when steps end."""

        def __init__(self) -> None:
            super().__init__()
            self.marks: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.marks = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.marks.append(time.perf_counter())

    of = layout(given["rows"])
    settings = TrainingConfig(
        **given["training"], batch_size=BATCH, epochs=2, oov_rate=0.0, patience=1
    )
    clock = Clock()
    model = training.build(of, DeepFMConfig(embedding_dim=given["dim"]), settings)
    figures = training.fit(
        model, of, [given["train"]], [given["eval"]], settings, callbacks=[clock]
    )
    cluster = json.loads(os.environ.get(workers.CLUSTER, "{}"))
    rank = cluster.get("task", {}).get("index", 0)
    told = {
        "step_ms": 1e3 * float(np.diff(clock.marks).min()),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "log_loss": figures["log_loss"],
    }
    pathlib.Path(given["folder"], f"{rank}.json").write_text(json.dumps(told))


def run(given: dict[str, Any], count: int, folder: pathlib.Path) -> list[dict[str, float]]:
    """What each of some processes took."""
    folder.mkdir()
    workers.together("benchmarks.workers:measure", {**given, "folder": str(folder)}, count)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(count)]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the table")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20, help="an epoch")
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        of = layout(args.rows)
        given = {
            "rows": args.rows,
            "dim": args.dim,
            "train": write(str(folder / "train.gz"), of, args.steps * BATCH, 0),
            "eval": write(str(folder / "eval.gz"), of, 2 * BATCH, 1),
        }
        kinds: list[tuple[str, int, dict[str, Any]]] = [("one process", 1, {})]
        for count in args.workers:
            together = {"strategy": "multi_worker"}
            kinds += [
                (f"{count}, whole tables", count, together),
                (f"{count}, divided", count, {**together, "shard_tables": True}),
            ]
        first = 0.0
        print(f"table of {args.rows:,} x {args.dim}, {BATCH} rows a step")
        print(f"{'':20} {'ms a step':>10} {'of one':>8} {'MB, each':>16} {'log loss':>10}")
        for k, (kind, count, changes) in enumerate(kinds):
            made = run({**given, "training": changes}, count, folder / str(k))
            step = made[0]["step_ms"]
            first = first or step
            sizes = ", ".join(f"{one['megabytes']:.0f}" for one in made)
            loss = made[0]["log_loss"]
            print(
                f"{kind:20} {step:10.1f} {step / first:8.2f} {sizes:>16} {loss:10.5f}", flush=True
            )


if __name__ == "__main__":
    main()
