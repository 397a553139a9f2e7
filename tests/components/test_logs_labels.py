"""Labels: what is a positive, whatever the log's first rows look like."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tests.small_logs import FORMATS, Log, check, config

U = {"u": "string"}


def label(
    name: str,
    expression: str,
    values: list[Any],
    expected: list[float],
    *,
    rejects: Any = (),
    column: str = "y",
    kind: str = "csv",
    error: str = "",
) -> Any:
    """A log of u and a column that the label reads, and the labels that its rows have."""
    rows = [{"u": "a", column: value} for value in values]
    log = Log(name, {f"log.{kind}": rows}, U, ["a"] * len(expected), rejects, error,
              {"label": expression})  # fmt: skip
    return pytest.param(log, expected, id=name)


def bad(line: int, value: str, kind: str = "csv") -> tuple[str, int, str, str, str]:
    return (f"log.{kind}", line, "label", "missing or not a number", value)


LABELS = [
    label("0 and 1", "y", ["1", "0", "1.0", "0.0", "1e0"], [1, 0, 1, 0, 1]),
    label("true and false", "y", ["true", "False", "TRUE"], [1, 0, 1]),
    label("booleans of JSON", "y", [True, False, "true", 1, 0.0], [1, 0, 1, 1, 0], kind="jsonl"),
    label("booleans of Parquet", "y", [True, False], [1, 0], kind="parquet"),
    label("integers of Parquet", "y", [1, 0], [1, 0], kind="parquet"),
    label("words that are no label", "y", ["1", "yes", None, "0"], [1, 0],
          rejects=[bad(3, "yes"), bad(4, "")]),
    label("ratings", "y >= 4", ["4", "3", "3.5", "4.0", "10"], [1, 0, 0, 1, 1]),
    label("ratings of JSON", "y >= 4", [4, 3, 3.5, "4", "10"], [1, 0, 0, 1, 1], kind="jsonl"),
    label("ratings that turn decimal late", "y >= 4", ["3"] * 20_500 + ["3.5", "4.5"],
          [0] * 20_501 + [1]),
    label("ratings of JSON that turn decimal late", "y >= 4", [3] * 20_500 + [3.5, 4.5],
          [0] * 20_501 + [1], kind="jsonl"),
    label("ratings of Parquet that are missing", "y >= 4", [5.0, float("nan"), None, 1.0], [1, 0],
          rejects=[bad(2, "nan", "parquet"), bad(3, "", "parquet")], kind="parquet"),
    label("NaN where the label says what null is", "coalesce(y >= 4, false)",
          [5.0, float("nan")], [1, 0], kind="parquet"),
    label("a number is no text", "y > 9", ["10", "8"], [1, 0]),
    label("ratings that are missing", "y >= 4", ["5", None, "n/a", "1"], [1, 0],
          rejects=[bad(3, ""), bad(4, "n/a")]),
    label("a text label", "y = 'buy'", ["buy", "view", "Buy", "buy "], [1, 0, 0, 0]),
    label("a text of digits", "y = '01'", ["01", "1"], [1, 0]),
    label("a list of texts", "y IN ('buy', 'cart')", ["buy", "view", "cart"], [1, 0, 1]),
    label("a list of numbers", "y IN (4, 5)", ["4", "5.0", "3"], [1, 1, 0]),
    label("between", "y BETWEEN 4 AND 5", ["4", "10", "4.5"], [1, 0, 1]),
    label("like", "y LIKE 'buy%'", ["buy now", "view"], [1, 0]),
    label("a function of text", "lower(y) = 'buy'", ["BUY", "x"], [1, 0]),
    label("text beside text in a function", "concat(y, '') = '01'", ["01", "1"], [1, 0]),
    label("length of a text", "length(y) > 3", ["abcd", "a", "1000"], [1, 0, 1]),
    label("null is no positive where it says so", "coalesce(y >= 4, false)", ["5", None], [1, 0]),
    label("is not null", "y IS NOT NULL", ["5", None], [1, 0]),
    label("a case", "CASE WHEN y > 3 THEN 1 ELSE 0 END", ["5", "1"], [1, 0]),
    label("a cast", "CAST(y AS INTEGER) >= 4", ["5", "3"], [1, 0]),
    label("a comment behind", "y >= 4 -- of five", ["5", "3"], [1, 0]),
    label("a quoted name", '"Is it?" = 1', ["1", "0"], [1, 0], column="Is it?"),
    label("a name of ours", '"ranklite label" = 1', ["1", "0"], [1, 0], column="ranklite label"),
    label("a keyword of a name", '"order" = 1', ["1", "0"], [1, 0], column="order"),
    label("a column called label", "label", ["1", "0"], [1, 0], column="label"),
    label("a constant", "true", ["x"], [1]),
    label("arithmetic", "y * 2 > 7", ["4", "3"], [1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("log", "expected"), LABELS)
def test_labels(tmp_path: pathlib.Path, log: Log, expected: list[float]) -> None:
    arrived = check(tmp_path, log)
    assert arrived
    assert [row["label"] for row in arrived.examples["train"]] == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_a_label_beside_features(tmp_path: pathlib.Path, kind: str) -> None:
    """An expression may read what features read, as numbers there and as text here."""
    rows = [{"u": "01", "x": "5"}, {"u": "1", "x": "3"}]
    log = Log("both", {f"log.{kind}": rows}, {"u": "string", "x": "float32"},
              [("01", 5.0), ("1", 3.0)], changes={"label": "x >= 4 AND u = '01'"})  # fmt: skip
    arrived = check(tmp_path, log)
    assert arrived
    assert [row["label"] for row in arrived.examples["train"]] == [1.0, 0.0]


WRONG = {
    "a subquery": ("(SELECT max(y) FROM other)", "is to be one SQL expression over the columns"),
    "IN of a subquery": ("y IN (SELECT 1)", "is to be one SQL expression"),
    "an unbalanced parenthesis": ("y >= 4) OR (1 = 1", "syntax error"),
    "an open parenthesis": ("(y >= 4", "syntax error"),
    "several statements": ("y); DROP TABLE x; SELECT (1", "label 'y.; DROP"),
    "several expressions": ("y, 1", "is to be one SQL expression|syntax error"),
    "a table": ("y FROM read_csv('/etc/passwd')", "syntax error|is to be one SQL expression"),
    "an aggregate": ("y > avg(y)", "GROUP BY|aggregate"),
    "a window": ("row_number() OVER () > 1", "is to be one SQL expression"),
    "no such column": ("z >= 4", "the log has no column 'z'; it has u, y"),
    "no such function": ("looks_good(y)", "looks_good"),
    "nothing": (" ", "is to be one SQL expression"),
    "a struct of it": ("y.a = 1", "no column 'a'|label 'y.a = 1'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_labels_that_are_none(tmp_path: pathlib.Path, name: str) -> None:
    expression, error = WRONG[name]
    check(tmp_path, Log(name, {"log.csv": "u,y\na,1\n"}, error=error,
                        changes={"label": expression}))  # fmt: skip


@pytest.mark.parametrize("expression", ["u", ' "u" ', '"It""em"'])
@pytest.mark.fault("a feature reads the label's column", "refused when the configuration is read")
def test_a_label_that_a_feature_reads_is_refused(expression: str) -> None:
    features = {"u": "string", "f": {"kind": "categorical", "column": 'It"em'}}
    with pytest.raises(ValueError, match="is the label, and a feature reads it"):
        config(Log("answer", {"log.csv": ""}, features, changes={"label": expression}))
    config(Log("fine", {"log.csv": ""}, features, changes={"label": "u >= '4'"}))
