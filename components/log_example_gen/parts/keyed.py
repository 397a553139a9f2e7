"""Rows of a query's tables, divided by the hash of a key: a share has all rows of its values.

How many shares there are the bytes of the log alone decide, and in a share rows are in the order of
the log: neither depends on the number of workers, nor on how files are divided among them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import duckdb

from ranklite.components.log_example_gen import rejects
from ranklite.components.log_example_gen.limits import QueryLimit
from ranklite.components.log_example_gen.log_table import LOADED, NUMBER, PLACE, PREFIX, WRONG
from ranklite.components.log_example_gen.parts import divide, part_rejects
from ranklite.components.log_example_gen.parts.work import PARQUET, Job, Stages, database, placed
from ranklite.components.log_example_gen.query import TypedTables, no_rows, rows_of
from ranklite.components.log_example_gen.reader import Matched, tables_of_splits, told_of
from ranklite.components.log_example_gen.scans import Scan, scan
from ranklite.models.features.sql import name, quoted
from ranklite.models.features.sql_values import JSON

SHARE_BYTES = 1 << 24  # of the log a share, as long as there are few shares
FEW = 64  # shares, beyond which one has up to `divide.PART_BYTES`
_SHARE = f'"{PREFIX}share"'
_FOLDER = f"{PREFIX}share=".replace(" ", "%20")  # as DuckDB calls it


class ShareTable(NamedTuple):
    """The rows of a table in a share.

    Attributes:
      files: Parquet files, none where it has no row there.
      columns: Of the table, as of `make_tables`.
    """

    files: tuple[str, ...]
    columns: Mapping[str, tuple[str, str]]

    def scan(self, con: duckdb.DuckDBPyConnection, table: str) -> Scan:
        """The rows in the order of the log.

        Args:
          con: Receives a table of them.
          table: What the table is called.
        """
        kept = name(f"{PREFIX}share of {table}")
        rows = no_rows(self.columns)
        if self.files:
            files = f"[{', '.join(map(quoted, self.files))}]"
            rows = (
                f"SELECT * EXCLUDE ({PLACE}) FROM read_parquet({files}, hive_partitioning = false) "
                f"ORDER BY {PLACE}"
            )
        con.execute(f"CREATE TEMP TABLE {kept} AS {rows}")
        types = {column: kind for column, (kind, _) in self.columns.items()}
        wrong = f", '' AS {WRONG}" if JSON in types.values() else ""
        return Scan("", "", f"SELECT *{wrong} FROM {kept}", types)


class Share(NamedTuple):
    """What the query is asked of once.

    Attributes:
      split: That its result is of, "" where it is not by files.
      tables: Those that are divided.
      others: Files of all others, as of `PartFiles`.
    """

    split: str
    tables: Mapping[str, ShareTable]
    others: Matched


class _Task(NamedTuple):
    """Files of one table, whose rows are divided."""

    job: Job
    number: int
    part: divide.PartFiles
    table: str
    key: str
    columns: Mapping[str, tuple[str, str]]
    shares: int


def shares(
    stages: Stages,
    job: Job,
    parts: Sequence[divide.PartFiles],
    matched: Matched,
    typed: Mapping[str, TypedTables],
) -> tuple[list[Share], list[str]]:
    """Divides the rows of a log.

    Args:
      stages: Runs the tasks.
      job: With `source.partition_by`.
      parts: Files of the tables that are divided, each part of one of them.
      matched: All files.
      typed: As of `tables.typed`.

    Returns:
      The shares, in their order, and folders with rejects of the files.

    Raises:
      IngestError: A file cannot be read.
    """
    keys = divide.keyed_tables(job.config)
    of_splits = tables_of_splits(job.config, matched)
    counts = {
        split: _count(path for table in keys for path in tables.get(table, ()))
        for split, tables in of_splits.items()
    }
    tasks = []
    for number, part in enumerate(parts):
        [(_, table)] = part.matched
        columns = typed[part.split][table]
        tasks.append(_Task(job, number, part, table, keys[table], columns, counts[part.split]))
    folders, files = [], dict[tuple[str, int, str], list[str]]()
    for task, result in zip(tasks, stages.run("divided", _divide, tasks, "dividing"), strict=True):
        if isinstance(result, ValueError):
            raise result
        folders.append(result)
        for share, path in _files(result):
            files.setdefault((task.part.split, share, task.table), []).append(path)
    found = []
    for split, tables in of_splits.items():
        others = {(split, t): paths if t not in keys else () for t, paths in tables.items()}
        for share in range(counts[split] + 1):  # the last one is of rows without a key
            if share == 0 or any((split, share, table) in files for table in keys):
                divided = {
                    table: ShareTable(
                        tuple(files.get((split, share, table), ())), typed[split][table]
                    )
                    for table in keys
                }
                found.append(Share(split, divided, others))
    return found, folders


def _files(folder: str) -> Iterator[tuple[int, str]]:
    """Share and path of the files of a folder, in order."""
    for path in sorted(glob.glob(f"{glob.escape(folder)}/{_FOLDER}*/*.parquet")):
        yield int(os.path.basename(os.path.dirname(path)).removeprefix(_FOLDER)), path


def _count(paths: Iterable[str]) -> int:
    size = sum(map(os.path.getsize, paths))
    return max(min(FEW, -(-size // SHARE_BYTES)), -(-size // divide.PART_BYTES), 1)


def _divide(task: _Task) -> str | ValueError:
    """Writes the rows of some files into a folder, divided by the hash of their key."""
    job, config = task.job, task.job.config
    folder, table = job.path(f"divided-{task.number}"), task.table
    [paths] = task.part.matched.values()
    with placed(folder) as made, database(job) as (con, scratch):
        os.makedirs(made)
        try:
            with QueryLimit(con, config.source).counting():
                scans = [
                    scan(
                        con,
                        path,
                        config.file_format(path, table),
                        config.source.table(table),
                        scratch,
                        None,
                        piece=task.part.pieces.get(path),
                    )
                    for path in paths
                ]
                key = next(
                    sql for column, (_, sql) in task.columns.items() if column.lower() == task.key
                )
                # Of all versions and machines the same, and of all types of integers.
                share = (
                    f"CASE WHEN {key} IS NULL THEN {task.shares} "
                    f"ELSE md5_number_lower({key}::VARCHAR) % {task.shares} END"
                )
                with told_of(Scan(f"table {table!r}", "", "", {})):
                    con.execute(
                        f"COPY (SELECT row_number() OVER () + {task.number << 40} AS {PLACE}, "
                        f"({share})::INTEGER AS {_SHARE}, * FROM "
                        f"({rows_of(con, scans, task.columns)})) TO {quoted(made)} "
                        f"({PARQUET}, PARTITION_BY ({_SHARE}), OVERWRITE_OR_IGNORE)"
                    )
            con.execute(f"CREATE VIEW {LOADED} AS SELECT 0 AS {NUMBER}, '' AS {WRONG} WHERE false")
            part_rejects.write(made, rejects.listed(con, scans, job.data_root, NUMBER))
        except ValueError as error:
            return error
    return folder
