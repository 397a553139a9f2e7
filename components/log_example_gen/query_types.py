"""The types of the columns that a query reads.

A file of text says nothing of types, and a guess from its first rows changes values further on. So
a column gets a type only where every one of its values comes back as it was written; any other is
text, which DuckDB compares with no number: the query casts it, or `source.types` says what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.scans import Scan
from ranklite.components.log_example_gen.source import SourceConfig
from ranklite.models.features.sql import name, quoted
from ranklite.models.features.sql_values import JSON

_SAMPLE = 10_000  # rows that propose a type; all rows decide
_DECIMAL = "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?"
# By type: what holds for every value that loses nothing by it. {} is the value.
_KEEPS = {
    "BIGINT": "TRY_CAST({} AS BIGINT)::VARCHAR = {}",
    "DOUBLE": f"regexp_full_match({{}}, '{_DECIMAL}') AND "
    "(TRY_CAST({} AS DOUBLE)::VARCHAR = {} OR length(regexp_replace({}, '[^0-9]', '', 'g')) <= 15)",
    "BOOLEAN": "{} IN ('true', 'false')",
    "DATE": "TRY_CAST({} AS DATE)::VARCHAR = {}",
    "TIMESTAMP": "TRY_CAST({} AS TIMESTAMP)::VARCHAR = {}",
}
_STRICT = {  # by type that is asked for: what holds for a text that says a value of it
    **_KEEPS,
    "VARCHAR": "true",
    "BIGINT": "regexp_full_match({}, ' *[+-]?[0-9]+([.]0*)? *') AND TRY_CAST({} AS BIGINT) "
    "IS NOT NULL",
    "DOUBLE": "NOT contains({}, '_') AND TRY_CAST({} AS DOUBLE) IS NOT NULL",
    "BOOLEAN": "lower({}) IN ('true', 'false')",
    "DATE": "TRY_CAST({} AS DATE) IS NOT NULL",
    "TIMESTAMP": "TRY_CAST({} AS TIMESTAMP) IS NOT NULL",
}
_INTEGERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
)
_WHOLE = _INTEGERS | {"UBIGINT", "HUGEINT", "UHUGEINT"}
_OF_KEYS = {"VARCHAR", "an integer", "BOOLEAN", "DATE", "TIMESTAMP", "UUID"}


def check_keys(
    con: duckdb.DuckDBPyConnection, keys: Mapping[str, str], of_types: bool = True
) -> None:
    """Checks the columns that rows are divided by.

    Args:
      con: Has the tables, of all rows.
      keys: Column by table.
      of_types: Whether their types are to be those of a key: of some rows they are not known.

    Raises:
      IngestError: A table has no such column, or rows that the query takes for those of one key
        would be in several shares, since their values are not written alike.
    """
    kinds: dict[str, str] = {}
    for table, key in keys.items():
        described = con.execute(f"DESCRIBE {name(table)}").fetchall()
        types = {row[0].lower(): row[1] for row in described}
        if key.lower() not in types:
            has = ", ".join(row[0] for row in described)
            raise IngestError(
                f"source.partition_by: the table {table!r} has no column {key!r}; it has {has}"
            )
        kind = types[key.lower()]
        kinds[f"{table}.{key}"] = "an integer" if kind in _WHOLE else kind
    shown = ", ".join(f"{key} is {kind}" for key, kind in kinds.items())
    if of_types and (len(set(kinds.values())) > 1 or not set(kinds.values()) <= _OF_KEYS):
        raise IngestError(
            f"source.partition_by: {shown}: a key is text, an integer, a date, a time, a boolean "
            "or a UUID, and the same in all tables that it joins. Give the type of a column of "
            "text in source.types, or write it alike"
        )


def types_of(scans: list[Scan]) -> dict[str, str]:
    """The type of each column in all files of a table."""
    columns = list(dict.fromkeys(column for scan in scans for column in scan.types))
    types = {}
    for column in columns:
        of_files = {scan.types[column]: scan.path for scan in scans if column in scan.types}
        if len(of_files) > 1 and not set(of_files) <= _INTEGERS:
            shown = ", ".join(f"{kind} in {path}" for kind, path in of_files.items())
            raise IngestError(f"column {column!r} is {shown}: write it alike in all files")
        types[column] = "BIGINT" if len(of_files) > 1 else next(iter(of_files))
    return types


def columns_of(
    con: duckdb.DuckDBPyConnection, source: SourceConfig, rows: str, types: Mapping[str, str]
) -> dict[str, str]:
    """SQL of each column of a table in the type that it has for the query."""
    texts = [column for column, kind in types.items() if kind == "VARCHAR"]
    chosen: dict[str, str] = {c: source.types[c] for c in texts if c in source.types}
    chosen |= _lossless(con, rows, [column for column in texts if column not in chosen])
    _check_declared(con, rows, {c: t for c, t in chosen.items() if c in source.types})
    select = {}
    for column, kind in types.items():
        select[column] = name(column)
        if kind == JSON:
            select[column] = _of_json(con, rows, column, source)
        elif chosen.get(column, "VARCHAR") != "VARCHAR":
            select[column] = f"TRY_CAST({name(column)} AS {chosen[column]})"
    return select


def _lossless(con: duckdb.DuckDBPyConnection, rows: str, columns: list[str]) -> dict[str, str]:
    """The type of each column that gives all of its values back, text where none does."""
    chosen = dict.fromkeys(columns, "VARCHAR")
    candidates = {column: list(_KEEPS) for column in columns}
    for limit in (f"(SELECT * FROM ({rows}) LIMIT {_SAMPLE})", f"({rows})"):
        while asked := {c: types for c, types in candidates.items() if types}:
            checks = [
                # Of a value that is no number the comparison is null, which bool_and leaves out.
                f"coalesce(bool_and(coalesce({_KEEPS[types[0]].replace('{}', name(c))}, "
                f"{name(c)} IS NULL)) AND count({name(c)}) > 0, false)"
                for c, types in asked.items()
            ]
            answers: Any = con.execute(f"SELECT {', '.join(checks)} FROM {limit}").fetchone()
            settled = {c for c, holds in zip(asked, answers, strict=True) if holds}
            for column in asked:
                if column not in settled:
                    candidates[column].pop(0)
            if settled == set(asked):
                break
    for column, types in candidates.items():
        if types and (types[0] != "DOUBLE" or _injective(con, rows, column)):
            chosen[column] = types[0]
    return chosen


def _injective(con: duckdb.DuckDBPyConnection, rows: str, column: str) -> bool:
    """Whether no two texts of a column are the same number, as 1.1 and 1.10 of versions are."""
    value = name(column)
    counts: Any = con.execute(
        f"SELECT count(DISTINCT {value}), count(DISTINCT TRY_CAST({value} AS DOUBLE)) FROM ({rows})"
    ).fetchone()
    return bool(counts[0] == counts[1])


def _check_declared(con: duckdb.DuckDBPyConnection, rows: str, types: Mapping[str, str]) -> None:
    for column, kind in types.items():
        value = name(column)
        fits = _STRICT[kind].replace("{}", value)
        wrong: Any = con.execute(
            f"SELECT count(*), min({value}) FROM ({rows}) "
            f"WHERE {value} IS NOT NULL AND NOT ({fits})"
        ).fetchone()
        if wrong[0]:
            raise IngestError(
                f"source.types: {column}: {wrong[0]} values are no {kind}, such as {wrong[1]!r}: "
                "leave the type out and convert the column in the query"
            )


def _of_json(con: duckdb.DuckDBPyConnection, rows: str, column: str, source: SourceConfig) -> str:
    """SQL of a column of JSON values as the types of all of them have it."""
    value = name(column)
    text = f"({value}->>'$')"
    if column in source.types:
        _check_declared(
            con, f"SELECT {text} AS {value} FROM ({rows})", {column: source.types[column]}
        )
        return f"TRY_CAST({text} AS {source.types[column]})"
    [(structure,)] = con.execute(f"SELECT json_group_structure({value}) FROM ({rows})").fetchall()
    if structure in (None, '"NULL"', '"VARCHAR"'):
        return text
    if structure == '"JSON"':  # several types: text, unless there are lists or objects among them
        nested: Any = con.execute(
            f"SELECT count(*) FROM ({rows}) WHERE json_type({value}) IN ('ARRAY', 'OBJECT')"
        ).fetchone()
        return value if nested[0] else text
    return f"json_transform({value}, {quoted(structure.replace('UBIGINT', 'BIGINT'))})"
