"""Writes a split of the log as gzipped TFRecords of tf.Examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    LABEL,
    LOG,
    PLACE,
    SPLIT,
    TIME,
    in_order,
)
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns
from ranklite.models.features.arrow import write_examples
from ranklite.models.features.layout import TIMESTAMP
from ranklite.models.features.sql import name, quoted

ROWS = 20_000  # rows an Arrow batch
FILE = "data_tfrecord-00000-of-00001.gz"


def write_split(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    split: str,
    folder: str,
    written: Callable[[int], None],
    past: PastColumns | None = None,
) -> int:
    """Writes one split in the order of the log.

    Args:
      con: The log is loaded and split.
      config: Names the columns.
      split: Which split.
      folder: Where its file goes; made if needed.
      written: Receives numbers of rows as they are written.
      past: The columns that are computed from earlier rows, where there are any.

    Returns:
      Rows written.
    """
    features = config.features
    columns = [column.name for column in features.logged_columns]
    columns += [c for c in (features.user, features.item, *features.slices) if c]
    select = [f"{LABEL} AS {name(features.label)}"]
    select += [f"{name(column)}" for column in dict.fromkeys(columns)]
    if config.timestamp and TIMESTAMP not in columns:
        select.append(f"floor({TIME} / 1e6)::BIGINT AS {name(TIMESTAMP)}")
    if past is not None:
        select.append(f"{past.place_sql} AS {PLACE}")
    order = in_order(bool(config.sampled_negatives))
    batches = con.sql(
        f"SELECT {', '.join(select)} FROM {LOG} WHERE {SPLIT} = {quoted(split)} ORDER BY {order}"
    ).to_arrow_reader(ROWS)

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch if past is None else past.completed(batch)
            written(batch.num_rows)

    return write_examples(os.path.join(folder, FILE), counted())


def write_views(con: duckdb.DuckDBPyConnection, split: str, path: str, past: PastColumns) -> None:
    """Writes what a split's columns of the past are in other states, row by row as its Examples.

    The Parquet file has a column `<view>/<column>` for each that differs.
    """
    batches = con.sql(  # places grow in the order of Examples
        f"SELECT {past.place_sql} AS {PLACE} FROM {LOG} WHERE {SPLIT} = {quoted(split)} "
        f"ORDER BY {PLACE}"
    ).to_arrow_reader(ROWS)
    writer = None
    for batch in batches:
        places = np.asarray(batch.column(0))
        columns = {
            f"{view.name}/{column}": values
            for view in past.views
            for column, values in past.batch(places, view).items()
        }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
