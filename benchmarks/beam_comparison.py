"""A stage in this process against TFX's on Beam: generated Examples, and the measurement.

Both run the executor of the stage on one machine, in turns and in a process of their own each: what
is told is the time of the stage alone, without imports, its processor seconds, which others on the
machine change less, and the most memory that the process had.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.report import Figure, show, write

SPLITS = {"train": 0.8, "eval": 0.1, "test": 0.1}
WAYS = ("ours", "peer")
BATCH = 20_000
TEXTS = {"user": "u", "category": "c", "device": "d"}


class Measured(NamedTuple):
    """What a stage took: seconds, seconds of the processor, and the peak of memory in MB."""

    seconds: float
    processor: float
    memory: float


def measured(work: Callable[[], Any]) -> Measured:
    """What a piece of work takes in this process."""
    started, processor = time.perf_counter(), time.process_time()
    work()
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    return Measured(seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def features(history: int) -> dict[str, Any]:
    """The feature set, with a history of so many items."""
    kinds: list[dict[str, Any]] = [
        {"kind": "categorical", "name": "user"},
        {"kind": "categorical", "name": "item", "dtype": "int64"},
        {"kind": "categorical", "name": "category"},
        {"kind": "multi_categorical", "name": "tags", "max_length": 4},
        {"kind": "categorical", "name": "hour", "dtype": "int64"},
        {"kind": "categorical", "name": "device", "min_count": 2},
        {"kind": "numeric", "name": "price", "log": True, "missing_indicator": True},
        {"kind": "numeric", "name": "age", "buckets": 10},
    ]
    if history:
        kinds.append(
            {"kind": "history", "name": "recent", "of": "item", "by": "user", "length": history}
        )
    return {"features": kinds, "user": "user", "item": "item", "slices": ["device"]}


def _batches(
    rows: int, arguments: argparse.Namespace, rng: np.random.Generator
) -> Iterator[pa.RecordBatch]:
    """Rows of a log, seeded."""
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        ids = {
            "user": rng.integers(0, arguments.users, count),
            "item": rng.integers(0, arguments.items, count),
            "category": rng.integers(0, 40, count),
            "hour": rng.integers(0, 24, count),
            "device": rng.integers(0, 4, count),
        }
        columns: dict[str, Any] = {
            name: pa.array(np.char.add(TEXTS[name], x.astype(str)) if name in TEXTS else x)
            for name, x in ids.items()
        }
        columns["label"] = pa.array(rng.integers(0, 2, count).astype(np.float32))
        price, age = rng.lognormal(3, 1, count), rng.integers(18, 80, count).astype(float)
        columns["price"] = pa.array(price, pa.float32(), mask=rng.random(count) < 0.05)
        columns["age"] = pa.array(age, pa.float32(), mask=rng.random(count) < 0.02)
        columns["tags"] = _lists(rng, count, 5, np.char.add("t", np.arange(60).astype(str)))
        if arguments.history:
            state = rng.bit_generator.state
            listed = _lists(rng, count, arguments.history + 1, np.arange(arguments.items))
            rng.bit_generator.state = state  # the outcomes have the same lengths
            outcomes = _lists(rng, count, arguments.history + 1, np.array([0.0, 1.0], np.float32))
            columns |= {"recent": listed, "recent_outcome": outcomes}
        yield pa.RecordBatch.from_pydict(columns)


def _lists(rng: np.random.Generator, count: int, most: int, values: Any) -> pa.Array:
    """Lists of fewer than `most` values."""
    offsets = np.concatenate([[0], rng.integers(0, most, count).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values[rng.integers(0, len(values), offsets[-1])])


def _generate(folder: str, arguments: argparse.Namespace) -> None:
    """Writes Examples and their schema."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    from ranklite.models.features.row_counts import ROWS_FILE
    from ranklite.models.features.tfrecords import write_examples

    rng = np.random.default_rng(1)
    counts = {split: int(arguments.rows * share) for split, share in SPLITS.items()}
    for split, rows in counts.items():
        made = _batches(rows, arguments, rng)
        write_examples(f"{folder}/examples/Split-{split}/data-00000-of-00001.gz", made)
    pathlib.Path(folder, "examples", ROWS_FILE).write_text(json.dumps(counts), encoding="utf-8")
    schema = schema_pb2.Schema()
    for field in next(_batches(1, arguments, rng)).schema:
        values = field.type.value_type if pa.types.is_list(field.type) else field.type
        kind = {"int64": schema_pb2.INT, "float": schema_pb2.FLOAT}.get(str(values))
        schema.feature.add(name=field.name, type=kind or schema_pb2.BYTES)
    os.makedirs(f"{folder}/schema")
    text = text_format.MessageToString(schema)
    pathlib.Path(folder, "schema", "schema.pbtxt").write_text(text, encoding="utf-8")


def _elsewhere(function: Any, *arguments: Any) -> Any:
    """What a function returns in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
        return process.submit(function, *arguments).result()


def main(
    benchmark: str,
    stage: str,
    run: Callable[[str, str, argparse.Namespace], Measured],
    differences: Callable[[str, argparse.Namespace], dict[str, float]],
    to_reach: str,
) -> None:
    """Measures, prints and writes.

    Args:
      benchmark: Its name.
      stage: The stage's.
      run: Runs the stage on the Examples in a folder, one of `WAYS`.
      differences: What differs between both, by words that say what.
      to_reach: Of the time, in words.
    """
    parser = argparse.ArgumentParser(description=f"{stage} here against TFX's on Beam.")
    for name, default in (("rows", 1_000_000), ("users", 1_000_000), ("items", 300_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--history", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    ways = (arguments.only,) if arguments.only else WAYS
    with tempfile.TemporaryDirectory() as folder:
        _elsewhere(_generate, folder, arguments)
        runs: dict[str, list[Measured]] = {way: [] for way in ways}
        for _ in range(arguments.repeat):
            for way in ways:
                runs[way].append(_elsewhere(run, folder, way, arguments))
        for way in ways:
            for each in runs[way]:
                print(
                    f"{way}: {each.seconds:.1f} s, processor {each.processor:.1f} s, "
                    f"{each.memory:,.0f} MB"
                )
        if arguments.only:
            return
        ours, peer = (Measured(*map(min, zip(*runs[way], strict=True))) for way in WAYS)
        of = f"{arguments.rows:,} rows" + f", history {arguments.history}" * bool(arguments.history)
        figures = [
            Figure(f"{stage}, {what}, {of}", own, other, other / own, unit, goal)
            for what, own, other, unit, goal in zip(
                ("time", "processor time", "peak memory"),
                ours,
                peer,
                ("s", "s", "MB"),
                (to_reach, "", ""),
                strict=True,
            )
        ]
        figures += [
            Figure(f"{stage}, {what}", value, 0.0, None, "")
            for what, value in _elsewhere(differences, folder, arguments).items()
        ]
    print(show(figures))
    if arguments.json:
        write(arguments.json, benchmark, figures)
