"""Reads logs into one DuckDB table, bad rows marked."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import duckdb

from ranklite.components.log_example_gen import IngestError, label, limits, newest_span
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LOADED,
    LOG,
    PREFIX,
    ROW,
    SPLIT,
    WRONG,
)
from ranklite.components.log_example_gen.newest_span import Absent
from ranklite.components.log_example_gen.piece import Piece
from ranklite.components.log_example_gen.query import TypedTables, query_scan
from ranklite.components.log_example_gen.row_sql import roles, select
from ranklite.components.log_example_gen.scans import Scan, reason_of, scan
from ranklite.components.log_example_gen.source import LOGS
from ranklite.models.features.sql import name, twins

Matched: TypeAlias = Mapping[tuple[str, str], Sequence[str]]
NUMBERED = "rowid + 1"  # of a row of `LOADED`: its number in the log
NO_PIECES: Mapping[str, Piece] = {}
NO_SCANS: Mapping[str, Scan] = {}
_SAMPLE = 10_000  # lines, in which nearly every key shows


def load(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    data_root: str,
    work_dir: str,
    first: int | None = None,
) -> list[Scan]:
    """Fills the table `LOADED`: the columns of `log_table`, and those that examples need.

    Args:
      con: Of `connect`.
      config: What is read.
      data_root: The data folder.
      work_dir: Folder for plain copies of files.
      first: Only so many rows of each file; None reads all.

    Returns:
      What was read, in the order of its rows: the files, and behind them the results of a query.

    Raises:
      IngestError: A column is absent or of a type that cannot be read, a file is empty, damaged or
        changes while it is read, or the query fails.
    """
    matched = config.matching_files(data_root)
    files: list[Scan] = []
    numbered: list[Scan] = []
    paths = [path for paths in matched.values() for path in paths]
    with limits.QueryLimit(con, config.source).counting(), unchanged(paths):
        needed = source_columns(config)
        parts = list(scanned(con, config, matched, work_dir, files, first))
        ones = [absent_in(con, needed, each) for _, each in parts]
        check_columns(config, data_root, ones, parts[0][1])
        for split, each in parts:
            after = _rows(con) if numbered else 0
            verb = f"INSERT INTO {LOADED}" if numbered else f"CREATE TABLE {LOADED} AS"
            with told_of(each):
                rows = select(con, config, each.with_columns(needed), split)
                con.execute(f"{verb} {rows}")
            numbered.append(dataclasses.replace(each.with_columns(needed), after=after))
    return in_order(files, numbered)


@contextlib.contextmanager
def unchanged(paths: Iterable[str]) -> Iterator[None]:
    """Raises IngestError where files are others at the end, whatever else was raised: it is why."""
    before = {path: _state(path) for path in sorted(set(paths))}
    try:
        yield
    finally:
        changed = [path for path, state in before.items() if _state(path) != state]
        if changed:
            raise IngestError(
                f"{', '.join(changed)} changed while being read: read a log that is closed, such "
                "as the files of the days before today"
            )


@contextlib.contextmanager
def told_of(source: Scan) -> Iterator[None]:
    """Turns what DuckDB says of a file into IngestError."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise IngestError(f"{source.path or 'source.query'}: {reason_of(error)}") from error


def in_order(files: Sequence[Scan], numbered: list[Scan]) -> list[Scan]:
    """All scans: first those that the log has no rows of, as the files that a query reads."""
    of_log = {each.path for each in numbered}
    return [each for each in files if each.path not in of_log] + numbered


def keep(con: duckdb.DuckDBPyConnection, config: IngestConfig, split: str = SPLIT) -> None:
    """Makes `LOG` of the good rows of `LOADED`, numbered by their order there.

    Nothing is numbered, updated or deleted row by row. `LOG` is a view, or a table where rows are
    added to it, or sorted and joined many times.

    Args:
      con: After `load`.
      config: What is read.
      split: SQL of a row's split.
    """
    [(rows, last)] = con.execute(f"SELECT count(*), max(rowid) FROM {LOADED}").fetchall()
    assert rows == (-1 if last is None else last) + 1, "rows are numbered without gaps"
    is_table = config.sampled_negatives or config.features.past_columns
    con.execute(
        f"CREATE {'TABLE' if is_table else 'VIEW'} {LOG} AS SELECT {NUMBERED} AS {ROW}, "
        f"{split} AS {SPLIT}, * EXCLUDE ({SPLIT}, {WRONG}) FROM {LOADED} WHERE {WRONG} = ''"
    )
    if is_table:
        con.execute(f"DROP TABLE {LOADED}")


def tables_of_splits(config: IngestConfig, matched: Matched) -> dict[str, dict[str, Sequence[str]]]:
    """Files by table of each split, "" where it is not by files, in the order of the log."""
    splits = list(config.split_names) if config.split.by == "files" else [""]
    if any(split == EARLIER for split, _ in matched):  # first, so that rows are in order of time
        splits.insert(0, EARLIER)
    return {
        split: {
            table: paths
            for (of_split, table), paths in matched.items()
            if of_split == split or not (of_split or (split, table) in matched)
        }
        for split in splits
    }


