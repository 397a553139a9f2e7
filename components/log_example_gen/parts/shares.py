"""Shares of the rows: all those of some keys, and what the columns of the past are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOG,
    NTH,
    PLACE,
    PREFIX,
    SPLIT,
    TIME,
)
from ranklite.components.log_example_gen.parts.counts import files_of
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.parts.work import PARQUET, database, placed
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns
from ranklite.components.log_example_gen.point_in_time.state import (
    Share,
    Totals,
    numbers,
    place_sql,
    session_rows,
    ways,
)
from ranklite.components.log_example_gen.point_in_time.views import of_column
from ranklite.models.features.past import SESSION
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted

OF_LOG = f'"{PREFIX}place of log"'  # a row's place among all, where it has another in a share
_START = f'"{PREFIX}session"'
_ROWS = 100_000  # at a time


class Group(NamedTuple):
    """Columns of the past with one key.

    Attributes:
      columns: Which.
      read: Columns of the log that they are made of.
      hashed: Those that rows are divided by; none, and one share has all rows.
      joins_sessions: Whether the starts of sessions are found elsewhere.
    """

    columns: tuple[RawColumn, ...]
    read: tuple[str, ...]
    hashed: tuple[str, ...]
    joins_sessions: bool


def grouped(config: IngestConfig) -> list[Group]:
    """The columns of the past, by key."""
    lists = {column.name for column in config.features.logged_columns if column.is_list}
    user = config.features.user
    by_key: dict[tuple[str, ...], list[Any]] = {}
    for column in config.features.past_columns:
        by_key.setdefault(of_column(column).by, []).append(column)
    groups = []
    for by, columns in by_key.items():
        # What rows of a key have in common; a list gives a row several keys.
        hashed = (user,) if user in by else tuple(column for column in by if column not in lists)
        joins = SESSION in ways(config, columns) and user not in by
        of = (of_column(column).of for column in columns)
        read = [c for c in (*by, *of, user) if c and c != config.features.label]
        groups.append(Group(tuple(columns), tuple(dict.fromkeys(read)), hashed, joins))
    return groups


class DivideTask(NamedTuple):
    """A part whose rows are divided.

    Attributes:
      log: Whose.
      part: Its number.
      name: Tells it from others of the part.
      hashed: Columns that rows are divided by.
      read: Other columns that are kept.
      sessions: Files of `sessions`, where they are joined.
    """

    log: Log
    part: int
    name: str
    hashed: tuple[str, ...]
    read: tuple[str, ...]
    sessions: tuple[str, ...] = ()


class SessionTask(NamedTuple):
    """A share of the rows, by user."""

    log: Log
    folders: list[str]
    bucket: int


class ShareTask(NamedTuple):
    """A share of the rows, by the key of a group."""

    log: Log
    number: int
    group: Group
    folders: list[str]
    bucket: int
    totals: Totals


class Computed(NamedTuple):
    """Files of a share.

    Attributes:
      rows: Places and columns of all rows but those of spans before the window.
      views: Of the judged rows, places and columns in other states, as `<view>/<column>`.
      stored: By feature, the state at the end of the log.
    """

    rows: str
    views: str
    stored: dict[str, str]


def divide(task: DivideTask) -> str:
    """Writes what a group reads of a part's rows into a folder, divided by a hash."""
    log, config = task.log, task.log.job.config
    folder = log.job.path(f"keys-{task.name}-{task.part}")
    order = place_sql(config)
    with log.opened([task.part]) as (con, _), placed(folder) as made:
        select = [f"{order} AS {OF_LOG}", SPLIT, LABEL, TIME]
        select += [NTH] if config.sampled_negatives else []
        select += map(name, dict.fromkeys((*task.hashed, *task.read)))
        source = LOG
        if task.sessions:
            [(first, last)] = con.execute(
                f"SELECT min({order}), max({order}) FROM {LOG}"
            ).fetchall()
            starts = (
                f"SELECT * FROM {parquet(task.sessions)} WHERE place BETWEEN {first} AND {last}"
            )
            source = f"{LOG} JOIN ({starts}) AS sessions ON {order} = sessions.place"
            select.append(f"sessions.start AS {_START}")
        os.makedirs(made)
        key = ", ".join(map(name, task.hashed))
        bucket = f"hash({key}) % {log.job.buckets}" if key else "0"
        con.execute(
            f"COPY (SELECT {', '.join(select)}, {bucket} AS bucket FROM {source}) TO "
            f"{quoted(made)} ({PARQUET}, PARTITION_BY (bucket))"
        )
    return folder


