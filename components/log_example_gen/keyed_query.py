"""Which queries can be asked of each share of a log that is divided by the hash of a key.

All rows of a value of the key are in one share. So whatever a query does with several rows at once
it may do where these have the key in common; everything else is refused with its clause.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.key_columns import (
    Rows,
    equalities,
    has_key,
    in_clause,
    joined,
    of_result,
)
from ranklite.components.log_example_gen.parsed_query import Node, cte_node, nodes, selected, tables
from ranklite.components.log_example_gen.query_expressions import (
    AGGREGATE,
    CHANGING,
    SUBQUERY,
    WINDOW,
    found,
)
from ranklite.components.log_example_gen.query_shape import Shape, shape
from ranklite.components.log_example_gen.source import SourceConfig

_KINDS = ("INNER", "LEFT", "SEMI", "ANTI")  # that look rows up
_REFS = ("REGULAR", "DEPENDENT", "CROSS", "ASOF")
_Scope = Mapping[str, frozenset[str] | None]  # columns with the key, by name of WITH


def shape_of(source: SourceConfig) -> Shape:
    """How the configured query reads the log.

    Raises:
      IngestError: Not row by row, and not by the key that the log is divided by.
    """
    query = str(source.query)
    return shape(query) if source.partition_by is None else keyed(query, source.partition_by)


def keeps_order(source: SourceConfig) -> bool:
    """Whether a query's rows are to be in the order of its first table, beside others."""
    if source.query is None:
        return False
    try:
        return shape_of(source).joins
    except IngestError:
        return False


@functools.cache
def keyed(query: str, key: str) -> Shape:
    """How a query reads a log that is divided by a key.

    Args:
      query: One SELECT statement.
      key: Column of the table that its FROM begins with.

    Raises:
      IngestError: It needs rows of several keys at once; the message names the clause.

    Example:
        >>> keyed("SELECT user, count(*) AS n FROM clicks GROUP BY user", "user").keys
        {'clicks': 'user'}
    """
    tree = selected(query)["statements"]
    node = tree[0]["node"]
    ctes = {e["key"].lower(): cte_node(e) for e in _ctes(tree)}
    first = _begins_with(node, ctes)
    if node["type"] != "SELECT_NODE":
        raise _refused("UNION, INTERSECT or EXCEPT needs all rows of the log", key)
    if not first:
        raise _refused("its FROM does not begin with a table of the log", key)
    failure = None
    others = _candidates(tree, ctes, first, key.lower())
    for count in range(len(others), -1, -1):
        for chosen in itertools.combinations(others.items(), count):
            keys = {first: key.lower(), **dict(chosen)}
            try:
                _Check(first, keys, key).select(node, {})
            except IngestError as error:
                failure = failure or error
            else:
                joins = any(each.get("type") == "JOIN" for each in nodes(tree))
                return Shape(first, (), joins, keys)
    assert failure is not None
    raise failure


def _refused(what: str, key: str) -> IngestError:
    return IngestError(
        f"source.query: {what}. With source.partition_by: {key}, each worker has all rows of some "
        f"values of {key!r} and none of others: do by {key!r} what needs several rows, run that "
        "step beforehand and read its result, or leave both `partition_by` and `engine` out"
    )


def _ctes(tree: Any) -> Iterator[Node]:
    for each in nodes(tree):
        yield from each["cte_map"]["map"] if "cte_map" in each else ()


def _begins_with(node: Node, ctes: Mapping[str, Node]) -> str:
    """The table that a SELECT, or a source of its FROM clause, begins with; "" where it is none."""
    within = set[str]()
    while True:
        kind = node.get("type")
        if kind == "SELECT_NODE":
            node = node["from_table"]
        elif kind == "JOIN":
            node = node["left"]
        elif kind == "SUBQUERY":
            node = node["subquery"]["node"]
        elif kind == "BASE_TABLE":
            table = str(node["table_name"]).lower()
            if table not in ctes or table in within:  # WITH clicks AS (SELECT * FROM clicks)
                return table
            within.add(table)
            node = ctes[table]
        else:
            return ""