def scanned(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    matched: Matched,
    work_dir: str,
    files: list[Scan],
    first: int | None = None,
    typed: Mapping[str, TypedTables] | None = None,
    pieces: Mapping[str, Piece] = NO_PIECES,
    divided: Mapping[str, Scan] = NO_SCANS,
) -> Iterator[tuple[str, Scan]]:
    """Split ("" where it is not by files) and scan of all that fills the table, in order.

    Args:
      con: Of `connect`.
      config: What is read.
      matched: Files as of `IngestConfig.matching_files`, or some of them.
      work_dir: Folder for plain copies of files.
      files: Receives the scan of every file.
      first: Only so many rows of each file; None reads all.
      typed: Of a query over some of the files: by split that is asked for, what `make_tables`
        returned of all of them.
      pieces: What is read of files that are cut, by path.
      divided: Of a query that is asked of a share of the rows: those of tables divided by key.
    """
    wanted = None if config.source.query else source_columns(config)
    for split, of_split in tables_of_splits(config, matched).items():
        if typed is not None and split not in typed:
            continue
        tables: dict[str, list[Scan]] = {}
        for table, paths in of_split.items():
            settings = config.source.table(table)
            for path in paths:
                kind = config.file_format(path, table)
                piece = pieces.get(path)
                each = scan(con, path, kind, settings, work_dir, wanted, first, piece)
                tables.setdefault(table, []).append(each)
                files.append(each)
        if config.source.query:
            of_query = typed[split] if typed is not None else None
            tables |= {table: [rows] for table, rows in divided.items()}
            result = query_scan(con, config.source, tables, split, of_query)
            if config.source.partition_by is not None:
                result = _ordered(con, config, result, split)
            yield split, result
        else:
            yield from ((split, each) for each in tables.get(LOGS, []))


def _ordered(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, result: Scan, split: str
) -> Scan:
    """The result of a query in an order that its values alone decide: by time, and all columns."""
    needed = [column for column in source_columns(config) if column in result.types]
    if not needed:
        return result  # whoever looks for the columns says so
    first = [column for column in needed if column == config.timestamp]
    kept = name(f"{PREFIX}ordered {split}")
    with told_of(result):
        con.execute(
            f"CREATE TEMP TABLE {kept} AS SELECT {', '.join(map(name, needed))} FROM "
            f"({result.sql}) ORDER BY {', '.join(map(name, dict.fromkeys(first + needed)))}"
        )
    return dataclasses.replace(result, sql=f"SELECT * FROM {kept}")


def source_columns(config: IngestConfig) -> list[str]:
    """Columns of the log that are read, by their names in the log.

    Raises:
      IngestError: Two of them differ in letter case only.
    """
    named = [column.source for column in config.features.ingested_columns]
    if config.label is not None:
        named += label.columns_of(config.label)
    named += [config.timestamp] if config.timestamp else []
    wanted = list(dict.fromkeys(named + list(roles(config).values())))
    in_table = {column.name for column in config.features.ingested_columns} | set(roles(config))
    for names in (wanted, sorted(in_table)):
        if same := twins(names):
            raise IngestError(
                f"the columns {', '.join(map(repr, same))} differ in letter case only, which SQL "
                "does not tell apart: rename them in the log, or give the features other names"
            )
    return wanted


def table_column(config: IngestConfig, column: str) -> str:
    """The name in the table of a column that the configuration names as the log does."""
    of_feature = {c.source: c.name for c in config.features.ingested_columns}
    read = {c.name for c in config.features.ingested_columns}
    return column if column in read else of_feature.get(column, column)


def check_columns(
    config: IngestConfig, data_root: str, absent_ones: Sequence[Absent], first: Scan
) -> None:
    """Raises IngestError where no file has a column, or none of the newest span.

    Args:
      config: What is read.
      data_root: The data folder.
      absent_ones: What `absent_in` returned, of each file.
      first: The first file.
    """
    needed = source_columns(config)
    nowhere = set(needed).intersection(*(columns for _, columns in absent_ones))
    if nowhere:
        has = f"; it has {', '.join(first.types)}" if not first.wrong else ""
        which = ", ".join(map(repr, sorted(nowhere, key=needed.index)))
        raise IngestError(f"the log has no column {which}{has}")
    newest = config.newest_span(data_root)
    if newest is not None:
        span, tables = newest
        paths = {path for of_table in tables.values() for path in of_table}
        newest_span.check_columns(needed, [each for each in absent_ones if each[0]], span, paths)


def absent_in(con: duckdb.DuckDBPyConnection, needed: list[str], source: Scan) -> Absent:
    """A file, "" where it declares no columns as lines of JSON do not, and what `absent` says."""
    return "" if source.wrong else source.path, absent(con, needed, source)


def absent(con: duckdb.DuckDBPyConnection, needed: list[str], source: Scan) -> set[str]:
    """Columns that a file has not; of lines of JSON, keys that no line has."""
    result = set(needed) - set(source.types)
    if source.wrong:
        open_ones = needed
        for rows in (f"(SELECT * FROM ({source.sql}) LIMIT {_SAMPLE})", f"({source.sql})"):
            counts = ", ".join(f"count({name(column)})" for column in open_ones)
            seen: Any = con.execute(f"SELECT {counts} FROM {rows}").fetchone()
            open_ones = [c for c, count in zip(open_ones, seen, strict=True) if not count]
            if not open_ones:
                break
        result |= set(open_ones)
    return result


def _rows(con: duckdb.DuckDBPyConnection) -> int:
    [(rows,)] = con.execute(f"SELECT count(*) FROM {LOADED}").fetchall()
    return int(rows)


def _state(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns
