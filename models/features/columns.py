"""Reads the columns that TensorFlow Transform hands over, sparse, ragged or dense.

A schema decides which of the three arrives: one made by SchemaFromConfig gives sparse columns, an
imported one with fixed shapes dense ones.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ranklite.models.features.layout import (
    MISSING_FLOAT,
    MISSING_INT32,
    MISSING_INT64,
    MISSING_STRING,
)
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.rules import TOGETHER, is_present

Constant = Callable[..., tf.Tensor]
MISSING_OF = {
    tf.string: MISSING_STRING,
    tf.int64: MISSING_INT64,
    tf.int32: MISSING_INT32,
    tf.float32: MISSING_FLOAT,
}


def raw_values(
    inputs: Mapping[str, Any], columns: Sequence[RawColumn], constant: Constant = tf.constant
) -> dict[str, tf.Tensor]:
    """Raw columns as [B], or [B, length] of a list, missing values in their places.

    Args:
      inputs: Columns by name, sparse, ragged or dense; there may be others too.
      columns: Those that are wanted.
      constant: As `lists` takes it.
    """
    together: dict[tf.DType, list[str]] = collections.defaultdict(list)
    for column in columns:
        if column.length is None and isinstance(inputs[column.name], tf.SparseTensor):
            together[inputs[column.name].dtype].append(column.name)
    found: dict[str, tf.Tensor] = {}
    for names in together.values():
        if len(names) >= TOGETHER:
            dense = scalars_together([inputs[name] for name in names])
            found |= dict(zip(names, tf.unstack(dense, len(names), axis=1), strict=True))
    return {
        column.name: found[column.name]
        if column.name in found
        else scalars(inputs[column.name], constant)
        if column.length is None
        else lists(inputs[column.name], column.length, constant)
        for column in columns
    }


def lists(column: Any, length: int, constant: Constant = tf.constant) -> tf.Tensor:
    """A column as [B, length]: longer rows are cut, shorter ones filled with the missing value.

    Args:
      column: SparseTensor, RaggedTensor or Tensor of [B, any], or Tensor [B].
      length: Values kept a row, the first ones.
      constant: Makes constants. `functools.cache(tf.constant)` lets several columns of a graph
        share them: they are most of the operations, each of which every trace and load pays for.
    """
    return tf.reshape(_dense(column, length, constant), constant((-1, length)))


def scalars(column: Any, constant: Constant = tf.constant) -> tf.Tensor:
    """The first value of each row as [B], the missing value where a row has none."""
    return tf.reshape(_dense(column, 1, constant), constant((-1,)))


def scalars_together(columns: Sequence[tf.SparseTensor]) -> tf.Tensor:
    """What `scalars` makes of several columns of one type, as [B, K], in a few operations.

    Args:
      columns: Of the same rows.
    """
    first, dtype = columns[0], columns[0].dtype
    sizes = tf.concat(tf.shape_n([c.values for c in columns], out_type=tf.int64), axis=0)
    number = tf.repeat(tf.range(len(columns), dtype=tf.int64), sizes)
    place = tf.concat([column.indices for column in columns], axis=0)
    values = tf.concat([column.values for column in columns], axis=0)
    is_first = tf.where(tf.equal(place[:, 1], 0))[:, 0]
    return tf.raw_ops.SparseToDense(
        sparse_indices=tf.gather(tf.stack([place[:, 0], number], axis=1), is_first),
        output_shape=tf.stack([first.dense_shape[0], len(columns)]),
        sparse_values=tf.gather(values, is_first),
        default_value=tf.constant(MISSING_OF[dtype], dtype),
        validate_indices=False,  # they are in order of columns
    )


def _dense(column: Any, length: int, constant: Constant) -> tf.Tensor:
    missing = constant(MISSING_OF[column.dtype], column.dtype)
    if isinstance(column, tf.RaggedTensor):
        return column.to_tensor(missing, shape=[None, length])
    if isinstance(column, tf.SparseTensor):
        indices, values, shape = tf.raw_ops.SparseSlice(
            indices=column.indices,
            values=column.values,
            shape=column.dense_shape,
            start=constant((0, 0), tf.int64),
            size=constant((tf.int64.max, length), tf.int64),
        )
        return tf.raw_ops.SparseToDense(
            sparse_indices=indices,
            output_shape=tf.maximum(shape, constant((0, length), tf.int64)),
            sparse_values=values,
            default_value=missing,
            validate_indices=False,
        )
    dense = (column if column.shape.rank == 2 else column[:, None])[:, :length]
    absent = length - tf.shape(dense)[1]
    return tf.pad(dense, [[0, 0], [0, absent]], constant_values=missing)


def text(values: tf.Tensor) -> tf.Tensor:
    """Values as strings: integers in decimal, "" where one is missing."""
    if values.dtype == tf.string:
        return values
    if values.dtype == tf.int64:
        missing = values == MISSING_INT64
        return tf.where(missing, MISSING_STRING, tf.strings.as_string(values))
    decimal = tf.strings.as_string(values, shortest=True)
    return tf.where(is_present(values), decimal, MISSING_STRING)
