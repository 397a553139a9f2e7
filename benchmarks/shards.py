"""Rows a second that are read and shuffled: by one reader and a buffer of records, and mixed.

    python -m benchmarks.shards                     # 4 shards of 250,000 rows

The same gzipped shards are streamed both ways in turn, nothing is trained; the best of the rounds
counts. Memory is what the process grew by over all.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import tempfile
import time

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import tensorflow as tf  # isort: skip

from benchmarks import workers  # isort: skip
from ranklite.models.features.layout import FeatureLayout  # isort: skip
from ranklite.models.features.tfrecords import in_order  # isort: skip
from ranklite.models.training import data, in_memory  # isort: skip

ROUNDS = 3
BATCH = 4096


def rate(files: list[str], of: FeatureLayout, shuffle_rows: int, mixed: bool) -> float:
    """Rows a second of an epoch."""
    batches = data.dataset(files, of, BATCH, shuffle_rows=shuffle_rows, seed=1, mixed=mixed)
    started = time.perf_counter()
    rows = sum(int(label.shape[0]) for _, label in batches)
    return rows / (time.perf_counter() - started)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rows", type=int, default=250_000, help="a shard")
    parser.add_argument("--columns", type=int, default=24)
    args = parser.parse_args()
    in_memory.MOST_BYTES = 0  # streamed, however small
    of = FeatureLayout.build([(f"field{k}", 1, 1000) for k in range(args.columns)])
    tf.constant(0)
    with tempfile.TemporaryDirectory() as name:
        total = args.shards
        files = in_order(
            [
                workers.write(
                    str(pathlib.Path(name, f"rows-{k:05}-of-{total:05}.gz")), of, args.rows, k
                )
                for k in range(total)
            ]
        )
        shuffle = total * args.rows // 4  # as of a split of four million
        best = dict.fromkeys((False, True), 0.0)
        data.count_rows(files, of)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(ROUNDS):
            for mixed in (True, False):
                best[mixed] = max(best[mixed], rate(files, of, shuffle, mixed))
                if mixed:
                    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                    print(f"mixed: {grown / 1024:.0f} MB more so far", flush=True)
    print(f"one reader, records shuffled: {best[False]:,.0f} rows/s")
    print(f"mixed: {best[True]:,.0f} rows/s, {best[True] / best[False]:.1f} times as many")


if __name__ == "__main__":
    main()
