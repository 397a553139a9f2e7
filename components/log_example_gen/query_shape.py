"""Which queries give a log row by row, so that they can be asked of a part of it.

Such a query reads its first table row by row, and looks others up: each row of the result is made
of one row of the first table, and they are in the order of that table. Whatever needs several rows
of it at once is refused with its clause.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.parsed_query import (
    Node,
    asked,
    nodes,
    parsed,
    selected,
    tables,
)
from ranklite.models.features.sql import name, quoted

ROW_ORDER = ("join_order", "build_side_probe_side")  # which may put another table first
_JOINS = ("INNER", "LEFT", "SEMI", "ANTI")
_NOW = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
_MODIFIERS = {
    "DISTINCT_MODIFIER": "DISTINCT",
    "ORDER_MODIFIER": "ORDER BY",
    "LIMIT_MODIFIER": "LIMIT",
    "LIMIT_PERCENT_MODIFIER": "LIMIT",
}
_CLAUSES = {
    "group_expressions": "GROUP BY",
    "having": "HAVING",
    "qualify": "QUALIFY",
    "sample": "USING SAMPLE",
}


class Lookup(NamedTuple):
    """A table that rows are looked up in: of each key there may be one row at the most.

    Attributes:
      shown: What it is called.
      sql: A SELECT of it.
      keys: Its columns.
    """

    shown: str
    sql: str
    keys: tuple[str, ...]


class Shape(NamedTuple):
    """Of a query that is asked row by row.

    Attributes:
      table: The table that can be divided, in small letters.
      lookups: What is joined to it.
      joins: Whether anything is.
    """

    table: str
    lookups: tuple[Lookup, ...]
    joins: bool


def shape(query: str) -> Shape:
    """How a query reads its first table.

    Raises:
      IngestError: Not row by row; the message names the clause.

    Example:
        >>> shape("SELECT c.* FROM clicks AS c JOIN items AS i ON c.item = i.item").table
        'clicks'
    """
    return _shape(query)


@functools.cache
def _shape(query: str) -> Shape:
    node = selected(query)["statements"][0]["node"]
    first = _first(node)
    if first in {each["key"].lower() for each in node["cte_map"]["map"]}:
        raise _refused(f"WITH {first} reads the log: write it as a subquery of FROM", "the log")
    _check(node, first)
    found = list(_lookups(node, first, node.get("cte_map")))
    return Shape(first, tuple(each for each in found if each is not None), bool(found))


def keeps_order(query: str | None) -> bool:
    """Whether a query's rows are to be in the order of its first table, beside others."""
    if query is None:
        return False
    try:
        return shape(query).joins
    except IngestError:
        return False


def _first(node: Node) -> str:
    """The table that the FROM clause of a SELECT begins with."""
    if node["type"] != "SELECT_NODE":
        raise _refused("UNION, INTERSECT or EXCEPT needs all rows of the log", "the log")
    source = node["from_table"]
    while source.get("type") in ("JOIN", "SUBQUERY"):
        if source["type"] == "JOIN":
            source = source["left"]
        else:
            return _first(source["subquery"]["node"])
    if source.get("type") != "BASE_TABLE":
        raise _refused("its FROM does not begin with a table of the log", "the log")
    return str(source["table_name"]).lower()


def _refused(what: str, table: str) -> IngestError:
    return IngestError(
        f"source.query: {what}. With an `engine`, each worker reads a part of {table!r}, row by "
        "row, and looks up other tables: run that step beforehand and read its result, or leave "
        "`engine` out"
    )


def _check(node: Node, table: str) -> None:
    """Raises IngestError where a SELECT needs several rows of a table at once."""
    for modifier in node["modifiers"]:
        clause = _MODIFIERS.get(modifier["type"], modifier["type"])
        raise _refused(f"{clause} over {table!r} needs all its rows", table)
    for key, clause in _CLAUSES.items():
        if node.get(key):
            raise _refused(f"{clause} over {table!r} needs all its rows", table)
    if node["aggregate_handling"] == "FORCE_AGGREGATES":
        raise _refused(f"GROUP BY ALL over {table!r} needs all its rows", table)
    for each in node["cte_map"]["map"]:
        if table in _tables(each["value"]):
            raise _refused(
                f"WITH {each['key']} reads {table!r}: write it as a subquery of FROM", table
            )
    for expression in nodes([node["select_list"], node["where_clause"]]):
        _check_expression(expression, table)
    _check_source(node["from_table"], table)


def _check_source(source: Node, table: str) -> None:
    if source.get("sample"):
        raise _refused(f"TABLESAMPLE of {table!r} needs all its rows", table)
    if source["type"] == "SUBQUERY":
        _check(source["subquery"]["node"], table)
    elif source["type"] == "JOIN":
        right = source["right"]
        if table in _tables(right):
            raise _refused(f"a JOIN of {table!r} with itself needs all its rows", table)
        if source["ref_type"] not in ("REGULAR", "DEPENDENT") or source["join_type"] not in _JOINS:
            kind = source["ref_type"] if source["ref_type"] != "REGULAR" else source["join_type"]
            raise _refused(
                f"a {kind} JOIN does not look up one row for each of {table!r}: write JOIN or LEFT "
                "JOIN with USING, or with ON and an equality",
                table,
            )
        for expression in nodes(source["condition"]):
            _check_expression(expression, table)
        _check_source(source["left"], table)


