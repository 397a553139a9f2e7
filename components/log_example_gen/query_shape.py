"""Which queries give a log row by row, so that they can be asked of a part of it.

Such a query reads its first table row by row, and looks others up: each row of the result is made
of one row of the first table, and they are in the order of that table. Whatever needs several rows
of it at once is refused with its clause.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
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
from ranklite.components.log_example_gen.query_expressions import CHANGING, SUBQUERY, found
from ranklite.models.features.sql import name, quoted

ROW_ORDER = ("join_order", "build_side_probe_side")  # which may put another table first
_JOINS = ("INNER", "LEFT", "SEMI", "ANTI")
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
    """Of a query that is asked of parts of its first table.

    Attributes:
      table: The table that can be divided, in small letters.
      lookups: What is joined to it, where it is asked row by row.
      joins: Whether anything is.
      keys: Of a log that is divided by a key: the tables that are, in small letters, and the column
        of each that has the key.
    """

    table: str
    lookups: tuple[Lookup, ...]
    joins: bool
    keys: Mapping[str, str] = {}


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
        what = f"WITH {first} reads the log: write it as a subquery of FROM"
        raise refused(what, "the log", by_key=True)
    _check(node, first)
    joined = list(_lookups(node, first, node.get("cte_map")))
    return Shape(first, tuple(each for each in joined if each is not None), bool(joined))


def _first(node: Node) -> str:
    """The table that the FROM clause of a SELECT begins with."""
    if node["type"] != "SELECT_NODE":
        raise refused("UNION, INTERSECT or EXCEPT needs all rows of the log", "the log")
    source = node["from_table"]
    while source.get("type") in ("JOIN", "SUBQUERY"):
        if source["type"] == "JOIN":
            source = source["left"]
        else:
            return _first(source["subquery"]["node"])
    if source.get("type") != "BASE_TABLE":
        raise refused("its FROM does not begin with a table of the log", "the log")
    return str(source["table_name"]).lower()


def refused(what: str, table: str, by_key: bool = False) -> IngestError:
    """Why a query is not asked row by row.

    Args:
      what: Of the query.
      table: That is divided.
      by_key: Whether `source.partition_by` may help.
    """
    key = "divide the log by the key of that step (source.partition_by), " if by_key else ""
    return IngestError(
        f"source.query: {what}. With an `engine`, each worker reads a part of {table!r}, row by "
        f"row, and looks up other tables: {key}run that step beforehand and read its result, or "
        "leave `engine` out"
    )


def _check(node: Node, table: str) -> None:
    """Raises IngestError where a SELECT needs several rows of a table at once."""
    for modifier in node["modifiers"]:
        clause = _MODIFIERS.get(modifier["type"], modifier["type"])
        by_key = clause == "DISTINCT"
        raise refused(f"{clause} over {table!r} needs all its rows", table, by_key)
    for key, clause in _CLAUSES.items():
        if node.get(key):
            raise refused(f"{clause} over {table!r} needs all its rows", table, key != "sample")
    if node["aggregate_handling"] == "FORCE_AGGREGATES":
        raise refused(f"GROUP BY ALL over {table!r} needs all its rows", table, by_key=True)
    for each in node["cte_map"]["map"]:
        if table in _tables(each["value"]):
            raise refused(
                f"WITH {each['key']} reads {table!r}: write it as a subquery of FROM",
                table,
                by_key=True,
            )
    _check_expressions([node["select_list"], node["where_clause"]], table)
    _check_source(node["from_table"], table)


def _check_source(source: Node, table: str) -> None:
    if source.get("sample"):
        raise refused(f"TABLESAMPLE of {table!r} needs all its rows", table)
    if source["type"] == "SUBQUERY":
        _check(source["subquery"]["node"], table)
    elif source["type"] == "JOIN":
        right = source["right"]
        if table in _tables(right):
            raise refused(f"a JOIN of {table!r} with itself needs all its rows", table, by_key=True)
        if source["ref_type"] not in ("REGULAR", "DEPENDENT") or source["join_type"] not in _JOINS:
            kind = source["ref_type"] if source["ref_type"] != "REGULAR" else source["join_type"]
            raise refused(
                f"a {kind} JOIN does not look up one row for each of {table!r}: write JOIN or LEFT "
                "JOIN with USING, or with ON and an equality",
                table,
            )
        _check_expressions(source["condition"], table)
        _check_source(source["left"], table)


def _check_expressions(tree: Any, table: str) -> None:
    for each in found(tree):
        if each.kind == SUBQUERY:
            raise refused(f"{each.shown} over {table!r}: write it as a JOIN", table)
        if each.kind == CHANGING:
            raise refused(f"{each.shown} differs from worker to worker", table)
        raise refused(f"{each.shown} over {table!r} needs all its rows", table, by_key=True)


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
        raise refused(
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
        raise refused(
            f"the JOIN of {lookup.shown!r} finds several rows of {shown}, in no order: keep one of "
            "them",
            table,
            by_key=True,
        )


def _tables(node: Any) -> set[str]:
    return {table.lower() for table in tables(node)}
