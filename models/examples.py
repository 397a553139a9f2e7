"""Decodes raw and transformed tf.Examples into the arrays that a TFLite file takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models.config import FeatureSet, MultiCategoricalFeature, NumericFeature
from models.layout import (
    IDS,
    LABEL,
    MISSING_INT64,
    MISSING_STRING,
    NUMERIC,
    FeatureLayout,
)
from models.raw_columns import lists, scalars

Arrays = dict[str, npt.NDArray[Any]]


def raw_inputs(records: Sequence[bytes], features: FeatureSet) -> Arrays:
    """Inputs of `serving_raw` from serialized raw Examples.

    Args:
      records: R serialized Examples.
      features: The configured features.

    Returns:
      An array of R rows by feature, with the missing values that `RawFeatures` documents.
    """
    spec: dict[str, Any] = {}
    for feature in features.features:
        if isinstance(feature, NumericFeature):
            spec[feature.name] = tf.io.VarLenFeature(tf.float32)
        else:
            spec[feature.name] = tf.io.VarLenFeature(
                tf.string if feature.dtype == "string" else tf.int64
            )
    parsed = tf.io.parse_example(tf.constant(list(records), tf.string), spec)
    arrays = {}
    for feature in features.features:
        column = parsed[feature.name]
        if isinstance(feature, MultiCategoricalFeature):
            arrays[feature.name] = lists(column, feature.max_length).numpy()
        else:
            arrays[feature.name] = scalars(column).numpy()
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
    return inputs, parsed[LABEL][:, 0], texts


def read_records(files: Sequence[str]) -> list[bytes]:
    """All records of some gzipped TFRecord files, in order."""
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")
    return [record for batch in records.batch(4096) for record in batch.numpy()]


def as_sparse(raw: Arrays, features: FeatureSet) -> dict[str, tf.SparseTensor]:
    """Raw inputs as Transform takes them: what is missing is absent."""
    sparse = {}
    for feature in features.features:
        value = raw[feature.name]
        rows = value if value.ndim == 2 else value[:, None]
        if isinstance(feature, NumericFeature):
            present = ~np.isnan(rows)
        elif feature.dtype == "string":
            present = rows != MISSING_STRING.encode()
        else:
            present = rows != MISSING_INT64
        # Values move to the front of their list, as a log writes them.
        where = np.argwhere(present)
        counts = present.sum(axis=1)
        position = np.concatenate([np.arange(n) for n in counts]) if len(where) else where[:, 0]
        indices = np.stack([where[:, 0], position], axis=1).astype(np.int64)
        values = rows[present]
        dtype = tf.string if values.dtype == np.object_ else None
        sparse[feature.name] = tf.SparseTensor(
            indices.reshape(-1, 2),
            tf.constant(values.tolist(), dtype) if dtype else tf.constant(values),
            [len(rows), max(1, int(counts.max(initial=0)))],
        )
    return sparse
