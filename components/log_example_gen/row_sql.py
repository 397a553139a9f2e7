"""The rows of a log as SQL, in the types that the configuration declares, bad ones marked."""

from __future__ import annotations

import duckdb

from ranklite.components.log_example_gen import IngestError, label, log_rows, times
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    LABEL,
    PREFIX,
    RAW,
    SPLIT,
    TIME,
    WRONG,
)
from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.features import sql_values
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted


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


def select(con: duckdb.DuckDBPyConnection, config: IngestConfig, source: Scan, split: str) -> str:
    """SQL of the rows of a scan as the table has them.

    Each step computes from the columns of the one before it, so that no value is computed twice,
    and what is wrong with a row is put into words only where something is.
    """
    own = _own(source)
    columns, reasons = list[tuple[str, str]](), list[str]()
    read = [(column.name, column) for column in config.features.ingested_columns]
    read += [(role, RawColumn(of_log, "string")) for role, of_log in roles(config).items()]
    features = {column.name for column in config.features.ingested_columns}
    for in_table, column in read:
        convert = _feature if in_table in features else _converted
        value, reason = convert(column, source, name(f"{own}{len(columns)}"))
        columns.append((in_table, value))
        reasons += [reason] if reason else []
    values = [f"{value} AS {name(f'{own}{n}')}" for n, (_, value) in enumerate(columns)]
    time, moment = "NULL::BIGINT", name(f"{own}time")
    if config.timestamp:
        of_time = _time(config.timestamp, config.timestamp_formats, source, own)
        values.append(f"{of_time.number} AS {name(f'{own}number')}")
        time = of_time.value
        reasons.append(of_time.reason)
    label_value, label_columns = "1.0::DOUBLE", dict[str, str]()
    if config.label is not None:
        label_value, label_columns = label.sql_of(con, config.label, source.types)
    # The label's expression sees columns of the log; all others have names that no log has.
    held_ones = {f"{PREFIX}held {n}": name(column) for n, column in enumerate(label_columns)}
    inner = [f"{sql} AS {name(column)}" for column, sql in (label_columns | held_ones).items()]
    inner += [f"{name(f'{own}{n}')} AS {name(f'{PREFIX}{n}')}" for n in range(len(columns))]
    all_wrong = sql_values.joined(reasons)
    if source.wrong:  # of a line that is none, nothing else is said
        all_wrong = f"CASE WHEN {source.wrong} != '' THEN {source.wrong} ELSE {all_wrong} END"
    shown = ", ' ', ".join(map(name, held_ones)) or "''"
    no_label = sql_values.problem("label", "missing or not a number", f"concat({shown})")
    is_row = f"NOT starts_with({WRONG}, {quoted(sql_values.WHOLE_ROW)})"
    unlabelled = f"CASE WHEN {LABEL} IS NULL AND {is_row} THEN {no_label} END"
    wrong = sql_values.joined([f"nullif({WRONG}, '')", unlabelled])
    outer = [f"{name(f'{PREFIX}{n}')} AS {name(into)}" for n, (into, _) in enumerate(columns)]
    rows = f"({source.sql}) AS source"
    if not source.path:
        record = name(f"{own}record")
        rows = f"(SELECT *, row_number() OVER () AS {record} FROM {rows})"
        raw = log_rows.raw_sql([c.source for c in config.features.logged_columns], record)
        inner.append(f"{raw} AS {RAW}")
        outer.append(RAW)
    return (
        f"SELECT {quoted(split)}::VARCHAR AS {SPLIT}, {LABEL}, {TIME}, {wrong} AS {WRONG}, "
        f"{', '.join(outer)} FROM "
        f"(SELECT *, {label_value} AS {LABEL} FROM "
        f"(SELECT {moment} AS {TIME}, {all_wrong} AS {WRONG}, {', '.join(inner)} FROM "
        f"(SELECT *, {time} AS {moment} FROM "
        f"(SELECT {', '.join(['*', *values])} FROM {rows}))))"
    )


def _feature(column: RawColumn, source: Scan, held: str) -> tuple[str, str | None]:
    kind = source.types[column.source]
    if not source.path and column.dtype == "string" and kind in ("DOUBLE", "FLOAT"):
        raise IngestError(
            f"{column.source!r} is {kind} in the query's result, and a category is text or an "
            f"integer: cast it in the query as it is to be written"
        )
    return _converted(column, source, held)


def _converted(column: RawColumn, source: Scan, held: str) -> tuple[str, str | None]:
    try:
        return column.sql(source.types[column.source], held)
    except sql_values.Unconvertible as error:
        raise IngestError(f"{source.path or 'source.query'}: {error}") from None


def _own(source: Scan) -> str:
    """What no column of a scan begins with."""
    own = PREFIX
    while any(column.lower().startswith(own) for column in source.types):
        own += " "
    return own


def _time(column: str, formats: tuple[str, ...], source: Scan, own: str) -> times.TimeSql:
    try:
        return times.microseconds(column, source.types[column], formats, own)
    except sql_values.Unconvertible:
        raise IngestError(
            f"{source.path or 'source.query'}: {column!r} is {source.types[column]}, and a time is "
            "a number, a text, a date or a timestamp"
        ) from None
