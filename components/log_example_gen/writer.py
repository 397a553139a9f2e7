"""Writes the splits of the log as gzipped TFRecords of tf.Examples."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOG,
    NTH,
    PLACE,
    ROW,
    SPLIT,
    TIME,
)
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns
from ranklite.models.environment import cores
from ranklite.models.features.layout import TIMESTAMP
from ranklite.models.features.past import file_of
from ranklite.models.features.sql import name, quoted
from ranklite.models.features.tfrecords import ExampleFile

ROWS = 20_000  # rows an Arrow batch
SHARD_ROWS = 50 * ROWS  # rows a file, but for a split's last one


def shards(rows: int, most: int) -> list[str]:
    """Names of the files of a split, none of which has more rows than `most`.

    Example:
        >>> shards(5, 2)[-1]
        'data_tfrecord-00002-of-00003.gz'
    """
    count = max(1, -(-rows // most))
    return [f"data_tfrecord-{number:05d}-of-{count:05d}.gz" for number in range(count)]


class _SplitFiles:
    """The files of a split, one behind the other."""

    def __init__(self, folder: str, rows: int, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        self._paths = iter([os.path.join(folder, file) for file in shards(rows, SHARD_ROWS)])
        self._pool = pool
        self._before = 0
        self._file = ExampleFile(next(self._paths), pool)

    @property
    def rows(self) -> int:
        return self._before + self._file.rows

    def add(self, batch: pa.RecordBatch) -> None:
        if self._file.added == SHARD_ROWS:
            self._file.__exit__(None)
            self._before += self._file.rows
            self._file = ExampleFile(next(self._paths), self._pool)
        self._file.add(batch)

    def __enter__(self) -> _SplitFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.__exit__(kind)


def write_splits(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    folder_of: Callable[[str], str],
    rows_of: Mapping[str, int],
    written: Callable[[int], None],
    past: PastColumns | None = None,
) -> dict[str, int]:
    """Writes all splits in the order of the log, in one pass over it.

    Args:
      con: The log is loaded and split.
      config: Names the columns.
      folder_of: Where the files of a split go; made if needed.
      rows_of: How many rows each split has.
      written: Receives numbers of rows as they are written.
      past: The columns that are computed from earlier rows, where there are any.

    Returns:
      Rows written, by split.
    """
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(cores()))
        files = {
            split: stack.enter_context(_SplitFiles(folder_of(split), rows_of[split], pool))
            for split in config.split_names
        }
        for split, batch in by_split(con, config, past):
            files[split].add(batch)
            written(batch.num_rows)
    return {split: file.rows for split, file in files.items()}


def by_split(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, past: PastColumns | None = None
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of all splits as batches of one split each, in the order of the log.

    Batches have `ROWS` rows, but for a split's last one: where they end does not depend on how many
    cores read the log.
    """
    select = [ROW, SPLIT, *of_examples(config)]
    if past is not None:
        select.append(f"{past.place_sql} AS {PLACE}")
    # Negatives stand behind all positives. All else is in its order, which is asserted: to sort it
    # would hold the log in memory.
    order = f" ORDER BY {ROW}, {NTH}" if config.sampled_negatives else ""
    kept = f" WHERE {SPLIT} != {quoted(EARLIER)}" if past is not None else ""
    reader = con.sql(f"SELECT {', '.join(select)} FROM {LOG}{kept}{order}").to_arrow_reader(ROWS)
    waiting: dict[str, list[pa.RecordBatch]] = {split: [] for split in config.split_names}
    last = 0
    for whole in reader:
        last = _in_order(whole.column(0), last)
        batch = pa.RecordBatch.from_arrays(whole.columns[2:], whole.schema.names[2:])
        batch = batch if past is None else past.completed(batch)
        for split, held in waiting.items():
            held.append(batch.filter(pc.equal(whole.column(1), split)))
            if sum(each.num_rows for each in held) >= ROWS:
                *full, rest = cut(held)
                yield from ((split, each) for each in full)
                held[:] = [rest]
    for split, held in waiting.items():
        yield from ((split, each) for each in cut(held) if each.num_rows)


def of_examples(config: IngestConfig) -> list[str]:
    """SQL of the columns of Examples, but for those that are computed from earlier rows."""
    features = config.features
    columns = [column.name for column in features.logged_columns]
    columns += [c for c in (features.user, features.item, *features.slices) if c]
    select = [f"{LABEL} AS {name(features.label)}"]
    select += [f"{name(column)}" for column in dict.fromkeys(columns)]
    if config.timestamp and TIMESTAMP not in columns:
        select.append(f"floor({TIME} / 1e6)::BIGINT AS {name(TIMESTAMP)}")
    return select


def cut(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The same rows as batches of `ROWS`, and a last one of fewer."""
    table = pa.Table.from_batches(batches).combine_chunks()
    [whole] = table.to_batches() or [batches[0]]
    return [whole.slice(first, ROWS) for first in range(0, whole.num_rows + 1, ROWS)]


def _in_order(rows: pa.Array, last: int) -> int:
    """The last of some rows' numbers, none of which is below the one before it."""
    numbers = np.asarray(rows)
    if not len(numbers):
        return last
    assert numbers[0] >= last, "DuckDB keeps the order of a table"
    assert (numbers[1:] >= numbers[:-1]).all(), "DuckDB keeps the order of a table"
    return int(numbers[-1])


def write_states(stored: Mapping[str, pa.Table], folder: str) -> None:
    """Writes the state at the end of the log, by feature."""
    for feature, table in stored.items():
        pq.write_table(table.combine_chunks(), os.path.join(folder, file_of(feature)))


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
