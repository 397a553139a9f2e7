"""A query as DuckDB's own parser reads it: a tree of objects, which is looked at and not run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.models.features.sql import quoted

Node = dict[str, Any]


def asked(sql: str) -> str:
    """The one text that DuckDB answers, by a database that holds nothing."""
    with duckdb.connect() as con:
        [(text,)] = con.execute(sql).fetchall()
    return str(text)


def serialized(query: str) -> str:
    """JSON of a query's tree, or of why it has none."""
    return asked(f"SELECT json_serialize_sql({quoted(query)})")


def parsed(query: str) -> Node:
    """The tree: `error`, and `statements` or `error_message`."""
    tree: Node = json.loads(serialized(query))
    return tree


def selected(query: str) -> Node:
    """The tree of a query that is one SELECT statement.

    Raises:
      IngestError: It is none, or there are several.
    """
    tree = parsed(query)
    if tree["error"] or len(tree["statements"]) != 1:
        reason = tree.get("error_message", "there are several statements")
        raise IngestError(f"source.query is to be one SELECT statement: {reason}")
    return tree


def nodes(tree: Any) -> Iterator[Node]:
    """All objects of a tree.

    Example:
        >>> [node["type"] for node in nodes(parsed("FROM clicks")) if "table_name" in node]
        ['BASE_TABLE']
    """
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    for value in tree if isinstance(tree, list) else ():
        yield from nodes(value)


def tables(tree: Any) -> set[str]:
    """Names of the tables that a tree reads."""
    return {node["table_name"] for node in nodes(tree) if node.get("type") == "BASE_TABLE"}


def cte_node(cte: Node) -> Node:
    """The SELECT of a name of WITH, an entry of `cte_map`; DuckDB 2 has it in another place."""
    value = cte["value"]
    node: Node = value["query_node"] if "query_node" in value else value["query"]["node"]
    return node


def arguments(function: Node) -> list[Node]:
    """What a function is given; DuckDB 2 puts each beside its name."""
    if "children" in function:
        children: list[Node] = function["children"]
        return children
    return [each["expression"] for each in function.get("arguments", [])]


def whole_number(expression: Node) -> int | None:
    """The number that an expression is, None for anything else; DuckDB 2 keeps its letters."""
    if expression.get("type") != "VALUE_CONSTANT":
        return None
    if "literal" in expression:
        literal = expression["literal"]
        return int(literal["text"]) if literal["kind"] == "INTEGER" else None
    value = expression["value"].get("value")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_text(node: Any) -> bool:
    """Whether part of a tree is a constant of text; DuckDB 2 calls it by another name."""
    if not isinstance(node, dict) or node.get("class") != "CONSTANT":
        return False
    if "literal" in node:
        return bool(node["literal"]["kind"] == "STRING")
    return bool(node["value"]["type"]["id"] == "VARCHAR")
