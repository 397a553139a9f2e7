"""What in the expressions of a query needs several rows at once, or is another thing each time."""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb

from ranklite.components.log_example_gen.parsed_query import Node, arguments, nodes, parsed

WINDOW, AGGREGATE, SUBQUERY, CHANGING = "window", "aggregate", "subquery", "changing"
_NOW = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


class Found(NamedTuple):
    """An expression that is more than a function of one row.

    Attributes:
      kind: `WINDOW`, `AGGREGATE`, `SUBQUERY` or `CHANGING`.
      shown: What it is, for a person.
      node: Of the tree.
    """

    kind: str
    shown: str
    node: Node


def found(tree: Any) -> Iterator[Found]:
    """All of them, in expressions and in the macros that these call.

    Example:
        >>> tree = parsed("SELECT upper(a), max(b), now() FROM x")
        >>> [(each.kind, each.shown) for each in found(tree["statements"])]
        [('aggregate', 'max()'), ('changing', 'now()')]
    """
    for node in nodes(tree):
        yield from _of_node(node)


def _of_node(node: Node) -> Iterator[Found]:
    kind = node.get("class")
    if kind == "WINDOW":
        yield Found(WINDOW, f"the window function {node['function_name']}()", node)
    elif kind == "SUBQUERY":
        yield Found(SUBQUERY, "a subquery in an expression", node)
    elif kind == "COLUMN_REF" and node["column_names"][-1].lower() in _NOW:
        yield Found(CHANGING, node["column_names"][-1], node)
    elif kind == "FUNCTION":
        yield from _of_function(node)


def _of_function(node: Node) -> Iterator[Found]:
    function = node["function_name"].lower()
    aggregates, changing, macros = _functions()
    if function in aggregates:
        yield Found(AGGREGATE, f"{function}()", node)
    if function in changing or (function == "age" and len(arguments(node)) == 1):  # from today
        yield Found(CHANGING, f"{function}()", node)
    for definition in macros.get(function, ()):
        for each in nodes(parsed(f"SELECT {definition}").get("statements", [])):
            if each.get("function_name", "").lower() != function:
                yield from _of_node(each)


@functools.cache
def _functions() -> tuple[frozenset[str], frozenset[str], dict[str, tuple[str, ...]]]:
    """Names of aggregates, of functions that give something else each time, and macros.

    DuckDB 2 says of `+` and of parts of a date, too, that they change with the time zone where they
    are of a TIMESTAMPTZ. Ours is always UTC: those of other types tell what such a function is.
    """
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT function_name, function_type, stability, macro_definition "
            "FROM duckdb_functions()"
        ).fetchall()
    macros: dict[str, tuple[str, ...]] = {}
    for function, kind, _, definition in rows:
        if kind == "macro" and definition:
            macros[function] = (*macros.get(function, ()), definition)
    aggregates = frozenset(function for function, kind, *_ in rows if kind == "aggregate")
    how = collections.defaultdict(set)
    for function, _, stability, _ in rows:
        if stability:
            how[function].add(stability)
    changing = frozenset(
        function for function, ways in how.items() if "VOLATILE" in ways or "CONSISTENT" not in ways
    )
    return aggregates, changing, macros
