"""Decodes raw and transformed tf.Examples into the arrays that a TFLite file takes."""

from __future__ import annotations

import collections
import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ranklite.models.features import row_counts, tfrecords
from ranklite.models.features.columns import raw_values
from ranklite.models.features.layout import IDS, LABEL, NUMERIC, FeatureLayout
from ranklite.models.features.raw_column import RawColumn

Arrays = dict[str, npt.NDArray[Any]]

_AHEAD = 2  # batches that are read before they are asked for
_SUFFIX = ".gz"
_BUFFER = 1 << 20  # bytes that are read at once
_DTYPES = {"string": tf.string, "int64": tf.int64, "float32": tf.float32}


def raw_inputs(records: Sequence[bytes], columns: Sequence[RawColumn]) -> Arrays:
    """Inputs of `serving_raw` from serialized raw Examples.

    Args:
      records: R serialized Examples.
      columns: The raw columns: `FeatureSet.raw_columns`.

    Returns:
      An array of R rows by column, with the missing values that `RawFeatures` documents.
    """
    spec = {column.name: tf.io.VarLenFeature(_DTYPES[column.dtype]) for column in columns}
    parsed = tf.io.parse_example(tf.constant(list(records), tf.string), spec)
    return {name: rows.numpy() for name, rows in raw_values(parsed, columns).items()}


def transformed_inputs(
    records: Sequence[bytes], layout: FeatureLayout, columns: Sequence[str] = ()
) -> tuple[Arrays, npt.NDArray[np.float32], dict[str, npt.NDArray[Any]]]:
    """Inputs of `serving_default`, labels and string columns from transformed Examples.

    Args:
      records: R serialized Examples.
      layout: Where the features live.
      columns: String columns to read as well.

    Returns:
      (`ids` and `numeric`, labels [R], the columns [R] by name).
    """
    spec: dict[str, Any] = {
        IDS: tf.io.FixedLenFeature([layout.num_ids], tf.int64),
        LABEL: tf.io.FixedLenFeature([1], tf.float32),
    }
    if layout.num_numeric:
        spec[NUMERIC] = tf.io.FixedLenFeature([layout.num_numeric], tf.float32)
    spec |= {name: tf.io.FixedLenFeature([1], tf.string, "") for name in columns}
    parsed = {
        name: value.numpy()
        for name, value in tf.io.parse_example(tf.constant(list(records), tf.string), spec).items()
    }
    texts = {name: parsed[name][:, 0].astype(str) for name in columns}
    inputs = {name: parsed[name] for name in (IDS, NUMERIC) if name in parsed}
    inputs[IDS] = inputs[IDS].astype(np.int32)
    return inputs, parsed[LABEL][:, 0], texts


def read_records(files: Sequence[str], last: int | None = None) -> list[bytes]:
    """Records of some gzipped TFRecord files, in order.

    Args:
      files: The files.
      last: How many records to keep, the last ones; None keeps all.

    Raises:
      RowsMissing: They hold fewer or more than they should.
    """
    kept: collections.deque[bytes] = collections.deque(maxlen=last)
    for batch in counted_batches(tfrecords.in_order(files), 4096):
        kept.extend(batch)
    return list(kept)


def counted_batches(paths: Sequence[str], batch_rows: int) -> Iterator[Any]:
    """The batches of `batches_of_records` as arrays of bytes, held to what the files should have.

    Raises:
      RowsMissing: They hold fewer records or more; told behind the last batch.
    """
    with row_counts.counted(paths) as counter:
        batches = batches_of_records(paths, batch_rows).prefetch(_AHEAD)
        for batch in batches.as_numpy_iterator():
            counter.add(len(batch))
            yield batch


def batches_of_records(paths: Sequence[str], batch_rows: int) -> tf.data.Dataset:
    """The records of TFRecord files in their order, gzipped ones by their names.

    Args:
      paths: The files.
      batch_rows: Rows of a batch; the last one may have fewer.

    Returns:
      Dataset of batches of serialized Examples, string [rows].
    """
    compression = "GZIP" if all(path.endswith(_SUFFIX) for path in paths) else ""
    return tf.data.TFRecordDataset(list(paths), compression, _BUFFER).batch(batch_rows)


def row_identity(
    records: Sequence[bytes], columns: Mapping[str, str], labels: npt.NDArray[Any]
) -> dict[str, str]:
    """Digests that tell which rows of a log some records are, in their order.

    Values count and not names, so that a run with one feature more, or another vocabulary, has the
    same rows.

    Args:
      records: Serialized raw Examples.
      columns: Their columns by role: `label`, `user`, `item`, `time`. Those that no record has are
        left out; where none but the label is there, whole records are digested.
      labels: [R], of the rows that are to be told. They come from transformed Examples, whose order
        Beam does not promise to keep.

    Returns:
      16 hexadecimal digits of a SHA-256 by role; empty where the labels are not the records'.
    """
    serialized = tf.constant(list(records), tf.string)
    found = {role: _rows(serialized, column) for role, column in columns.items()}
    present = {role for role, rows in found.items() if any(rows)}
    reported = [value for row in found["label"] for value in row[:1]]
    if not np.array_equal(reported, labels):
        return {}
    told = {role: _digest(map(_feature, found[role])) for role in columns if role in present}
    if present == {"label"}:
        told["row"] = _digest(records)
    return told


def _rows(records: tf.Tensor, column: str) -> list[list[Any]]:
    """The values of a column in each record; empty where it has none.

    A message of each record would be made of all of its columns.
    """
    for dtype in _DTYPES.values():
        spec = {column: tf.io.RaggedFeature(dtype)}
        with contextlib.suppress(tf.errors.InvalidArgumentError):  # of another type
            rows: list[list[Any]] = tf.io.parse_example(records, spec)[column].to_list()
            return rows
    raise ValueError(f"the records have values of several types, or are damaged: {column!r}")


def _feature(values: list[Any]) -> bytes:
    """A serialized feature, as a record holds it."""
    if not values:
        return b""
    if isinstance(values[0], bytes):
        made = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    elif isinstance(values[0], int):
        made = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    else:
        made = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    serialized: bytes = made.SerializeToString()
    return serialized


def _digest(values: Iterable[bytes]) -> str:
    result = hashlib.sha256()
    for value in values:
        result.update(_framed(value))
    return result.hexdigest()[:16]


def _framed(value: bytes) -> bytes:
    return len(value).to_bytes(8, "little") + value


def as_sparse(raw: Arrays, columns: Sequence[RawColumn]) -> dict[str, tf.SparseTensor]:
    """Raw inputs as Transform takes them: what is missing is absent."""
    sparse = {}
    for column in columns:
        value = raw[column.name]
        rows = value if value.ndim == 2 else value[:, None]
        present = rows != column.missing
        if column.dtype == "float32":
            present = ~np.isnan(rows)
        # Values move to the front of their list, as a log writes them.
        order = np.cumsum(present, axis=1)
        indices = np.stack([np.nonzero(present)[0], order[present] - 1], axis=1).astype(np.int64)
        values = rows[present]
        dtype = tf.string if values.dtype == np.object_ else None
        sparse[column.name] = tf.SparseTensor(
            indices.reshape(-1, 2),
            tf.constant(values.tolist(), dtype) if dtype else tf.constant(values),
            [len(rows), max(1, int(order.max(initial=0)))],
        )
    return sparse
