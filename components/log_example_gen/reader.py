"""Reads logs into one DuckDB table, bad rows marked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError, label, log_rows, times
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    FILE,
    LABEL,
    LOG,
    PREFIX,
    RAW,
    RECORD,
    ROW,
    SPLIT,
    TIME,
    WRONG,
)
from ranklite.components.log_example_gen.query import query_scan
from ranklite.components.log_example_gen.scans import Scan, reason_of, scan
from ranklite.components.log_example_gen.source import LOGS
from ranklite.models.features import sql_values
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted

_SAMPLE = 10_000  # lines, in which nearly every key shows


def load(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    data_root: str,
    work_dir: str,
    first: int | None = None,
) -> dict[int, Scan]:
    """Fills the table `LOG`: the columns of `log_table`, and those that examples need.

    Args:
      con: Of `connect`.
      config: What is read.
      data_root: The data folder.
      work_dir: Folder for plain copies of files.
      first: Only so many rows of each file; None reads all.

    Returns:
      What was read, by the number that its rows have in the column `FILE`; results of a query have
      negative ones.

    Raises:
      IngestError: A column is absent or of a type that cannot be read, a file is empty, damaged or
        changes while it is read, or the query fails.
    """
    matched = config.matching_files(data_root)
    paths = sorted({path for files in matched.values() for path in files})
    before = {path: _state(path) for path in paths}
    files: list[Scan] = []  # numbered from 0, and results of a query from -1 down
    try:
        parts = _complete(con, config, list(_parts(con, config, matched, work_dir, files, first)))
        for index, (split, number, each) in enumerate(parts):
            select = _select(con, config, each, split, number, _rows(con) if index else 0)
            verb = f"INSERT INTO {LOG}" if index else f"CREATE TABLE {LOG} AS"
            try:
                con.execute(f"{verb} {select}")
            except duckdb.Error as error:
                raise IngestError(f"{each.path or 'source.query'}: {reason_of(error)}") from error
    finally:  # this is the reason of whatever else is raised
        changed = [path for path in paths if _state(path) != before[path]]
        if changed:
            raise IngestError(
                f"{', '.join(changed)} changed while being read: read a log that is closed, such "
                "as the files of the days before today"
            )
    return dict(enumerate(files)) | {number: each for _, number, each in parts}


def _parts(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    matched: Mapping[tuple[str, str], list[str]],
    work_dir: str,
    files: list[Scan],
    first: int | None,
) -> Iterator[tuple[str, int, Scan]]:
    """Split ("" where it is not by files), number and scan of all that fills the table, in order.

    Every file that is read is appended to `files`.
    """
    wanted = None if config.source.query else source_columns(config)
    parts = list(config.split_names) if config.split.by == "files" else [""]
    if any(split == EARLIER for split, _ in matched):  # first, so that rows are in order of time
        parts.insert(0, EARLIER)
    for part, split in enumerate(parts, 1):
        tables: dict[str, list[Scan]] = {}
        for (of_split, table), paths in matched.items():
            if of_split != split and (of_split or (split, table) in matched):
                continue
            settings = config.source.table(table)
            for path in paths:
                kind = config.file_format(path, table)
                each = scan(con, path, kind, settings, work_dir, wanted, first)
                tables.setdefault(table, []).append(each)
                files.append(each)
        if config.source.query:
            yield split, -part, query_scan(con, config.source, tables, split)
        else:
            after = len(files) - len(tables[LOGS])
            yield from ((split, after + n, each) for n, each in enumerate(tables[LOGS]))


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
        twins = [c for c in names if [n.lower() for n in names].count(c.lower()) > 1]
        if twins:
            raise IngestError(
                f"the columns {', '.join(map(repr, twins))} differ in letter case only, which SQL "
                "does not tell apart: rename them in the log, or give the features other names"
            )
    return wanted


def roles(config: IngestConfig) -> dict[str, str]:
    """Columns of the table that are no feature: their names, and those in the log; all are text."""
    features = config.features
    read = {column.name for column in features.ingested_columns}
    of_feature = {column.source: column.name for column in features.ingested_columns}
    extra = [features.user, features.item, *features.slices, config.item_label]
    if config.split.by == "hash":
        extra.append(config.split.key)
    if config.sampled_negatives:
        extra += config.sampled_negatives.item_columns
    wanted = dict.fromkeys(column for column in extra if column and column not in read)
    return {column: column for column in wanted if column not in of_feature}


def table_column(config: IngestConfig, column: str) -> str:
    """The name in the table of a column that the configuration names as the log does."""
    of_feature = {c.source: c.name for c in config.features.ingested_columns}
    read = {c.name for c in config.features.ingested_columns}
    return column if column in read else of_feature.get(column, column)


def _select(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    source: Scan,
    split: str,
    number: int,
    after: int,
) -> str:
    """SQL of the rows of a scan as the table has them."""
    columns, reasons = list[tuple[str, str]](), list[str]()
    for column in config.features.ingested_columns:
        value, reason = _feature(column, source)
        columns.append((column.name, value))
        reasons += [reason] if reason else []
    for column_name, column_of_log in roles(config).items():
        value, reason = _converted(RawColumn(column_of_log, "string"), source)
        columns.append((column_name, value))
        reasons += [reason] if reason else []
    label_value, label_columns = "1.0::DOUBLE", dict[str, str]()
    if config.label is not None:
        label_value, label_columns = label.sql_of(con, config.label, source.types)
    time = "NULL::BIGINT"
    if config.timestamp:
        time, reason = _time(config.timestamp, config.timestamp_formats, source)
        reasons.append(reason)
    # The label's expression sees columns of the log; all others have names that no log has.
    inner = {f"{PREFIX}{n}": value for n, (_, value) in enumerate(columns)} | label_columns
    held = {f"{PREFIX}held {n}": name(column) for n, column in enumerate(label_columns)}
    inner |= held
    inner_sql = ", ".join(f"{value} AS {name(column)}" for column, value in inner.items())
    outer = [f"{name(f'{PREFIX}{n}')} AS {name(column)}" for n, (column, _) in enumerate(columns)]
    all_wrong = sql_values.joined(reasons)
    if source.wrong:  # of a line that is none, nothing else is said
        all_wrong = f"CASE WHEN {source.wrong} != '' THEN {source.wrong} ELSE {all_wrong} END"
    values = ", ' ', ".join(map(name, held)) or "''"
    no_label = sql_values.problem("label", "missing or not a number", f"concat({values})")
    is_row = f"NOT starts_with({WRONG}, {quoted(sql_values.WHOLE_ROW)})"
    unlabelled = f"CASE WHEN {LABEL} IS NULL AND {is_row} THEN {no_label} END"
    wrong = sql_values.joined([f"nullif({WRONG}, '')", unlabelled])
    features = [column.source for column in config.features.logged_columns]
    raw = "NULL::VARCHAR" if source.path else log_rows.raw_sql(features)
    return (
        f"SELECT {RECORD} + {after} AS {ROW}, {number} AS {FILE}, {RECORD}, "
        f"{quoted(split)}::VARCHAR AS {SPLIT}, {LABEL}, {TIME}, {RAW}, "
        f"{wrong} AS {WRONG}, "
        f"{', '.join(outer)} FROM (SELECT *, {label_value} AS {LABEL} FROM (SELECT "
        f"{RECORD}, {time} AS {TIME}, {raw} AS {RAW}, "
        f"{all_wrong} AS {WRONG}, {inner_sql} "
        f"FROM "
        f"(SELECT *, row_number() OVER () AS {RECORD} FROM ({source.sql}) AS source)))"
    )


def _complete(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, scans: list[tuple[str, int, Scan]]
) -> list[tuple[str, int, Scan]]:
    """The scans with every column that is needed: missing values where a file has none of it.

    Raises:
      IngestError: No file has a column.
    """
    needed = source_columns(config)
    absent = set(needed).intersection(*(_absent(con, needed, each) for _, _, each in scans))
    if absent:
        first = scans[0][2]
        has = f"; it has {', '.join(first.types)}" if not first.wrong else ""
        which = ", ".join(map(repr, sorted(absent, key=needed.index)))
        raise IngestError(f"the log has no column {which}{has}")
    return [(split, number, each.with_columns(needed)) for split, number, each in scans]


def _absent(con: duckdb.DuckDBPyConnection, needed: list[str], source: Scan) -> set[str]:
    """Columns that a file has not; of lines of JSON, keys that no line has."""
    absent = set(needed) - set(source.types)
    if source.wrong:
        open_ones = needed
        for rows in (f"(SELECT * FROM ({source.sql}) LIMIT {_SAMPLE})", f"({source.sql})"):
            counts = ", ".join(f"count({name(column)})" for column in open_ones)
            seen: Any = con.execute(f"SELECT {counts} FROM {rows}").fetchone()
            open_ones = [c for c, count in zip(open_ones, seen, strict=True) if not count]
            if not open_ones:
                break
        absent |= set(open_ones)
    return absent


def _feature(column: RawColumn, source: Scan) -> tuple[str, str | None]:
    kind = source.types[column.source]
    if not source.path and column.dtype == "string" and kind in ("DOUBLE", "FLOAT"):
        raise IngestError(
            f"{column.source!r} is {kind} in the query's result, and a category is text or an "
            f"integer: cast it in the query as it is to be written"
        )
    return _converted(column, source)


def _converted(column: RawColumn, source: Scan) -> tuple[str, str | None]:
    try:
        return column.sql(source.types[column.source])
    except sql_values.Unconvertible as error:
        raise IngestError(f"{source.path or 'source.query'}: {error}") from None


def _rows(con: duckdb.DuckDBPyConnection) -> int:
    [(rows,)] = con.execute(f"SELECT count(*) FROM {LOG}").fetchall()
    return int(rows)


def _state(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def _time(column: str, formats: tuple[str, ...], source: Scan) -> tuple[str, str]:
    try:
        return times.microseconds(column, source.types[column], formats)
    except sql_values.Unconvertible:
        raise IngestError(
            f"{source.path or 'source.query'}: {column!r} is {source.types[column]}, and a time is "
            "a number, a text, a date or a timestamp"
        ) from None
