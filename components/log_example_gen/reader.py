"""Reads logs into one DuckDB table, bad rows marked."""

from __future__ import annotations

import os
import re

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted

MEMORY_LIMIT = "2GB"  # beyond it DuckDB spills to its temporary folder


def connect(data_root: str, work_dir: str) -> duckdb.DuckDBPyConnection:
    """Opens a database on disk that can read the data folder and nothing else.

    Args:
      data_root: The data folder.
      work_dir: Folder for the database and for what does not fit into memory.
    """
    con = duckdb.connect(os.path.join(work_dir, "ingest.duckdb"))
    con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    con.execute("SET preserve_insertion_order = true")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET autoinstall_known_extensions = false")
    con.execute("SET autoload_known_extensions = false")
    con.execute("SET enable_progress_bar = false")
    allowed = [os.path.realpath(data_root), os.path.realpath(work_dir)]
    con.execute(f"SET allowed_directories = [{', '.join(map(quoted, allowed))}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def load(con: duckdb.DuckDBPyConnection, config: IngestConfig, data_root: str) -> None:
    """Fills the table `log`: row_id, split, label, ts, bad and the columns that examples need.

    Raises:
      IngestError: A column is absent, a file is empty, or the query fails.
    """
    matched = config.matching_files(data_root)
    rows = -1
    for split in config.split_names if config.split.by == "files" else ("",):
        for (of_split, table), files in matched.items():
            if of_split in ("", split):
                _create_view(con, config, table, files)
        source = f"({config.source.query})" if config.source.query else "logs"
        select = _select(con, config, source, split, after=max(0, rows))
        verb = "CREATE TABLE log AS" if rows < 0 else "INSERT INTO log"
        try:
            con.execute(f"{verb} {select}")
        except duckdb.Error as error:
            raise IngestError(f"reading the log failed: {_first_line(error)}") from error
        [(rows,)] = con.execute("SELECT count(*) FROM log").fetchall()


def _create_view(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, table: str, files: list[str]
) -> None:
    kind = config.file_format(files[0])
    for path in files:
        if os.path.getsize(path) == 0:
            raise IngestError(f"{path} is empty")
    paths = "[" + ", ".join(map(quoted, files)) + "]"
    if kind == "csv":
        # One scan a file: DuckDB keeps rejects only where it does not align columns itself.
        scans = [_csv_reader(con, config, quoted(path)) for path in files]
        reader = " UNION ALL BY NAME SELECT * FROM ".join(scans)
    elif kind == "jsonl":
        reader = _jsonl_reader(con, paths, table)
    else:
        reader = f"read_parquet({paths}, union_by_name = true)"
    try:
        con.execute(f"CREATE OR REPLACE TEMP VIEW {name(table)} AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        raise IngestError(f"{', '.join(files)}: {_first_line(error)}") from error


def _csv_reader(con: duckdb.DuckDBPyConnection, config: IngestConfig, path: str) -> str:
    settings = config.source.csv
    options = {
        "header": str(settings.header).lower(),
        "nullstr": "[" + ", ".join(map(quoted, settings.null)) + "]",
    }
    if settings.delimiter is not None:
        options["delim"] = quoted(settings.delimiter)
    if settings.quote is not None:
        options["quote"] = quoted(settings.quote)
    if settings.escape is not None:
        options["escape"] = quoted(settings.escape)
    if settings.columns is not None:
        options["names"] = "[" + ", ".join(map(quoted, settings.columns)) + "]"
    arguments = ", ".join(f"{key} = {value}" for key, value in options.items())
    try:
        result = con.execute(
            f"DESCRIBE SELECT * FROM read_csv({path}, {arguments}, all_varchar = true)"
        ).fetchall()
    except duckdb.Error as error:
        raise IngestError(f"{path}: not readable as CSV: {_first_line(error)}") from error
    wanted = {column.name: column.csv_type for column in config.features.raw_columns}
    types = ", ".join(f"{quoted(c[0])}: '{wanted[c[0]]}'" for c in result if c[0] in wanted)
    if types:
        arguments += f", types = {{{types}}}"
    return f"read_csv({path}, {arguments}, store_rejects = true, rejects_limit = 0)"


def _jsonl_reader(con: duckdb.DuckDBPyConnection, paths: str, table: str) -> str:
    """Reads the valid lines; the others are noted, since DuckDB would turn them into nulls."""
    lines = (
        f"(SELECT filename, line, row_number() OVER (PARTITION BY filename) AS number FROM "
        f"read_csv({paths}, header = false, columns = {{'line': 'VARCHAR'}}, delim = '\x01', "
        "quote = '', escape = '', filename = true, auto_detect = false))"
    )
    con.execute(
        f"CREATE OR REPLACE TABLE {name('bad_json_' + table)} AS SELECT filename AS file, "
        f"number AS line, '' AS column_name, 'not valid JSON: ' || left(line, 100) AS reason "
        f"FROM {lines} WHERE NOT json_valid(line) AND trim(line) != ''"
    )
    return f"read_json({paths}, format = 'newline_delimited', ignore_errors = true)"


def _select(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, source: str, split: str, after: int
) -> str:
    try:
        described = con.execute(f"DESCRIBE SELECT * FROM {source} AS source").fetchall()
    except duckdb.Error as error:
        raise IngestError(f"source.query: {_first_line(error)}") from error
    types = {row[0]: row[1] for row in described}
    needed = needed_columns(config)
    absent = [column for column in needed if column not in types]
    if config.label is not None and re.fullmatch(r"\w+", config.label):
        absent += [config.label] if config.label not in types else []
    if absent:
        raise IngestError(
            f"the log has no column {', '.join(map(repr, absent))}; it has {', '.join(types)}"
        )
    columns, reasons = [], []
    features = {column.name: column for column in config.features.raw_columns}
    for column in needed:
        value, reason = _value(column, types[column], features.get(column))
        columns.append(f"{value} AS {name(column)}")
        reasons += [reason] if reason else []
    label = "1.0::DOUBLE" if config.label is None else f"TRY_CAST(({config.label}) AS DOUBLE)"
    reasons.append(f"CASE WHEN {label} IS NULL THEN 'label: missing or not a number' END")
    time = "NULL::BIGINT"
    if config.timestamp:
        time = _epoch(config.timestamp, types[config.timestamp])
        reasons.append(
            f"CASE WHEN {time} IS NULL THEN {quoted(config.timestamp)} || ': not a time: ' || "
            f"coalesce({name(config.timestamp)}::VARCHAR, 'missing') END"
        )
    all_null = " AND ".join(f"{name(c)} IS NULL" for c in types)
    return (
        f"SELECT row_number() OVER () + {after} AS row_id, {quoted(split)}::VARCHAR AS split, "
        f"{label} AS label, {time} AS ts, concat_ws('; ', {', '.join(reasons)}) AS bad, "
        f"{', '.join(columns)} FROM {source} AS source WHERE NOT ({all_null})"
    )


def needed_columns(config: IngestConfig) -> list[str]:
    """Columns of the log that examples are made of, the label left out."""
    features = config.features
    columns = [column.name for column in features.raw_columns]
    extra = [features.user, features.item, *features.slices, config.timestamp, config.item_label]
    if config.split.by == "hash":
        extra.append(config.split.key)
    if config.sampled_negatives:
        extra += config.sampled_negatives.item_columns
    return list(dict.fromkeys(columns + [column for column in extra if column]))


def _value(column: str, kind: str, feature: RawColumn | None) -> tuple[str, str | None]:
    """SQL of a column in its declared type, and of what is wrong with it."""
    if feature is None:
        source = name(column)
        return (source, None) if kind in ("BIGINT", "DOUBLE") else (f"{source}::VARCHAR", None)
    try:
        return feature.sql(kind)
    except ValueError as error:
        raise IngestError(str(error)) from None


def _epoch(column: str, kind: str) -> str:
    """SQL of a time as epoch seconds: numbers above 10^11 are milliseconds."""
    source = name(column)
    number = f"TRY_CAST({source} AS DOUBLE)"
    seconds = f"CASE WHEN abs({number}) >= 1e11 THEN {number} / 1000 ELSE {number} END"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"floor(epoch({source}))::BIGINT"
    if kind == "VARCHAR":
        text = f"epoch(TRY_CAST({source} AS TIMESTAMPTZ))"
        return f"floor(coalesce({seconds}, {text}))::BIGINT"
    return f"floor({seconds})::BIGINT"


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
