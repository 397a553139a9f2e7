"""Examples that are joined by columns are those that protobuf makes of rows."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from ranklite.models.features import tfrecords
from ranklite.models.features.arrow import as_lists, encode
from ranklite.models.features.example_bytes import varint

_TEXTS = st.one_of(st.text(max_size=5), st.just("x" * 127), st.just("y" * 20_000))
_NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=200)
_VALUES: dict[pa.DataType, Any] = {
    pa.string(): _TEXTS,
    pa.large_binary(): st.binary(max_size=200),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float64(): st.floats(width=32),
}


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    rows = draw(st.integers(1, 6))
    columns = {}
    for name in draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(list(_VALUES)))
        values = st.one_of(st.none(), _VALUES[kind])
        if draw(st.booleans()):
            kind, values = pa.list_(kind), st.lists(_VALUES[kind], max_size=3)
        columns[name] = pa.array([draw(values) for _ in range(rows)], kind)
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def by_rows(batch: pa.RecordBatch) -> list[bytes]:
    """What TFX's own encoder makes of the rows, its maps put in order of their keys' bytes."""
    records = RecordBatchToExamplesEncoder(None).encode(as_lists(batch))
    return [*map(_in_order, records)]


def _in_order(record: bytes) -> bytes:
    """An Example, feature by feature: protobuf's versions put "0" and "00" in different orders."""
    values = tf.train.Example.FromString(record).features.feature
    parts = [
        tf.train.Features(feature={name: values[name]}).SerializeToString()
        for name in sorted(values, key=str.encode)
    ]
    content = b"".join(parts)
    return b"\n" + varint(len(content)) + content


@settings(max_examples=200, deadline=None)
@given(batches(), st.data())
def test_the_same_bytes(batch: pa.RecordBatch, data: st.DataObject) -> None:
    assert encode(batch) == by_rows(batch)
    first = data.draw(st.integers(0, batch.num_rows - 1))
    assert encode(batch.slice(first)) == encode(batch)[first:]


def test_missing_lists_and_elements() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "texts": pa.array([["a", None], None, []], pa.list_(pa.string())),
            "numbers": pa.array([[1, None], None, []], pa.list_(pa.int64())),
            "nothing": pa.nulls(3),
        }
    )
    assert encode(batch) == by_rows(batch)


def test_numbers_by_hand() -> None:
    assert [varint(n).hex() for n in (0, 127, 128, 300, 2**32)] == [
        "00",
        "7f",
        "8001",
        "ac02",
        "8080808010",
    ]


def _batch(rows: int) -> pa.RecordBatch:
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {"label": rng.integers(0, 2, rows).astype(np.float32)}
    columns |= {name: rng.integers(0, 1000, rows).astype(str) for name in "abcd"}
    columns |= {name: rng.integers(0, 1000, rows) for name in "ef"}
    columns |= {name: rng.normal(0, 1, rows).astype(np.float32) for name in "gh"}
    return pa.RecordBatch.from_pydict({name: pa.array(each) for name, each in columns.items()})


def test_a_row_costs_one_call() -> None:
    """The checksum; all else is called by batch and by distinct size."""
    counts = {}
    for rows in (2000, 12_000):
        batch, calls = _batch(rows), 0

        def count(_: Any, event: str, __: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            tfrecords.packed(batch)
        finally:
            sys.setprofile(None)
        counts[rows] = calls
    assert counts[12_000] - counts[2000] <= 1.1 * 10_000
    assert counts[2000] <= 2000 + 3000


def test_a_batch_takes_a_few_times_its_own_memory() -> None:
    batch = _batch(20_000)
    size = len(tfrecords.records(batch))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        tfrecords.packed(batch)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 4 * size
    assert pa.total_allocated_bytes() - before <= size
