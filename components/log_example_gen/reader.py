"""Reads logs into one clean DuckDB table, bad rows apart."""

from __future__ import annotations

import csv
import os
import re
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.features.feature_set import FeatureSet

MEMORY_LIMIT = "2GB"  # beyond it DuckDB spills to its temporary folder
SHOWN_REJECTS = 5
_REJECTS = "reject_errors"


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


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def name(column: str) -> str:
    """An SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


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
        found = con.execute(
            f"DESCRIBE SELECT * FROM read_csv({path}, {arguments}, all_varchar = true)"
        ).fetchall()
    except duckdb.Error as error:
        raise IngestError(f"{path}: not readable as CSV: {_first_line(error)}") from error
    wanted = _csv_types(config.features)
    types = ", ".join(f"{quoted(c[0])}: '{wanted[c[0]]}'" for c in found if c[0] in wanted)
    if types:
        arguments += f", types = {{{types}}}"
    return f"read_csv({path}, {arguments}, store_rejects = true, rejects_limit = 0)"


def _csv_types(features: FeatureSet) -> dict[str, str]:
    """Types that the features ask for; a value that does not fit is a reject with its line."""
    types = {}
    for feature in features.features:
        if feature.kind == "numeric":
            types[feature.name] = "DOUBLE"
        elif feature.kind == "categorical":
            types[feature.name] = "BIGINT" if feature.dtype == "int64" else "VARCHAR"
        else:
            types[feature.name] = "VARCHAR"
    return types


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
    features = {f.name: f for f in config.features.features}
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
    columns = [f.name for f in features.features]
    extra = [features.user, features.item, *features.slices, config.timestamp, config.item_label]
    if config.split.by == "hash":
        extra.append(config.split.key)
    if config.sampled_negatives:
        extra += config.sampled_negatives.item_columns
    return list(dict.fromkeys(columns + [column for column in extra if column]))


def _value(column: str, kind: str, feature: Any) -> tuple[str, str | None]:
    """SQL of a column in its declared type, and of what is wrong with it."""
    source = name(column)
    if feature is None:
        return (source, None) if kind in ("BIGINT", "DOUBLE") else (f"{source}::VARCHAR", None)
    if feature.kind == "multi_categorical":
        inner = "BIGINT" if feature.dtype == "int64" else "VARCHAR"
        texts = source
        if not kind.endswith("[]"):
            if feature.separator is None:
                raise IngestError(
                    f"{column!r} is {kind}, not a list: give the feature a `separator`"
                )
            texts = f"string_split({source}::VARCHAR, {quoted(feature.separator)})"
        texts = f"list_filter({texts}::VARCHAR[], lambda x: x IS NOT NULL AND trim(x) != '')"
        if inner == "VARCHAR":
            return texts, None
        numbers = f"list_transform({texts}, lambda x: TRY_CAST(x AS BIGINT))"
        wrong = f"list_contains(list_transform({numbers}, lambda x: x IS NULL), true)"
        return numbers, f"CASE WHEN {wrong} THEN {quoted(column)} || ': not integers' END"
    if feature.kind == "categorical" and feature.dtype == "string":
        return f"nullif({source}::VARCHAR, '')", None
    target = "DOUBLE" if feature.kind == "numeric" else "BIGINT"
    cast = f"TRY_CAST({source} AS {target})"
    word = "a number" if target == "DOUBLE" else "an integer"
    return cast, (
        f"CASE WHEN {source} IS NOT NULL AND {source}::VARCHAR != '' AND {cast} IS NULL "
        f"THEN {quoted(column)} || ': not {word}: ' || left({source}::VARCHAR, 50) END"
    )


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


def reject(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, rejects_dir: str, data_root: str
) -> dict[str, int]:
    """Takes bad rows out of `log`, notes them in a file, and stops where there are too many.

    Args:
      con: After `load`.
      config: Its `source.max_bad_rows` is the limit.
      rejects_dir: Folder for `rejects.csv`; it outlives a failed run.
      data_root: Files are named relative to it.

    Returns:
      Number of rejects by reason.

    Raises:
      IngestError: There are more than allowed, or no good row is left.
    """
    parts = ["SELECT '' AS file, row_id AS line, '' AS column_name, bad FROM log WHERE bad != ''"]
    tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    parts += [f"SELECT * FROM {name(t)}" for t in sorted(tables) if t.startswith("bad_json_")]
    if _REJECTS in tables:
        parts.append(
            "SELECT file_path, line, coalesce(column_name, ''), error_message FROM "
            "(SELECT DISTINCT ON (scan.file_path, line) scan.file_path, line, column_name, "
            f"error_message FROM {_REJECTS} JOIN reject_scans AS scan USING (scan_id, file_id) "
            "ORDER BY scan.file_path, line)"
        )
    rejects = con.execute(
        " UNION ALL ".join(f"({part})" for part in parts) + " ORDER BY 1, 2"
    ).fetchall()
    con.execute("DELETE FROM log WHERE bad != ''")
    [(good,)] = con.execute("SELECT count(*) FROM log").fetchall()
    path = _write_rejects(rejects, rejects_dir, data_root)
    share = len(rejects) / max(1, good + len(rejects))
    if share > config.source.max_bad_rows:
        shown = "\n".join(
            f"  {os.path.relpath(f, data_root) + ':' if f else 'row '}{line}: "
            f"{column + ': ' if column else ''}{_short(reason)}"
            for f, line, column, reason in rejects[:SHOWN_REJECTS]
        )
        raise IngestError(
            f"{len(rejects)} of {good + len(rejects)} rows ({share:.2%}) cannot be read, more than "
            f"source.max_bad_rows = {config.source.max_bad_rows:.2%} allows. The first ones:\n"
            f"{shown}\nAll of them are in {path}. Mend the log, or raise the limit."
        )
    if not good:
        raise IngestError("the log has no rows: its files hold a header at the most")
    reasons: dict[str, int] = {}
    for _, _, column, reason in rejects:
        kind = column or reason.split(":")[0]
        reasons[kind] = reasons.get(kind, 0) + 1
    return reasons


def _write_rejects(rejects: list[Any], folder: str, data_root: str) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "rejects.csv")
    with open(path + ".tmp", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "column", "reason"])
        for origin, line, column, reason in rejects:
            shown = os.path.relpath(origin, data_root) if origin else "(row of the result)"
            writer.writerow([shown, line, column, _short(reason)])
    os.replace(path + ".tmp", path)
    return path


def _short(text: str) -> str:
    return text.strip().splitlines()[0][:200]


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