def _candidates(tree: Any, ctes: Mapping[str, Node], first: str, key: str) -> dict[str, str]:
    """Other tables that are joined by an equality with the key, and their column in it."""
    wanted: dict[str, set[str]] = {}
    for join in (each for each in nodes(tree) if each.get("type") == "JOIN"):
        table = _begins_with(join["right"], ctes)
        if not table or first in {each.lower() for each in tables(join["right"])}:
            continue
        wanted.setdefault(table, set()).update({key} & {e.lower() for e in join["using_columns"]})
        for pair in equalities(join["condition"]):
            names = [[each.lower() for each in side.get("column_names", ())] for side in pair]
            called = str(join["right"]["alias"] or join["right"].get("table_name", "")).lower()
            for one, other in (names, reversed(names)):
                if one[-1:] == [key] and one[:-1] != [called] and other[:-1] == [called]:
                    wanted[table].add(other[-1])
    return {table: columns.pop() for table, columns in wanted.items() if len(columns) == 1}


class _Check:
    """Goes through a query and refuses what needs rows of several keys.

    Args:
      first: The table that it begins with.
      keys: Column with the key by table, of those that are divided; all others are looked up.
      shown: The key as the configuration names it.
    """

    def __init__(self, first: str, keys: Mapping[str, str], shown: str) -> None:
        self._first, self._keys, self._key = first, keys, shown
        self._numbers = itertools.count()

    def select(self, node: Node, scope: _Scope) -> frozenset[str] | None:
        """Columns of the result that hold the key; None where nothing of a divided table is read.

        Args:
          node: A SELECT, or what is made of several.
          scope: What names of WITH stand for.
        """
        if node["type"] != "SELECT_NODE":
            if self._reads(node, scope):
                raise self._error(f"UNION, INTERSECT or EXCEPT over {self._first!r}")
            return None
        inner = dict(scope)
        for each in node["cte_map"]["map"]:
            columns = self.select(cte_node(each), inner)
            renamed = columns is not None and each["value"]["aliases"]
            inner[each["key"].lower()] = frozenset() if renamed else columns
        rows = self._source(node["from_table"], inner)
        if rows is None:
            rest = {**node, "from_table": None, "cte_map": None}
            if self._reads(rest, inner):
                raise self._error(f"a subquery in an expression over {self._first!r}")
            return None
        self._check(node, rows)
        return of_result(rows, node)

    def _source(self, source: Node, scope: _Scope) -> Rows | None:
        kind = source["type"]
        if kind == "JOIN":
            return self._join(source, scope)
        if kind == "SUBQUERY":
            columns = self.select(source["subquery"]["node"], scope)
        elif kind == "BASE_TABLE":
            table = source["table_name"].lower()
            of_table = frozenset({self._keys[table]}) if table in self._keys else None
            columns = scope.get(table, of_table)
        elif self._reads(source, scope):
            raise self._error(f"{self._first!r} inside of a {kind.lower()}")
        else:
            return None
        if columns is None:
            return None
        if source.get("sample"):
            raise self._error(f"TABLESAMPLE of {self._first!r} needs all its rows")
        called = source["alias"] or source.get("table_name") or f" {next(self._numbers)}"
        if source["column_name_alias"]:
            columns = frozenset()
        return Rows(called.lower(), frozenset((called.lower(), each) for each in columns))

    def _join(self, join: Node, scope: _Scope) -> Rows | None:
        left, right = self._source(join["left"], scope), self._source(join["right"], scope)
        if left is None and right is None:
            if self._reads(join["condition"], scope):
                raise self._error(f"a subquery in an expression over {self._first!r}")
            return None
        self._expressions(join["condition"])
        kind, ref = join["join_type"], join["ref_type"]
        if left is None:
            raise self._error(f"a JOIN that begins with another table than {self._first!r}")
        if ref not in _REFS or (right is None and kind not in _KINDS):
            shown = ref if ref not in _REFS else kind
            raise self._error(f"a {shown} JOIN of {self._first!r} needs all its rows")
        if right is None:
            return left
        both = joined(left, right, join)
        if both is None:
            raise self._error(
                f"a JOIN of {self._first!r} with "
                f"{self._called(join['right'])} without an equality of {self._key!r}, such as "
                f"USING ({self._key})"
            )
        return both

    def _called(self, source: Node) -> str:
        read = {table.lower() for table in tables(source)} & self._keys.keys()
        return "itself" if self._first in read or not read else repr(min(read))

    def _check(self, node: Node, rows: Rows) -> None:
        """Raises IngestError where a SELECT of divided rows needs those of several keys."""
        grouped = self._grouped(node, rows)
        clauses = ("select_list", "where_clause", "group_expressions", "having", "qualify")
        for clause in (*clauses, "modifiers"):
            self._expressions(node[clause], rows, node, grouped)
        if node["having"] and not grouped:
            raise self._error(f"HAVING over {self._first!r} without GROUP BY")
        if node["sample"]:
            raise self._error(f"USING SAMPLE over {self._first!r} needs all its rows")
        on_key = False
        for modifier in node["modifiers"]:
            kind = modifier["type"]
            if kind == "DISTINCT_MODIFIER":
                targets = modifier["distinct_on_targets"]
                on_key = any(in_clause(rows, each, node, positions=True) for each in targets)
                if not (on_key or (not targets and has_key(rows, node))):
                    shown = "DISTINCT ON" if targets else "DISTINCT"
                    raise self._error(f"{shown} over {self._first!r} without {self._key!r}")
            elif kind != "ORDER_MODIFIER" or not on_key:  # which row DISTINCT ON keeps
                clause = "ORDER BY" if kind == "ORDER_MODIFIER" else "LIMIT"
                raise self._error(f"{clause} over {self._first!r} needs all its rows")

    def _grouped(self, node: Node, rows: Rows) -> bool:
        """Whether there is GROUP BY, with the key in it."""
        groups = node["group_expressions"]
        if node["aggregate_handling"] == "FORCE_AGGREGATES":
            if not has_key(rows, node):
                raise self._error(f"GROUP BY ALL over {self._first!r} without {self._key!r}")
            return True
        has = {k for k, each in enumerate(groups) if in_clause(rows, each, node, positions=True)}
        if groups and not all(has.intersection(each) for each in node["group_sets"]):
            raise self._error(f"GROUP BY over {self._first!r} without {self._key!r}")
        return bool(groups)

    def _expressions(
        self, tree: Any, rows: Rows | None = None, node: Node | None = None, grouped: bool = False
    ) -> None:
        for each in found(tree):
            if each.kind == WINDOW and rows is not None and node is not None:
                if not any(in_clause(rows, by, node) for by in each.node["partitions"]):
                    raise self._error(
                        f"{each.shown} over {self._first!r} without PARTITION BY {self._key}"
                    )
            elif each.kind == SUBQUERY:
                raise self._error(f"{each.shown} over {self._first!r}: write it as a JOIN")
            elif each.kind == CHANGING:
                raise self._error(f"{each.shown} differs from worker to worker")
            elif each.kind == AGGREGATE and not grouped:
                raise self._error(f"{each.shown} over {self._first!r} without GROUP BY {self._key}")

    def _reads(self, tree: Any, scope: _Scope) -> bool:
        """Whether rows of a divided table are read."""
        read = {table.lower() for table in tables(tree)}
        with_rows = {each for each, columns in scope.items() if columns is not None}
        return bool(read & with_rows or (read - scope.keys()) & self._keys.keys())

    def _error(self, what: str) -> IngestError:
        return _refused(what, self._key)
