"""Decodes raw and transformed tf.Examples into the arrays that a TFLite file takes."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ranklite.models.features.columns import lists, scalars
from ranklite.models.features.layout import IDS, LABEL, NUMERIC, FeatureLayout
from ranklite.models.features.raw_column import RawColumn

Arrays = dict[str, npt.NDArray[Any]]

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
    arrays = {}
    for column in columns:
        values = parsed[column.name]
        rows = scalars(values) if column.length is None else lists(values, column.length)
        arrays[column.name] = rows.numpy()
    return arrays


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
    """
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")
    kept: collections.deque[bytes] = collections.deque(maxlen=last)
    for batch in records.batch(4096):
        kept.extend(batch.numpy())
    return list(kept)


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
    digests = {role: hashlib.sha256() for role in columns}
    whole = hashlib.sha256()
    reported, present = [], set()
    for record in records:
        values = tf.train.Example.FromString(record).features.feature
        for role, column in columns.items():
            if column in values:
                present.add(role)
            digests[role].update(_framed(values[column].SerializeToString()))
        whole.update(_framed(record))
        label = values[columns["label"]]
        reported += [*label.int64_list.value, *label.float_list.value][:1]
    if not np.array_equal(reported, labels):
        return {}
    if present == {"label"}:
        present, digests["row"] = {"label", "row"}, whole
    return {role: result.hexdigest()[:16] for role, result in digests.items() if role in present}


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
        where = np.argwhere(present)
        counts = present.sum(axis=1)
        position = np.concatenate([np.arange(n) for n in counts]) if len(where) else where[:, 0]
        indices = np.stack([where[:, 0], position], axis=1).astype(np.int64)
        values = rows[present]
        dtype = tf.string if values.dtype == np.object_ else None
        sparse[column.name] = tf.SparseTensor(
            indices.reshape(-1, 2),
            tf.constant(values.tolist(), dtype) if dtype else tf.constant(values),
            [len(rows), max(1, int(counts.max(initial=0)))],
        )
    return sparse
