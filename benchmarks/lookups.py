"""Three ways to look 32-bit keys up inside a TFLite file, in builtin operators.

    python -m benchmarks.lookups [--rounds 9] [--json <file>]

For vocabularies of 1,000 to 1,000,000 fingerprints, one thread:

- displaced: hash and displace, as files have it (`ranklite.models.features.perfect_hash`)
- sorted: a binary search in the sorted keys, one gather and one comparison a step, unrolled
- buckets: keys in buckets of 8 by their remainder; all 8 are compared at once

Rows are 9 known keys to 1 unseen one. Figures are microseconds a call at batch 1 and a row at 512,
medians over the rounds, in turns; bytes are those of the file a key.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import numpy.typing as npt  # isort: skip
import tensorflow as tf  # isort: skip

from ranklite.models.export.quiet import without_runtime_log
from ranklite.models.features.layout import MISSING_INT32, Field
from ranklite.models.features.perfect_hash import PerfectHash, row_type
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.reporting.tables import table

SIZES = (1_000, 30_000, 1_000_000)
BATCHES = (1, 512)
SLOTS = 8
OOV = 1

Keys = npt.NDArray[np.int32]
Lookup = Callable[[tf.Tensor], tf.Tensor]


def displaced(keys: Keys) -> Lookup:
    """Hash and displace."""
    field = Field("x", 0, 1, 1, len(keys) + 2)
    held = PerfectHash(RawColumn("x", "string"), keys.tolist(), field, field.missing_row)
    return lambda x: PerfectHash.together([held], x)


def binary_search(keys: Keys) -> Lookup:
    """The last key that is not above x, by halving."""
    order = np.argsort(keys)
    steps = math.ceil(math.log2(len(keys)))
    padded = np.full(2**steps, np.iinfo(np.int32).max, np.int32)
    padded[: len(keys)] = keys[order]
    rows = np.full(2**steps, OOV, row_type([len(keys) + 3]))
    rows[: len(keys)] = order + 3

    def lookup(x: tf.Tensor) -> tf.Tensor:
        place = tf.zeros_like(x)
        for step in range(steps - 1, -1, -1):
            above = place + 2**step
            place = tf.where(tf.gather(tf.constant(padded), above) <= x, above, place)
        known = tf.equal(tf.gather(tf.constant(padded), place), x)
        found = tf.where(known, tf.cast(tf.gather(tf.constant(rows), place), tf.int32), OOV)
        return tf.where(tf.equal(x, MISSING_INT32), OOV + 1, found)

    return lookup


def buckets(keys: Keys) -> Lookup:
    """Buckets of SLOTS keys, so many that none overflows."""
    count = max(1, len(keys) // (SLOTS // 2))
    while np.bincount(keys % count).max() > SLOTS:
        count += 1 + count // 8
    held = np.full((count, SLOTS), MISSING_INT32, np.int32)
    rows = np.zeros((count, SLOTS), row_type([len(keys) + 3]))
    free = np.zeros(count, np.int64)
    for row, key in enumerate(keys.tolist(), 3):
        bucket = key % count
        held[bucket, free[bucket]], rows[bucket, free[bucket]] = key, row - OOV
        free[bucket] += 1

    def lookup(x: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(x, [-1])
        bucket = flat % count
        same = tf.equal(tf.gather(tf.constant(held), bucket), flat[:, None])
        row = tf.cast(tf.gather(tf.constant(rows), bucket), tf.int32)
        found = tf.reduce_sum(tf.where(same, row, 0), axis=1, keepdims=True) + OOV
        return tf.where(tf.equal(x, MISSING_INT32), OOV + 1, found)

    return lookup


WAYS: dict[str, Callable[[Keys], Lookup]] = {
    "displaced": displaced,
    "sorted": binary_search,
    "buckets": buckets,
}


def converted(lookup: Lookup) -> bytes:
    """A TFLite file of nothing but the lookup."""
    function = tf.function(lookup, autograph=False).get_concrete_function(
        tf.TensorSpec([None, 1], tf.int32, name="x")
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return bytes(converter.convert())


def prepared(content: bytes, x: npt.NDArray[np.int32]) -> Callable[[], npt.NDArray[np.int32]]:
    """A call on some values."""
    from ai_edge_litert.interpreter import Interpreter

    with without_runtime_log():
        interpreter = Interpreter(model_content=content, num_threads=1)
        (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(given["index"], x.shape)
        interpreter.allocate_tensors()

    def call() -> npt.NDArray[np.int32]:
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        result: npt.NDArray[np.int32] = interpreter.get_tensor(made["index"])
        return result

    return call


def measured(size: int, rounds: int) -> list[dict[str, Any]]:
    """All ways with a vocabulary of a size."""
    rng = np.random.default_rng(size)
    drawn = rng.choice(2**32 - 2, size + BATCHES[-1], replace=False) - 2**31 + 1
    keys, unseen = drawn[:size].astype(np.int32), drawn[size:].astype(np.int32)
    files = {name: converted(way(keys)) for name, way in WAYS.items()}
    times: dict[tuple[str, int], list[float]] = {}
    for batch in BATCHES:
        known = rng.integers(0, size, batch)
        x = np.where(rng.random(batch) < 0.9, keys[known], unseen[:batch])[:, None]
        calls = {name: prepared(content, x) for name, content in files.items()}
        expected = np.where(x[:, 0] == keys[known], known + 3, OOV)
        for name, call in calls.items():
            np.testing.assert_array_equal(call()[:, 0], expected, err_msg=name)
        repeat = max(20, 20_000 // batch)
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                for _ in range(repeat):
                    call()
                spent = (time.perf_counter() - start) / repeat / batch * 1e6
                times.setdefault((name, batch), []).append(spent)
    return [
        {
            "keys": size,
            "way": name,
            "bytes a key": len(content) / size,
            **{f"us at {b}": float(np.median(times[name, b])) for b in BATCHES},
        }
        for name, content in files.items()
    ]


def main() -> int:
    """Measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="times each is measured")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    figures = [each for size in SIZES for each in measured(size, arguments.rounds)]
    rows = [
        [f"{each['keys']:,}", each["way"], f"{each['bytes a key']:.1f}"]
        + [f"{each[f'us at {b}']:.2f}" for b in BATCHES]
        for each in figures
    ]
    print(table(["keys", "way", "bytes a key", "us, batch 1", "us a row, batch 512"], rows))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
