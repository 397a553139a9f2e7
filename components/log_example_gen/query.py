"""The tables that a query reads, and its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import duckdb

from ranklite.components.log_example_gen import IngestError, parsed_query
from ranklite.components.log_example_gen.log_table import PREFIX, REJECTED, WRONG
from ranklite.components.log_example_gen.query_types import columns_of, types_of
from ranklite.components.log_example_gen.scans import Scan, reason_of
from ranklite.components.log_example_gen.source import SourceConfig
from ranklite.models.features.sql import name, quoted
from ranklite.models.repeats import twice

_MADE_UP = {"range", "generate_series", "unnest", "repeat", "repeat_row"}  # functions of no file
TypedTables: TypeAlias = Mapping[str, Mapping[str, tuple[str, str]]]


def tables_of(query: str) -> set[str]:
    """Tables that a query reads.

    Raises:
      IngestError: It is not one SELECT statement.

    Example:
        >>> sorted(tables_of("SELECT * FROM clicks JOIN items USING (item)"))
        ['clicks', 'items']
    """
    return parsed_query.tables(parsed_query.selected(query))


def _statement(query: str) -> str:
    """The query without the semicolon that may end it, and what stands behind that."""
    parts = query.split(";")
    tree = parsed_query.serialized(query)
    for end in range(1, len(parts)):
        statement = ";".join(parts[:end])
        if parsed_query.serialized(statement) == tree:
            return statement
    return query


def _check_sources(query: str, tables: Iterable[str]) -> None:
    """Raises IngestError where a query reads what a run does not know of.

    A file that it names by its path would be in no digest: changed, the cache would serve what was
    made of the old one.
    """
    tree = parsed_query.selected(query)
    read = {table.lower(): table for table in parsed_query.tables(tree)}
    known, functions = {table.lower() for table in tables}, set()
    for node in parsed_query.nodes(tree):
        if node.get("type") == "TABLE_FUNCTION":
            functions.add(node["function"]["function_name"])
        if "cte_map" in node:
            known |= {each["key"].lower() for each in node["cte_map"]["map"]}
    unknown = [repr(read[table]) for table in sorted(read.keys() - known)]
    unknown += [f"{function}()" for function in sorted(functions - _MADE_UP)]
    if unknown:
        raise IngestError(
            f"source.query reads {', '.join(unknown)}, and a run knows {', '.join(sorted(tables))} "
            "alone: name the files of another table in source.tables"
        )


def query_scan(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    tables: Mapping[str, list[Scan]],
    split: str = "",
    typed: TypedTables | None = None,
) -> Scan:
    """The result of the configured query.

    Args:
      con: Receives a view of each table.
      source: With `query`.
      tables: The files of each table.
      split: Whose files they are, where each split has its own: the result is kept, since the
        tables of the next split take the same names.
      typed: What `make_tables` returned of all files, where these are some of them.

    Raises:
      IngestError: The query fails, or a table cannot be made of its files.
    """
    query = str(source.query)
    _check_sources(query, tables)
    make_tables(con, source, tables, typed)
    # On lines of its own: the query may end with a comment.
    result = f"SELECT * FROM (\n{_statement(query)}\n) AS result"
    try:
        described = con.execute(f"DESCRIBE {_statement(query)}").fetchall()
        names = [row[0] for row in described]
        if same := twice(names):
            raise IngestError(
                f"source.query: its result has {', '.join(same)} twice: name them apart"
            )
        if split:
            kept = name(f"{PREFIX}result {split}")
            con.execute(f"CREATE TEMP TABLE {kept} AS {result}")
            result = f"SELECT * FROM {kept}"
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        hint = ""
        if "explicit" in str(error):
            hint = (
                " A column of a text file is text unless each of its values is written as a number "
                "of its type is: cast it in the query, or give its type in `source.types`."
            )
        raise IngestError(f"source.query: {reason_of(error)}{hint}") from error
    return Scan("", "", result, {row[0]: row[1] for row in described})


def make_tables(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    tables: Mapping[str, list[Scan]],
    typed: TypedTables | None = None,
) -> TypedTables:
    """Makes a view of each table.

    Args:
      con: Receives them.
      source: With `query`.
      tables: The files of each table.
      typed: What this returned of all files, where these are some of them.

    Returns:
      By table, of each column its type in the files, and SQL of it as the query has it.

    Raises:
      IngestError: A table cannot be made of its files.
    """
    result: dict[str, Mapping[str, tuple[str, str]]] = {}
    for table, scans in tables.items():
        try:
            if typed is None:
                rows, types = rows_of(con, scans), types_of(scans)
                columns = columns_of(con, source, rows, types)
                result[table] = {column: (types[column], sql) for column, sql in columns.items()}
            else:
                result[table] = typed[table]
                rows = rows_of(con, scans, typed[table])
            select = ", ".join(f"{sql} AS {name(c)}" for c, (_, sql) in result[table].items())
            con.execute(
                f"CREATE OR REPLACE TEMP VIEW {name(table)} AS SELECT {select} FROM ({rows})"
            )
        except duckdb.Error as error:
            raise IngestError(f"table {table!r}: {reason_of(error)}") from error
    return result


def rows_of(
    con: duckdb.DuckDBPyConnection,
    scans: list[Scan],
    columns: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """SELECT of the rows of all files of a table, in their order.

    Args:
      con: Notes lines that are no JSON.
      scans: The files.
      columns: Of the table as of `make_tables`, where these may be some of its files.
    """
    _note_rejects(con, scans)
    selects = [no_rows(columns)] if columns is not None else []
    for scan in scans:
        if scan.types:
            good = f" WHERE {scan.wrong} = ''" if scan.wrong else ""
            selects.append(f"SELECT {', '.join(map(name, scan.types))} FROM ({scan.sql}){good}")
    return " UNION ALL BY NAME ".join(selects)


def no_rows(columns: Mapping[str, tuple[str, str]]) -> str:
    """SELECT of no row of a table that has these columns, as of `make_tables`."""
    nothing = (f"NULL::{kind} AS {name(column)}" for column, (kind, _) in columns.items())
    return f"SELECT {', '.join(nothing)} WHERE false"


def _note_rejects(con: duckdb.DuckDBPyConnection, scans: list[Scan]) -> None:
    """Lines that are no JSON never reach the query: they are noted beforehand."""
    for scan in scans:
        if scan.wrong:
            con.execute(
                f"INSERT INTO {REJECTED} SELECT {quoted(scan.path)}, record, {WRONG} FROM (SELECT "
                f"row_number() OVER () AS record, {WRONG} FROM ({scan.sql})) WHERE {WRONG} != ''"
            )
