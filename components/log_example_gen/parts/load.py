"""A part's rows, typed, as Parquet files of the work folder, and its rejects."""

from __future__ import annotations

import dataclasses
import glob
import os
import pickle
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq

from ranklite.components.log_example_gen import log_rows, reader, rejects
from ranklite.components.log_example_gen.limits import QueryLimit
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LOADED,
    NUMBER,
    SPLIT,
    TIME,
    WRONG,
)
from ranklite.components.log_example_gen.newest_span import Absent
from ranklite.components.log_example_gen.parts import part_rejects
from ranklite.components.log_example_gen.parts.keyed import ShareTable
from ranklite.components.log_example_gen.parts.times import TimeCounts, count
from ranklite.components.log_example_gen.parts.work import PARQUET, Job, database, placed
from ranklite.components.log_example_gen.piece import COPIED, Piece
from ranklite.components.log_example_gen.query import TypedTables
from ranklite.components.log_example_gen.row_sql import select
from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.features.sql import quoted

SCANNING, READING = "scanning", "reading"  # when something is found to be wrong, in this order
_UNREADABLE = "unreadable.pickle"


class LoadTask(NamedTuple):
    """A part to read.

    Attributes:
      job: What every task knows.
      number: Of the part.
      matched: Its files.
      typed: Of a query: what its tables are, by split.
      pieces: As of `reader.scanned`.
      tables: Of a query that is asked of a share of the rows: the tables that are divided by key.
    """

    job: Job
    number: int
    matched: reader.Matched
    typed: Mapping[str, TypedTables] | None = None
    pieces: Mapping[str, Piece] = reader.NO_PIECES
    tables: Mapping[str, ShareTable] = {}


@dataclasses.dataclass
class Loaded:
    """What a part has.

    Attributes:
      failure: When something was wrong, and what; then nothing else is of use.
      absent: As of `reader.absent_in`, of each file.
      head: The first scan that gives rows.
      scans: What was read, as of `reader.load`.
      files: Parquet files of its rows, in their order.
      rows: How many rows were read.
      good: How many of them are good.
      broken: Files with rows that DuckDB could not read.
      times: When those are that are not of spans before the window; None without a time.
    """

    failure: tuple[str, ValueError] | None = None
    absent: list[Absent] = dataclasses.field(default_factory=list)
    head: Scan | None = None
    scans: list[Scan] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)
    rows: int = 0
    good: int = 0
    broken: set[str] = dataclasses.field(default_factory=set)
    times: TimeCounts | None = None


def load(task: LoadTask) -> Loaded:
    """Reads a part."""
    job, result = task.job, Loaded()
    folder = folder_of(job, task.number)
    if task.tables:
        job = dataclasses.replace(job, threads=1)  # which row comes first is then the same
    with placed(folder) as made:
        os.makedirs(made)
        with database(job) as (con, _):
            stage = SCANNING
            limit = QueryLimit(con, job.config.source)
            try:
                files: list[Scan] = []
                needed = reader.source_columns(job.config)
                with limit.counting():
                    divided = {t: rows.scan(con, t) for t, rows in task.tables.items()}
                    scans = list(
                        reader.scanned(
                            con,
                            job.config,
                            task.matched,
                            made,
                            files,
                            typed=task.typed,
                            pieces=task.pieces,
                            divided=divided,
                        )
                    )
                    result.absent = [reader.absent_in(con, needed, each) for _, each in scans]
                result.head = dataclasses.replace(scans[0][1], sql="")
                stage = READING
                with limit.counting():
                    _store(con, job, scans, files, made, result)
                listed = rejects.listed(con, result.scans, job.data_root, NUMBER)
            except ValueError as error:
                result.failure = stage, error
                return result
            part_rejects.write(made, listed)
            unreadable = {each.path: log_rows.unreadable(con, each) for each in result.scans}
            with open(os.path.join(made, _UNREADABLE), "wb") as out:
                pickle.dump(unreadable, out)
            result.broken = {path for path, rows in unreadable.items() if rows}
            for copy in glob.glob(os.path.join(glob.escape(made), f"*{COPIED}")):
                os.remove(copy)  # of a piece, which is in its file
    result.files = [os.path.join(folder, os.path.basename(path)) for path in result.files]
    result.scans = [_moved(each, made, folder) for each in result.scans]
    return result


def _store(
    con: duckdb.DuckDBPyConnection,
    job: Job,
    scans: Sequence[tuple[str, Scan]],
    files: Sequence[Scan],
    folder: str,
    result: Loaded,
) -> None:
    """Writes the rows of each file, and counts them."""
    needed = reader.source_columns(job.config)
    numbered = []
    for number, (split, scan) in enumerate(scans):
        whole = dataclasses.replace(scan.with_columns(needed), after=result.rows)
        path = os.path.join(folder, f"rows-{number}.parquet")
        with reader.told_of(scan):
            con.execute(
                f"COPY (SELECT row_number() OVER () + {result.rows} AS {NUMBER}, * FROM "
                f"({select(con, job.config, whole, split)})) TO {quoted(path)} ({PARQUET})"
            )
        result.files.append(path)
        result.rows += pq.read_metadata(path).num_rows
        numbered.append(whole)
    result.scans = reader.in_order(files, numbered)
    shown = ", ".join(map(quoted, result.files))
    con.execute(f"CREATE VIEW {LOADED} AS SELECT * FROM read_parquet([{shown}])")
    good = f"(SELECT {SPLIT}, {TIME} FROM {LOADED} WHERE {WRONG} = '')"
    dated = f"(SELECT {TIME} FROM {good} WHERE {SPLIT} != {quoted(EARLIER)})"
    [(result.good,)] = con.execute(f"SELECT count(*) FROM {good}").fetchall()
    [(first, last)] = con.execute(f"SELECT min({TIME}), max({TIME}) FROM {dated}").fetchall()
    if first is not None:
        result.times = count(con, dated, first, last)


def _moved(scan: Scan, before: str, after: str) -> Scan:
    """The same, whose plain copy has moved, or is gone; its SQL has been of use."""
    copy = os.path.realpath(scan.plain)
    if copy.endswith(COPIED) and not os.path.exists(copy):
        return dataclasses.replace(scan, sql="", plain="")
    if os.path.dirname(copy) != os.path.realpath(before):
        return dataclasses.replace(scan, sql="")
    moved = os.path.join(after, os.path.basename(copy))
    return dataclasses.replace(scan, sql="", plain=moved)


def folder_of(job: Job, number: int) -> str:
    """Where a part's rows and rejects are."""
    return job.path(f"loaded-{number}")


def unreadable(job: Job, number: int) -> dict[str, set[int]]:
    """Numbers of the rows of each file of a part that DuckDB could not read."""
    with open(os.path.join(folder_of(job, number), _UNREADABLE), "rb") as file:
        result: dict[str, set[int]] = pickle.load(file)
    return result
