"""The tables that a query reads, and its result.

A file of text says nothing of types, and a guess from its first rows changes values further on. So
a column gets a type only where every one of its values comes back as it was written; any other is
text, which DuckDB compares with no number: the query casts it, or `source.types` says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.log_table import PREFIX, REJECTED, WRONG
from ranklite.components.log_example_gen.scans import Scan, reason_of
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


def tables_of(query: str) -> set[str]:
    """Tables that a query reads.

    Raises:
      IngestError: It is not one SELECT statement.

    Example:
        >>> sorted(tables_of("SELECT * FROM clicks JOIN items USING (item)"))
        ['clicks', 'items']
    """
    parsed = json.loads(_parsed(query))
    if parsed["error"] or len(parsed["statements"]) != 1:
        reason = parsed.get("error_message", "there are several statements")
        raise IngestError(f"source.query is to be one SELECT statement: {reason}")
    return set(_base_tables(parsed))


def _parsed(query: str) -> str:
    with duckdb.connect() as con:
        [(text,)] = con.execute(f"SELECT json_serialize_sql({quoted(query)})").fetchall()
    return str(text)


def _statement(query: str) -> str:
    """The query without the semicolon that may end it, and what stands behind that."""
    parts = query.split(";")
    tree = _parsed(query)
    for end in range(1, len(parts)):
        statement = ";".join(parts[:end])
        if _parsed(statement) == tree:
            return statement
    return query


def _base_tables(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and "table_name" in node:
            yield node["table_name"]
        for value in node.values():
            yield from _base_tables(value)
    elif isinstance(node, list):
        for value in node:
            yield from _base_tables(value)


def query_scan(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    tables: Mapping[str, list[Scan]],
    split: str = "",
) -> Scan:
    """The result of the configured query.

    Args:
      con: Receives a view of each table.
      source: With `query`.
      tables: The files of each table.
      split: Whose files they are, where each split has its own: the result is kept, since the
        tables of the next split take the same names.

    Raises:
      IngestError: The query fails, or a table cannot be made of its files.
    """
    query = str(source.query)
    tables_of(query)
    for table, scans in tables.items():
        _note_rejects(con, scans)
        try:
            con.execute(
                f"CREATE OR REPLACE TEMP VIEW {name(table)} AS {_typed(con, source, scans)}"
            )
        except duckdb.Error as error:
            raise IngestError(f"table {table!r}: {reason_of(error)}") from error
    # On lines of its own: the query may end with a comment.
    result = f"SELECT * FROM (\n{_statement(query)}\n) AS result"
    try:
        described = con.execute(f"DESCRIBE {_statement(query)}").fetchall()
        names = [row[0] for row in described]
        twice = sorted({column for column in names if names.count(column) > 1})
        if twice:
            raise IngestError(
                f"source.query: its result has {', '.join(twice)} twice: name them apart"
            )
        if split:
            kept = name(f"{PREFIX}result {split}")
            con.execute(f"CREATE TEMP TABLE {kept} AS {result}")
            result = f"SELECT * FROM {kept}"
    except duckdb.Error as error:
        hint = ""
        if "explicit" in str(error):
            hint = (
                " A column of a text file is text unless each of its values is written as a number "
                "of its type is: cast it in the query, or give its type in `source.types`."
            )
        raise IngestError(f"source.query: {reason_of(error)}{hint}") from error
    return Scan("", "", result, {row[0]: row[1] for row in described})


def _note_rejects(con: duckdb.DuckDBPyConnection, scans: list[Scan]) -> None:
    """Lines that are no JSON never reach the query: they are noted beforehand."""
    for scan in scans:
        if scan.wrong:
            con.execute(
                f"INSERT INTO {REJECTED} SELECT {quoted(scan.path)}, record, {WRONG} FROM (SELECT "
                f"row_number() OVER () AS record, {WRONG} FROM ({scan.sql})) WHERE {WRONG} != ''"
            )


def _typed(con: duckdb.DuckDBPyConnection, source: SourceConfig, scans: list[Scan]) -> str:
    """SELECT of a table: the rows of all its files, in their order, with types."""
    columns = list(dict.fromkeys(column for scan in scans for column in scan.types))
    types = {}
    for column in columns:
        of_files = {scan.types[column]: scan.path for scan in scans if column in scan.types}
        if len(of_files) > 1 and not set(of_files) <= _INTEGERS:
            shown = ", ".join(f"{kind} in {path}" for kind, path in of_files.items())
            raise IngestError(f"column {column!r} is {shown}: write it alike in all files")
        types[column] = "BIGINT" if len(of_files) > 1 else next(iter(of_files))
    rows = " UNION ALL BY NAME ".join(
        f"SELECT {', '.join(map(name, scan.types))} FROM ({scan.sql})"
        + (f" WHERE {scan.wrong} = ''" if scan.wrong else "")
        for scan in scans
        if scan.types
    )
    texts = [column for column, kind in types.items() if kind == "VARCHAR"]
    chosen: dict[str, str] = {c: source.types[c] for c in texts if c in source.types}
    chosen |= _lossless(con, rows, [column for column in texts if column not in chosen])
    _check_declared(con, rows, {c: t for c, t in chosen.items() if c in source.types})
    select = []
    for column, kind in types.items():
        quoted_name = name(column)
        if kind == JSON:
            select.append(f"{_of_json(con, rows, column, source)} AS {quoted_name}")
        elif chosen.get(column, "VARCHAR") != "VARCHAR":
            select.append(f"TRY_CAST({quoted_name} AS {chosen[column]}) AS {quoted_name}")
        else:
            select.append(quoted_name)
    return f"SELECT {', '.join(select)} FROM ({rows})"


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
