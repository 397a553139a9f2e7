"""The label: an SQL expression over the columns of the log, and what each of these has to be."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.parsed_query import Node, arguments, is_text, parsed
from ranklite.models.features.sql import name
from ranklite.models.features.sql_values import JSON, number

_TEXTS = ("VARCHAR", JSON)
_FLOATS = ("FLOAT", "DOUBLE")


def columns_of(expression: str) -> list[str]:
    """Columns that a label's expression reads, in their order.

    Raises:
      IngestError: It is no single SQL expression, or reads tables.

    Example:
        >>> columns_of("rating >= 4 AND NOT hidden")
        ['rating', 'hidden']
    """
    return list(dict.fromkeys(column for column, _ in _references(_tree(expression))))


def sql_of(
    con: duckdb.DuckDBPyConnection, expression: str, types: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """SQL of the label, and of the columns that it reads.

    A column of text that the expression compares with text is text; any other one is a number
    where the expression can be evaluated so. A column alone may say `true` and `false`, too.

    Args:
      con: Any connection.
      expression: The label.
      types: DuckDB's types of the columns that it reads.

    Returns:
      SQL of a double, null where there is no label; and SQL of each column, by its name, under
      which the first one is to be evaluated.

    Raises:
      IngestError: The expression cannot be evaluated over these columns.
    """
    tree = _tree(expression)
    compared = {column for column, with_text in _references(tree) if with_text}
    columns = columns_of(expression)
    if len(columns) == 1 and tree.get("class") == "COLUMN_REF" and types[columns[0]] in _TEXTS:
        source = name(columns[0])
        text = f"({source}->>'$')" if types[columns[0]] == JSON else source
        value = (
            f"coalesce({number(source, types[columns[0]])}, "
            f"CASE lower({text}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END::DOUBLE)"
        )
        return value, {columns[0]: source}
    open_ones = [c for c in columns if types[c] in _TEXTS and c not in compared]
    failure: duckdb.Error | None = None
    # As numbers, then each as text, then two of them ...: the first way that can be evaluated.
    for texts in itertools.chain.from_iterable(
        itertools.combinations(open_ones, n) for n in range(len(open_ones) + 1)
    ):
        read = {}
        for column in columns:
            source = name(column)
            if types[column] in _FLOATS:  # NaN is missing, and greater than any number in SQL
                read[column] = f"CASE WHEN NOT isnan({source}) THEN {source} END"
            elif types[column] not in _TEXTS:
                read[column] = source
            elif column in compared or column in texts:
                read[column] = f"({source}->>'$')" if types[column] == JSON else source
            else:
                read[column] = number(source, types[column])
        kinds = ", ".join(
            f"NULL::{_kind(types[c], c in compared or c in texts)} AS {name(c)}" for c in columns
        )
        try:
            con.execute(f"DESCRIBE SELECT (\n{expression}\n) FROM (SELECT {kinds or '1 AS one'})")
            return f"TRY_CAST((\n{expression}\n) AS DOUBLE)", read
        except duckdb.Error as error:
            failure = failure or error
    raise IngestError(f"label {expression!r}: {failure}") from failure


def _kind(kind: str, as_text: bool) -> str:
    if kind not in _TEXTS:
        return kind
    return "VARCHAR" if as_text else "DOUBLE"


@functools.cache
def _tree(expression: str) -> dict[str, Any]:
    """The expression as DuckDB parses it, with parentheses around it and without."""
    _select(expression, f"SELECT (\n{expression}\n)")
    return _select(expression, f"SELECT {expression}")


def _select(expression: str, statement: str) -> dict[str, Any]:
    tree = parsed(statement)
    if tree["error"] and expression.strip():
        raise IngestError(f"label {expression!r}: {tree.get('error_message', 'not SQL')}")
    statements = tree.get("statements", [])
    node = statements[0]["node"] if statements else {}
    selected = node.get("select_list", [])
    reads_tables = node.get("from_table", {}).get("type") not in (None, "EMPTY")
    if len(statements) != 1 or len(selected) != 1 or reads_tables or _beyond_a_row(selected):
        raise IngestError(
            f"label {expression!r} is to be one SQL expression over the columns of a row, such as "
            '"rating >= 4"'
        )
    chosen: Node = selected[0]
    return chosen


def _beyond_a_row(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("class") in ("SUBQUERY", "WINDOW") or any(map(_beyond_a_row, node.values()))
    return isinstance(node, list) and any(map(_beyond_a_row, node))


def _references(node: Any, with_text: bool = False) -> Iterator[tuple[str, bool]]:
    """Columns with whether they stand beside a text, as in `action = 'buy'`."""
    if isinstance(node, list):
        for each in node:
            yield from _references(each, with_text)
    elif isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][-1], with_text
            return
        beside = with_text  # of an argument that DuckDB 2 puts beside its name
        if "class" in node:
            beside = node["class"] in ("COMPARISON", "OPERATOR", "BETWEEN", "FUNCTION") and any(
                is_text(child) for child in _children(node)
            )
        for value in node.values():
            yield from _references(value, beside)


def _children(node: Node) -> Iterator[Any]:
    yield from arguments(node)
    for value in node.values():
        yield from value if isinstance(value, list) else [value]