def parquet(files: Iterable[str]) -> str:
    """SQL of the rows of some Parquet files."""
    return f"read_parquet([{', '.join(map(quoted, files))}], hive_partitioning = false)"


def _gather(con: duckdb.DuckDBPyConnection, folders: Sequence[str], bucket: int) -> bool:
    """Makes `LOG` of a share, with places of its own; whether it has any row."""
    files = files_of(folders, bucket)
    if not files:
        return False
    con.execute(
        f"CREATE TABLE {LOG} AS SELECT row_number() OVER (ORDER BY {OF_LOG}) AS {PLACE}, * "
        f"FROM {parquet(files)} ORDER BY {OF_LOG}"
    )
    return True


def sessions(task: SessionTask) -> str | None:
    """Writes the start of the session of each row of a share, by its place in the log."""
    job = task.log.job
    path = job.path(f"sessions-{task.bucket}.parquet")
    with database(job) as (con, _):
        if not _gather(con, task.folders, task.bucket):
            return None
        schema = pa.schema([("place", pa.int64()), ("start", pa.int64())])
        with placed(path) as made, pq.ParquetWriter(made, schema) as out:
            for places, starts in session_rows(con, job.config, OF_LOG):
                out.write_table(pa.table([places, starts], schema=schema))
    return path


def compute(task: ShareTask) -> Computed | None:
    """Writes the columns of the past of a share."""
    job, group = task.log.job, task.group
    name_of = f"past-{task.number}-{task.bucket}"
    folder = job.path(name_of)
    with database(job) as (con, scratch):
        if not _gather(con, task.folders, task.bucket):
            return None
        share = Share(task.totals, group.columns, PLACE, _START if group.joins_sessions else None)
        past = PastColumns(con, job.config, scratch, job.judged, share=share)
        with placed(folder) as made:
            os.makedirs(made)
            of_window = f"{SPLIT} != {quoted(EARLIER)}"
            rows = _write(con, past, (made, folder, "rows"), of_window)
            views = ""
            if past.views:
                judged = f"{SPLIT} = {quoted(job.judged)}"
                views = _write(con, past, (made, folder, "views"), judged)
            for feature, table in past.stored.items():
                pq.write_table(table, os.path.join(made, f"of-{feature}.parquet"))
    stored = {f: os.path.join(folder, f"of-{f}.parquet") for f in past.stored}
    return Computed(rows, views, stored)


def _write(
    con: duckdb.DuckDBPyConnection, past: PastColumns, to: tuple[str, str, str], where: str
) -> str:
    """Writes columns of some rows of a share, by their place in the log.

    Args:
      con: With `LOG`.
      past: Its columns.
      to: Folder, the name that it will have, and what is written: `rows` or `views`.
      where: SQL of which rows.

    Returns:
      The file as it will be called; "" where there are no such rows.
    """
    made, folder, what = to
    out = None
    reader = con.sql(
        f"SELECT {OF_LOG} AS place, {PLACE} FROM {LOG} WHERE {where} ORDER BY {PLACE}"
    ).to_arrow_reader(_ROWS)
    for batch in reader:
        places = numbers(batch, PLACE)
        columns = {"place": batch.column(0)}
        if what == "rows":
            columns |= past.batch(places)
        for view in past.views if what == "views" else ():
            of_view = past.batch(places, view)
            columns |= {f"{view.name}/{column}": values for column, values in of_view.items()}
        table = pa.table(columns)
        if out is None:
            file = os.path.join(made, f"{what}.parquet")
            out = pq.ParquetWriter(file, table.schema, use_dictionary=False)
        out.write_table(table)
    if out is None:
        return ""
    out.close()
    return os.path.join(folder, f"{what}.parquet")


def with_plain_lists(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Columns by name; lists call what they hold as those do that Arrow makes of arrays."""
    return {
        column: values.cast(pa.list_(values.type.value_type))
        if pa.types.is_list(values.type)
        else values
        for column, values in zip(batch.schema.names, batch.columns, strict=True)
    }
