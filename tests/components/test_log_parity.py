"""The gate that begins at the log: rows as they stand in the files, against what was judged."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from ranklite.components.file_validator import log_parity
from ranklite.models.features.raw_column import RawColumn

COLUMNS = [
    RawColumn("item", "string", column="Item ID"),
    RawColumn("tags", "int64", length=2, separator="|"),
    RawColumn("price", "float32"),
]
JUDGED = {  # of five Examples
    "item": np.array([b"A1", b"", b"b", b"c", b"A1"], np.object_),
    "tags": np.array([[1, 2], [3, -(2**63)], [4, 5], [6, 7], [-(2**63)] * 2], np.int64),
    "price": np.array([0.1, np.nan, 2, 3, 4], np.float32),
}
ROWS: list[dict[str, Any]] = [
    {"example": 4, "file": "log.csv", "line": 9, "row": {"Item ID": "A1", "price": "4"}},
    {
        "example": 0,
        "file": "log.csv",
        "line": 2,
        "row": {"Item ID": "A1", "tags": "1|2|9", "price": "0.1"},
    },
    {"example": 1, "file": "log.csv", "line": 3, "row": {"Item ID": None, "tags": "3"}},
]


def score(raw: dict[str, Any]) -> Any:
    """A model that looks at all there is."""
    item = np.array([len(value) + sum(value) / 1000 for value in raw["item"]])
    return np.tanh(item + np.nan_to_num(raw["price"]) + (raw["tags"] % 97).sum(1) / 100)


def judge(tmp_path: pathlib.Path, rows: list[dict[str, Any]], limit: float | None = 1e-5) -> Any:
    path = tmp_path / "log_rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return log_parity.verdicts(limit, str(path), COLUMNS, JUDGED, np.asarray, score)


def test_rows_that_arrived_as_they_were_logged_pass(tmp_path: pathlib.Path) -> None:
    [verdict] = judge(tmp_path, ROWS)
    assert (verdict.passed, verdict.value, verdict.detail) == (True, 0.0, "")
    assert verdict.name == "score from the log file"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"Item ID": "a1"}, "log.csv:2: item is 'a1' in the log and was judged as 'A1'"),
        ({"tags": "1|3"}, "log.csv:2: tags is '1|3' in the log and was judged as [1, 2]"),
        ({"price": "0.2"}, "log.csv:2: price is '0.2' in the log and was judged as 0.1"),
        ({"price": None}, "log.csv:2: price is None in the log and was judged as 0.1"),
        ({"price": "dear"}, "log.csv:2: the scorer refuses price = 'dear' is not of type float32"),
    ],
)
def test_a_changed_value_is_named(
    tmp_path: pathlib.Path, change: dict[str, Any], detail: str
) -> None:
    rows = [ROWS[0], {**ROWS[1], "row": {**ROWS[1]["row"], **change}}, ROWS[2]]
    [verdict] = judge(tmp_path, rows)
    assert not verdict.passed
    assert verdict.detail == detail


def test_a_value_that_changes_no_score_is_named_too(tmp_path: pathlib.Path) -> None:
    rows = [{**ROWS[0], "file": "", "row": {"Item ID": "A1", "tags": "97|194", "price": "4"}}]
    before = JUDGED["tags"][4].copy()
    try:
        JUDGED["tags"][4] = [194, 97]
        [verdict] = judge(tmp_path, rows)
    finally:
        JUDGED["tags"][4] = before
    assert (verdict.passed, verdict.value) == (False, 0.0)
    assert verdict.detail.startswith("row 9 of the query: tags is '97|194' in the log")


def test_without_rows_or_limit_there_is_no_verdict(tmp_path: pathlib.Path) -> None:
    assert judge(tmp_path, []) == []
    assert judge(tmp_path, ROWS, limit=None) == []
    assert (
        log_parity.verdicts(1e-5, str(tmp_path / "none"), COLUMNS, JUDGED, np.asarray, score) == []
    )
