"""Reads the columns that TensorFlow Transform hands over, sparse, ragged or dense.

A schema decides which of the three arrives: one made by SchemaFromConfig gives sparse columns, an
imported one with fixed shapes dense ones.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ranklite.models.features.layout import (
    MISSING_FLOAT,
    MISSING_INT32,
    MISSING_INT64,
    MISSING_STRING,
)
from ranklite.models.features.rules import is_present

MISSING_OF = {
    tf.string: MISSING_STRING,
    tf.int64: MISSING_INT64,
    tf.int32: MISSING_INT32,
    tf.float32: MISSING_FLOAT,
}


def lists(column: Any, length: int) -> tf.Tensor:
    """A column as [B, length]: longer rows are cut, shorter ones filled with the missing value.

    Args:
      column: SparseTensor, RaggedTensor or Tensor of [B, any], or Tensor [B].
      length: Values kept a row, the first ones.
    """
    missing = tf.constant(MISSING_OF[column.dtype], column.dtype)
    if isinstance(column, tf.RaggedTensor):
        return column.to_tensor(missing, shape=[None, length])
    if isinstance(column, tf.SparseTensor):
        shape = tf.stack([column.dense_shape[0], tf.constant(length, tf.int64)])
        kept = tf.sparse.slice(column, [0, 0], shape)
        kept = tf.SparseTensor(kept.indices, kept.values, shape)
        return tf.reshape(tf.sparse.to_dense(kept, missing, validate_indices=False), [-1, length])
    dense = (column if column.shape.rank == 2 else column[:, None])[:, :length]
    absent = length - tf.shape(dense)[1]
    filled = tf.pad(dense, [[0, 0], [0, absent]], constant_values=missing)
    return tf.reshape(filled, [-1, length])


def scalars(column: Any) -> tf.Tensor:
    """The first value of each row as [B], the missing value where a row has none."""
    return lists(column, 1)[:, 0]


def text(values: tf.Tensor) -> tf.Tensor:
    """Values as strings: integers in decimal, "" where one is missing."""
    if values.dtype == tf.string:
        return values
    if values.dtype == tf.int64:
        missing = values == MISSING_INT64
        return tf.where(missing, MISSING_STRING, tf.strings.as_string(values))
    decimal = tf.strings.as_string(values, shortest=True)
    return tf.where(is_present(values), decimal, MISSING_STRING)
