"""Writes a split of the log as gzipped TFRecords of tf.Examples."""

from __future__ import annotations

import os
from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.features.layout import TIMESTAMP
from ranklite.models.features.sql import name, quoted

ROWS = 20_000  # rows an Arrow batch
GZIP_LEVEL = 1  # gzip is what limits: level 6 takes twice as long for a third less space
FILE = "data_tfrecord-00000-of-00001.gz"


def write_split(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    split: str,
    folder: str,
    written: Callable[[int], None],
) -> int:
    """Writes one split in the order of the log.

    Args:
      con: `log` is filled.
      config: Names the columns.
      split: Which split.
      folder: Where its file goes; made if needed.
      written: Is told of rows as they are written.

    Returns:
      Rows written.
    """
    features = config.features
    columns = [column.name for column in features.raw_columns]
    columns += [c for c in (features.user, features.item, *features.slices) if c]
    select = [f"label AS {name(features.label)}"]
    select += [f"{name(column)}" for column in dict.fromkeys(columns)]
    if config.timestamp and TIMESTAMP not in columns:
        select.append(f"ts AS {TIMESTAMP}")
    order = "row_id, nth" if config.sampled_negatives else "row_id"
    batches = con.sql(
        f"SELECT {', '.join(select)} FROM log WHERE split = {quoted(split)} ORDER BY {order}"
    ).to_arrow_reader(ROWS)
    os.makedirs(folder, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=GZIP_LEVEL)
    rows = 0
    with tf.io.TFRecordWriter(os.path.join(folder, FILE), options) as writer:
        for batch in batches:
            for record in encode(batch):
                writer.write(record)
            rows += batch.num_rows
            written(batch.num_rows)
    return rows


def encode(batch: pa.RecordBatch) -> list[bytes]:
    """Serialized Examples of the rows of an Arrow batch."""
    as_lists = pa.RecordBatch.from_arrays(
        [_lists(column) for column in batch.columns], batch.schema.names
    )
    return list(RecordBatchToExamplesEncoder(None).encode(as_lists))


def _lists(column: pa.Array) -> pa.Array:
    """A column as lists of bytes, int64 or float32; a missing value is a null list."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        offsets = column.offsets.cast(pa.int64())
        values = _plain(column.values)
        return pa.LargeListArray.from_arrays(offsets, values)
    valid = np.asarray(column.is_valid())
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int64)
    missing = np.concatenate([~valid, [False]])
    return pa.LargeListArray.from_arrays(
        pa.array(offsets, pa.int64(), mask=missing), _plain(column.drop_null())
    )


def _plain(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_integer(kind):
        return values.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.float32(), safe=False)
    if pa.types.is_string(kind):
        values = values.cast(pa.large_string())
    return values.cast(pa.large_binary())