def _check_expression(node: Node, table: str) -> None:
    kind = node.get("class")
    if kind == "WINDOW":
        raise _refused(
            f"the window function {node['function_name']}() over {table!r} needs all its rows",
            table,
        )
    if kind == "SUBQUERY":
        raise _refused(f"a subquery in an expression over {table!r}: write it as a JOIN", table)
    if kind == "COLUMN_REF" and node["column_names"][-1].lower() in _NOW:
        raise _refused(f"{node['column_names'][-1]} differs from worker to worker", table)
    if kind == "FUNCTION":
        function = node["function_name"].lower()
        aggregates, changing, macros = _functions()
        if function in aggregates:
            raise _refused(f"{function}() over {table!r} needs all its rows", table)
        if function in changing:
            raise _refused(f"{function}() differs from worker to worker", table)
        for definition in macros.get(function, ()):
            for each in nodes(parsed(f"SELECT {definition}").get("statements", [])):
                if each.get("function_name", "").lower() != function:
                    _check_expression(each, table)


@functools.cache
def _functions() -> tuple[frozenset[str], frozenset[str], dict[str, tuple[str, ...]]]:
    """Names of aggregates, of functions that give something else each time, and macros."""
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT function_name, function_type, coalesce(stability, 'CONSISTENT'), "
            "macro_definition FROM duckdb_functions()"
        ).fetchall()
    macros: dict[str, tuple[str, ...]] = {}
    for function, kind, _, definition in rows:
        if kind == "macro" and definition:
            macros[function] = (*macros.get(function, ()), definition)
    aggregates = frozenset(function for function, kind, *_ in rows if kind == "aggregate")
    changing = frozenset(function for function, _, how, _ in rows if how != "CONSISTENT")
    return aggregates, changing, macros


def _lookups(node: Node, table: str, ctes: Any) -> Iterator[Lookup | None]:
    """What is joined; None where any number of rows may match."""
    source = node["from_table"]
    while source["type"] == "JOIN":
        if source["join_type"] in ("SEMI", "ANTI"):
            yield None
        else:
            yield _lookup(source, table, ctes)
        source = source["left"]
    if source["type"] == "SUBQUERY":
        yield from _lookups(source["subquery"]["node"], table, ctes)


def _lookup(join: Node, table: str, ctes: Any) -> Lookup:
    right = join["right"]
    called = right["alias"] or right.get("table_name", "")
    keys = list(join["using_columns"]) or list(_equal(join["condition"], called))
    if not keys:
        raise _refused(
            f"the JOIN of {called or right['type'].lower()!r} has no equality with a column of it, "
            f"such as {table}.item = {called or 'items'}.item",
            table,
        )
    statement = parsed("SELECT * FROM x")
    chosen = statement["statements"][0]["node"]
    chosen["from_table"], chosen["cte_map"] = right, copy.deepcopy(ctes)
    sql = asked(f"SELECT json_deserialize_sql({quoted(json.dumps(statement))})")
    return Lookup(called, sql.rstrip(";"), tuple(dict.fromkeys(keys)))


def _equal(condition: Node | None, called: str) -> Iterator[str]:
    """Columns of a table that a condition demands to be equal to something of others."""
    if condition is None:
        return
    if condition["type"] == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from _equal(child, called)
    elif condition["type"] == "COMPARE_EQUAL":
        for one, other in (("left", "right"), ("right", "left")):
            names = condition[one].get("column_names", [])
            if [each.lower() for each in names[:-1]] == [called.lower()] and not any(
                each.get("column_names", [""])[0].lower() == called.lower()
                for each in nodes(condition[other])
            ):
                yield names[-1]


def check_unique(con: duckdb.DuckDBPyConnection, lookup: Lookup, table: str) -> None:
    """Raises IngestError where a key has several rows: which comes first nothing says."""
    keys = ", ".join(map(name, lookup.keys))
    present = " AND ".join(f"{name(key)} IS NOT NULL" for key in lookup.keys)
    again = con.execute(
        f"SELECT {keys} FROM ({lookup.sql}) WHERE {present} GROUP BY {keys} HAVING count(*) > 1 "
        f"ORDER BY ALL LIMIT 1"
    ).fetchone()
    if again:
        shown = ", ".join(f"{k} = {v!r}" for k, v in zip(lookup.keys, again, strict=True))
        raise _refused(
            f"the JOIN of {lookup.shown!r} finds several rows of {shown}, in no order: keep one of "
            "them",
            table,
        )


def _tables(node: Any) -> set[str]:
    return {table.lower() for table in tables(node)}
