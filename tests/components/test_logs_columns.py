"""Columns by any name, tables by any name, and columns that are no feature."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tests.small_logs import (
    FORMATS,
    KINDS,
    Log,
    arrive,
    check,
    config,
    logs,
    same_for_scorer,
    write,
)

TAKEN = [
    "split", "row_id", "ts", "bad", "rank", "rows", "nth", "label", "file", "record", "time", "raw",
    "wrong", "path", "log", "row", "line", "key", "reason", "name", "x", "c0", "source", "result",
    "timestamp", "shares", "items", "users", "select", "order", "count", "value", "scan", "from_",
]  # fmt: skip
NAMES = [
    "Item ID", "user-id", "a.b", "\u0438\u043c\u044f", "\u5546\u54c1", 'say "x"', "it's", "a,b",
    "ranklite row", "ranklite 0", "1st", " padded ", "$.x", "a[0]", "{x}", "100%", "_id", "self",
    "row", "a\\b", "#", "*", "?", "a'||'b", "\u00e9", "e\u0301", "SELECT", "ROW_ID",
]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("negatives", [False, True])
def test_no_column_of_a_log_is_replaced(tmp_path: pathlib.Path, kind: str, negatives: bool) -> None:
    """A feature called `split` held `train` and `eval`, and gave another AUC."""
    names = [name for name in TAKEN if name != "label"] if not negatives else TAKEN[:7]
    names = [*names, "u"]
    rows = [{name: f"{name} {n}" for name in names} for n in range(3)]
    write(tmp_path / f"log.{kind}", rows)
    log = Log("taken", {f"log.{kind}": rows}, dict.fromkeys(names, "string"))
    changes: dict[str, Any] = {"features": {"label": "y", "user": "u", "item": "split"}}
    if negatives:
        changes |= {"label": None, "negatives": {"per_positive": 1}}
    settings = config(Log(log.name, log.files, log.features, changes=changes))
    arrived = arrive(tmp_path, settings)
    positives = [row for row in arrived.examples["train"] if row["y"]]
    assert [{name: row[name] for name in names} for row in positives] == rows
    assert len(arrived.examples["train"]) == len(rows) * (1 + negatives)
    assert same_for_scorer(settings, arrived) == len(rows)


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_by_any_name(tmp_path: pathlib.Path, kind: str) -> None:
    features = {f"f{n}": {"kind": "categorical", "column": name} for n, name in enumerate(NAMES)}
    rows = [{name: f"{name}={n}" for name in NAMES} for n in range(3)]
    expected = [tuple(row.values()) for row in rows]
    check(tmp_path, Log("names", {f"log.{kind}": rows}, features, expected))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("first", ["id", "ID"])
def test_names_that_differ_in_case(tmp_path: pathlib.Path, kind: str, first: str) -> None:
    """SQL does not tell them apart: the first one stood for both."""
    rows = [{name: f"{name}{n}" for name in sorted(("id", "ID"), key=first.__ne__)} for n in "12"]
    for column in ("id", "ID"):
        features = {"f": {"kind": "categorical", "column": column}}
        expected = [column + "1", column + "2"]
        check(tmp_path, Log(column, {f"log.{kind}": rows}, features, expected))
    both = {name: {"kind": "categorical", "column": name[:2]} for name in ("idx", "IDy")}
    error = "the columns 'id', 'ID' differ in letter case only, which SQL does not tell apart"
    check(tmp_path, Log("both", {f"log.{kind}": rows}, both, error=error))
    query = {"source": {"query": "SELECT id FROM logs"}}
    error = "log.*: the columns '..', '..' differ in letter case only"
    check(
        tmp_path, Log("query", {f"log.{kind}": rows}, {"id": "string"}, error=error, changes=query)
    )


def test_features_that_differ_in_case(tmp_path: pathlib.Path) -> None:
    features = {
        "Price": {"kind": "categorical", "column": "x"},
        "price": {"kind": "categorical", "column": "y"},
    }
    error = "the columns 'Price', 'price' differ in letter case only"
    check(tmp_path, Log("names", {"log.csv": "x,y\n1,2\n"}, features, error=error))


@pytest.mark.parametrize("kind", FORMATS)
def test_two_features_of_one_column(tmp_path: pathlib.Path, kind: str) -> None:
    features = {
        "text": {"kind": "categorical", "column": "x"},
        "number": {**KINDS["float32"], "column": "x"},
        "x": {"kind": "categorical", "dtype": "int64", "column": "y"},
    }
    rows = [{"x": "07", "y": 3}, {"x": None, "y": None}]
    expected = [("07", 7.0, 3), (None, None, None)]
    check(tmp_path, Log("two", {f"log.{kind}": rows}, features, expected))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_user_that_is_no_feature_is_text(tmp_path: pathlib.Path, kind: str) -> None:
    """As float32, five users with large ids became one."""
    users = [2**53 + n for n in range(5)] if kind != "csv" else [f"0{2**60 + n}" for n in range(5)]
    rows = [{"u": "a", "user": user, "item": "I1", "country": "007"} for user in users]
    log = Log(
        "roles",
        {f"log.{kind}": rows},
        examples=["a"] * 5,
        changes={"features": {"user": "user", "item": "item", "slices": ["country"]}},
    )
    arrived = check(tmp_path, log)
    assert arrived
    assert [row["user"] for row in arrived.examples["train"]] == [str(user) for user in users]
    assert {(row["item"], row["country"]) for row in arrived.examples["train"]} == {("I1", "007")}


@logs(
    [
        Log(
            "a float of a user",
            {"log.jsonl": '{"u": "a", "user": 7.5}\n{"u": "b", "user": 7.0}\n'},
            examples=["b"],
            rejects=[("log.jsonl", 1, "user", "not text", "7.5")],
            changes={"features": {"user": "user"}},
        ),
        Log(
            "an absent user",
            {"log.csv": "u,v\na,1\n"},
            error="no column 'user'; it has u, v",
            changes={"features": {"user": "user"}},
        ),
        Log(
            "several absent columns",
            {"log.csv": "u,v\na,1\n"},
            {"u": "string", "i": "int64"},
            error="no column 'i', 'user'; it has u, v",
            changes={"features": {"user": "user"}},
        ),
    ]
)
def test_roles(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@pytest.mark.parametrize("table", ["log", "logs", "rejected", "ranklite", "splits", "Order", "x"])
def test_tables_by_any_name(tmp_path: pathlib.Path, table: str) -> None:
    """A table called `log` was a binder error."""
    log = Log(
        table,
        {"log.csv": "u,rank,rows\na,1,2\nb,3,4\n"},
        {"u": "string", "rank": "int64", "rows": "int64"},
        [("a", 1, 2), ("b", 3, 4)],
        changes={
            "source": {"tables": {table: "log.csv"}, "query": f'SELECT * FROM "{table}"'},
        },
    )
    check(tmp_path, log)
