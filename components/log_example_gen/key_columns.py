"""Which columns of a FROM clause, and of a result, hold the key that a log is divided by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ranklite.components.log_example_gen.parsed_query import Node, whole_number

_EQUAL = ("COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM")


class Rows(NamedTuple):
    """Rows of a divided table in a FROM clause, or of several that are joined.

    A column that an outer join fills with NULL holds no key: its rows are in shares of others.

    Attributes:
      first: Name of the table that it begins with, in small letters as all names here.
      keys: Table and column that hold the key.
      merged: Columns of USING that do.
    """

    first: str
    keys: frozenset[tuple[str, str]]
    merged: frozenset[str] = frozenset()

    def has(self, column: str) -> bool:
        """Whether a column that names no table holds the key."""
        return column in self.merged or any(key == column for _, key in self.keys)

    def of_star(self, table: str) -> set[str]:
        """Columns with the key that `*` gives, or `table.*`.

        Of columns that are called alike the first one keeps its name, so that of `*` only those of
        the first table count.
        """
        found = {column for of, column in self.keys if of == (table or self.first)}
        return found if table else found | self.merged


def is_key(rows: Rows, expression: Node) -> bool:
    """Whether an expression is the key and nothing else: a column that holds it."""
    if expression.get("class") != "COLUMN_REF":
        return False
    names = [each.lower() for each in expression["column_names"]]
    return rows.has(names[0]) if len(names) == 1 else (names[-2], names[-1]) in rows.keys


def in_clause(rows: Rows, expression: Node, node: Node, positions: bool = False) -> bool:
    """Whether an expression of a clause is the key.

    Args:
      rows: Of the SELECT's FROM clause.
      expression: Of GROUP BY, DISTINCT ON or PARTITION BY.
      node: The SELECT. What its result calls by another column's name might be meant, and is not
        taken for the key.
      positions: Whether a number is the place of a column of the result.
    """
    items = node["select_list"]
    if positions and (place := whole_number(expression)) is not None:
        before = items[:place]  # `*` would move the places behind it
        return (
            1 <= place <= len(items)
            and all(each["type"] != "STAR" for each in before)
            and is_key(rows, before[-1])
        )
    if not is_key(rows, expression):
        return False
    if len(expression["column_names"]) > 1:
        return True
    called = expression["column_names"][0].lower()
    return all(is_key(rows, each) for each in items if _called(each) == called)


def of_result(rows: Rows, node: Node) -> frozenset[str]:
    """Columns of a SELECT's result that surely hold the key, whatever columns the tables have."""
    found, taken, open_ended = set[str](), set[str](), False
    for item in node["select_list"]:
        if item["type"] == "STAR":
            columns = _of_star(rows, item) - taken
            found |= set() if open_ended else columns
            taken |= columns
            open_ended = True  # columns of unknown names come first from here on
            continue
        called = _called(item)
        if is_key(rows, item) and called not in taken and not open_ended:
            found.add(called)
        taken.add(called)
    return frozenset(found)


def has_key(rows: Rows, node: Node) -> bool:
    """Whether the key is among the columns of a SELECT's result, whatever it is called there."""
    return any(
        _of_star(rows, item) if item["type"] == "STAR" else is_key(rows, item)
        for item in node["select_list"]
    )


def _of_star(rows: Rows, item: Node) -> set[str]:
    if item["columns"] or item["expr"]:
        return set()
    gone = {each.lower() for each in item["exclude_list"]}
    gone |= {each["key"].lower() for each in item["replace_list"]}
    gone |= {each["value"].lower() for each in item["rename_list"]}
    for each in (*item["qualified_exclude_list"], *(e["key"] for e in item["rename_list"])):
        gone.add(each["column"].lower())
    return rows.of_star(item["relation_name"].lower()) - gone


def _called(item: Node) -> str:
    """What a column of a result is called, as far as that is known."""
    named = item["alias"] or (item.get("column_names") or [""])[-1]
    return str(named).lower()


def joined(left: Rows, right: Rows, join: Node) -> Rows | None:
    """Rows of two that are joined by the key; None where they are not."""
    using = [each.lower() for each in join["using_columns"]]
    if join["ref_type"] == "ASOF":
        using = using[:-1]  # the last one is compared by >=
    shared = frozenset(each for each in using if left.has(each) and right.has(each))
    if not shared and not any(
        (is_key(left, one) and is_key(right, other)) or (is_key(left, other) and is_key(right, one))
        for one, other in equalities(join["condition"])
    ):
        return None
    kind = join["join_type"]
    if kind in ("SEMI", "ANTI"):
        return left
    keys, merged = frozenset[tuple[str, str]](), shared
    if kind in ("INNER", "LEFT"):
        keys, merged = keys | left.keys, merged | left.merged
    if kind in ("INNER", "RIGHT"):
        keys, merged = keys | right.keys, merged | right.merged
    return Rows(left.first, keys, merged)


def equalities(condition: Node | None) -> Iterator[tuple[Node, Node]]:
    """Pairs that a condition demands to be equal, or both NULL."""
    if condition is None:
        return
    if condition["type"] == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from equalities(child)
    elif condition["type"] in _EQUAL:
        yield condition["left"], condition["right"]
