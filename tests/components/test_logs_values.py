"""Values of logs that were changed on their way, in every format: each arrives as it was logged."""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import pytest

from tests.small_logs import FORMATS, Log, as_csv, check, float32, logs

UUID = "1B4E28BA-2FA1-11D2-883F-0016D3CCA427"
TEXTS: dict[str, list[str]] = {
    "upper-case UUIDs": [UUID, UUID.lower(), "{" + UUID + "}", UUID.replace("-", "")],
    "ISO times": ["2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000Z", "2026-01-05 10:00:00"],
    "times of day": ["9:01", "09:01", "9:01:00", "24:00"],
    "dates": ["2026-1-5", "2026-01-05", "05/01/2026", "1/5/26"],
    "leading zeros": ["001", "1", "0001", "01", "1.0", "+1"],
    "exponents": ["1e3", "1E3", "1000", "1e400", "0x1F"],
    "words of other types": ["true", "True", "null", "NULL", "NaN", "nan", "None", "inf", "-"],
    "blanks": [" a", "a ", "a", " ", "\u00a0", "\u3000"],
    "letter case": ["a", "A", "\u00df", "\u1e9e", "SS", "\u0130", "i"],
    "quotes": ["'90s'", '"', '""', 'say "x"', "it's", "''", "`", "\\", '\\"', "a\\nb"],
    "delimiters": ["a,b", "a;b", "a|b", "a\tb", ",", ";;", "#1", "=1+1"],
    "compositions": ["e\u0301", "\u00e9", "\ufb01", "fi", "\u212b", "\u00c5"],
    "scripts": ["Z\u00fcrich", "\u6771\u4eac", "\u05e9\u05dc\u05d5\u05dd", "\U0001f600", "\u0e01"],
    "invisible": ["a\u200bb", "ab", "\ufeffa", "a\u2028b", "a\u0085b", "a\u00adb", "\x7f"],
    "large numbers": ["9007199254740993", "9007199254740992", "18446744073709551616", "1" * 40],
    "negative zero": ["-0", "0", "-0.0", "0.0", "00"],
    "brackets": ["[]", "{}", "[a]", "{a: 1}", "[1, 2]", '{"a": 1}'],
    "prices": ["1_000", "1,000", "1.000", "1 000", "$5", "5%"],
    "versions": ["1.1", "1.10", "1.100"],
    "long texts": ["x" * 200_000, "y" * 131_073],
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_what_they_were(tmp_path: pathlib.Path, name: str, kind: str) -> None:
    rows = [{"u": text, "n": 1} for text in TEXTS[name]]
    check(tmp_path, Log(name, {f"log.{kind}": rows}, examples=TEXTS[name]))


@pytest.mark.parametrize("kind", FORMATS)
def test_line_breaks_and_nul_are_part_of_a_text(tmp_path: pathlib.Path, kind: str) -> None:
    texts = ["a\nb", "a\r\nb", "\n", "a\rb", "a\n\nb", "last\n", "a\0b", "\0"]
    rows = [{"u": text, "n": 1} for text in texts]
    content = as_csv(rows, quoting=csv.QUOTE_ALL) if kind == "csv" else rows
    check(tmp_path, Log("breaks", {f"log.{kind}": content}, examples=texts))


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_missing(tmp_path: pathlib.Path, kind: str) -> None:
    features = {"u": "string", "i": "int64", "x": "float32", "tags": "strings|"}
    rows: list[dict[str, Any]] = [
        {"u": None, "i": None, "x": None, "tags": None},
        {"u": "", "i": 5, "x": 0.5, "tags": ""},
        {"u": "a", "i": 6, "x": 0.25, "tags": "a||b| "},
    ]
    expected = [(None, None, None, []), (None, 5, 0.5, []), ("a", 6, 0.25, ["a", "b"])]
    check(tmp_path, Log("missing", {f"log.{kind}": rows}, features, expected))


def first(column: str, kind: str, values: list[Any], good: list[Any], bad: str, line: int) -> Log:
    """A CSV log with one bad value."""
    text = f"{column}\n" + "".join(f"{value}\n" for value in values)
    words = {"int64": "not an integer", "float32": "not a number"}[kind]
    reject = ("log.csv", line, column, words, bad)
    return Log(bad, {"log.csv": text}, {column: kind}, good, [reject])


NUMBERS = [
    first("i", "int64", [7, "7.6", 8], [7, 8], "7.6", 3),
    first("i", "int64", [7, "1e3", 8], [7, 8], "1e3", 3),
    first("i", "int64", ["7.0", "7.", "+7", "007", " 7", "x"], [7] * 5, "x", 7),
    first("i", "int64", [2**63 - 1, 2**63], [2**63 - 1], str(2**63), 3),
    first("i", "int64", [1 - 2**63, -(2**63)], [1 - 2**63], str(-(2**63)), 3),
    first("i", "int64", [2**53 + 1, "1_000"], [2**53 + 1], "1_000", 3),
    first("i", "int64", [1, "true"], [1], "true", 3),
    first("i", "int64", [1, "1;2"], [1], "1;2", 3),
    first("x", "float32", ["1.5", ".5", "1e3", "1e39"], [1.5, 0.5, 1000.0], "1e39", 5),
    first("x", "float32", ["0.1", "inf"], [float32(0.1)], "inf", 3),
    first("x", "float32", ["1", "1_000"], [1.0], "1_000", 3),
    first("x", "float32", ["1", '"1,5"'], [1.0], "1,5", 3),
    first("x", "float32", ["1", "0x10"], [1.0], "0x10", 3),
    first("x", "float32", ["nan", "NaN", "-0.0", "$5"], [None, None, -0.0], "$5", 5),
]


@logs(NUMBERS)
def test_numbers_of_text(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("dtype", "shown"), [("int64", "an integer"), ("float32", "a number")])
def test_a_text_that_is_no_number(
    tmp_path: pathlib.Path, kind: str, dtype: str, shown: str
) -> None:
    rows = [{"i": "7"}, {"i": "seven"}, {"i": "8"}]
    line = 3 if kind == "csv" else 2
    value = '"seven"' if kind == "jsonl" else "seven"  # as it stands in the file
    reject = (f"log.{kind}", line, "i", f"not {shown}", value)
    check(tmp_path, Log("word", {f"log.{kind}": rows}, {"i": dtype}, [7, 8], [reject]))
