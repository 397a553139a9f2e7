"""One table of cases for what a value of a log means, in ingestion's SQL and in the scorer."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.models.features import raw_values, sql_values
from ranklite.models.features.layout import MISSING_INT64
from ranklite.models.features.raw_column import RawColumn

WRONG = "wrong"
UUID = "1B4E28BA-2FA1-11D2-883F-0016D3CCA427"
TEXTS: list[tuple[str | None, Any, Any, Any]] = [  # held, as string, int64, float32
    (None, None, None, None),
    ("", None, None, None),
    (" ", b" ", WRONG, WRONG),
    ("7", b"7", 7, 7.0),
    ("007", b"007", 7, 7.0),
    ("+7", b"+7", 7, 7.0),
    (" 7 ", b" 7 ", 7, 7.0),
    ("7.0", b"7.0", 7, 7.0),
    ("7.", b"7.", 7, 7.0),
    ("7.6", b"7.6", WRONG, 7.6),
    (".5", b".5", WRONG, 0.5),
    ("1e3", b"1e3", WRONG, 1000.0),
    ("1_000", b"1_000", WRONG, WRONG),
    ("1,5", b"1,5", WRONG, WRONG),
    ("0x10", b"0x10", WRONG, WRONG),
    ("-0", b"-0", 0, -0.0),
    ("9223372036854775807", b"9223372036854775807", 2**63 - 1, float(2**63 - 1)),
    ("9223372036854775808", b"9223372036854775808", WRONG, float(2**63)),
    ("-9223372036854775808", b"-9223372036854775808", WRONG, -float(2**63)),
    ("9007199254740993", b"9007199254740993", 2**53 + 1, float(2**53)),
    ("nan", b"nan", None, None),
    ("NaN", b"NaN", None, None),
    ("inf", b"inf", WRONG, WRONG),
    ("1e39", b"1e39", WRONG, WRONG),
    ("1e-400", b"1e-400", WRONG, 0.0),
    ("NULL", b"NULL", WRONG, WRONG),
    ("true", b"true", WRONG, WRONG),
    ("\u0663", "\u0663".encode(), WRONG, WRONG),  # a digit, but none of ASCII's
    (UUID, UUID.encode(), WRONG, WRONG),
    ("9:01", b"9:01", WRONG, WRONG),
    ("2026-1-5", b"2026-1-5", WRONG, WRONG),
    ("'90s'", b"'90s'", WRONG, WRONG),
    ('say "x"', b'say "x"', WRONG, WRONG),
    ("a\nb", b"a\nb", WRONG, WRONG),
    ("e\u0301", "e\u0301".encode(), WRONG, WRONG),  # it is not composed
    ("Z\u00fcrich \U0001f600", "Z\u00fcrich \U0001f600".encode(), WRONG, WRONG),
]
TYPED: list[tuple[str, Any, Any, Any, Any]] = [  # DuckDB's type, held, as string, int64, float32
    ("BIGINT", 7, b"7", 7, 7.0),
    ("BIGINT", 2**53 + 1, b"9007199254740993", 2**53 + 1, float(2**53)),
    ("UBIGINT", 2**64 - 1, b"18446744073709551615", WRONG, float(2**64)),
    ("TINYINT", -3, b"-3", -3, -3.0),
    ("DOUBLE", 1234567.0, b"1234567", 1234567, 1234567.0),
    ("DOUBLE", 7.5, WRONG, WRONG, 7.5),
    ("DOUBLE", 2.0**53 - 1, b"9007199254740991", 2**53 - 1, 2.0**53 - 1),
    ("DOUBLE", 2.0**53, WRONG, WRONG, 2.0**53),  # as 2**53 + 1 is, written as a float
    ("DECIMAL(10,2)", decimal.Decimal("7.00"), b"7", 7, 7.0),
    ("DECIMAL(10,2)", decimal.Decimal("7.50"), WRONG, WRONG, 7.5),
    ("DECIMAL(10,2)", decimal.Decimal("0.00"), b"0", 0, 0.0),
    ("DECIMAL(18,2)", decimal.Decimal(f"{2**52 + 1}.25"), WRONG, WRONG, 2.0**52 + 1),
    ("DECIMAL(20,2)", decimal.Decimal(f"{2**53 + 1}.00"), b"9007199254740993", 2**53 + 1, 2.0**53),
    ("DECIMAL(38,0)", decimal.Decimal("1" * 38), b"1" * 38, WRONG, 1.1111111111111112e37),
    ("DECIMAL(38,30)", decimal.Decimal("0." + "9" * 30), WRONG, WRONG, 1.0),
    ("DECIMAL(38,28)", decimal.Decimal("0.1234567890123456789012345678"), WRONG, WRONG,
     0.12345678901234568),
    ("DOUBLE", math.nan, None, None, None),
    ("DOUBLE", math.inf, WRONG, WRONG, WRONG),
    ("DOUBLE", 1e39, WRONG, WRONG, WRONG),
    ("BOOLEAN", True, b"true", 1, 1.0),
    ("BOOLEAN", False, b"false", 0, 0.0),
    ("DATE", datetime.date(2026, 1, 5), b"2026-01-05", None, None),
    ("UUID", uuid.UUID(UUID), UUID.lower().encode(), WRONG, WRONG),
]  # fmt: skip
JSONS: list[tuple[str, Any, Any, Any]] = [  # held, as string, int64, float32
    ("null", None, None, None),
    ('""', None, None, None),
    ("5", b"5", 5, 5.0),
    ('"5"', b"5", 5, 5.0),
    ("5.0", b"5", 5, 5.0),
    ("1e3", b"1000", 1000, 1000.0),
    ("2.6", WRONG, WRONG, 2.6),
    ('"2.6"', b"2.6", WRONG, 2.6),
    ("true", b"true", 1, 1.0),
    ('"true"', b"true", WRONG, WRONG),
    (f'"{UUID}"', UUID.encode(), WRONG, WRONG),
    ('"9:01"', b"9:01", WRONG, WRONG),
    ('"2026-01-05T10:00:00Z"', b"2026-01-05T10:00:00Z", WRONG, WRONG),
    ("9007199254740993", b"9007199254740993", 2**53 + 1, float(2**53)),
    ("9007199254740993.0", WRONG, WRONG, 2.0**53),
    ("1e400", WRONG, WRONG, WRONG),
    ("1" + "0" * 400, b"1" + b"0" * 400, WRONG, WRONG),
    ("12345678901234567890123", b"12345678901234567890123", WRONG, 1.2345678901234568e22),
    ("[1]", WRONG, WRONG, WRONG),
    ('{"a": 1}', WRONG, WRONG, WRONG),
    ('"a\\u0000b"', b"a\0b", WRONG, WRONG),
    ('"\\u00fc"', "\u00fc".encode(), WRONG, WRONG),
    ("NaN", None, None, None),
]
DTYPES = ("string", "int64", "float32")
CONNECTION = duckdb.connect()


def by_sql(kind: str, value: Any, column: RawColumn) -> Any:
    """What ingestion makes of a value: None where it is missing, WRONG where it is refused."""
    select, reason = column.sql(kind)
    [(result, problem)] = CONNECTION.execute(
        f"SELECT {select}, {reason or 'NULL'} FROM (SELECT CAST($1 AS {kind}) AS x)", [value]
    ).fetchall()
    if problem is not None:
        [(name, _, shown)] = sql_values.problems(problem)
        assert name == "x"
        assert shown or value in ("", None)
        return WRONG
    return [as_sent(each) for each in result] if isinstance(result, list) else as_sent(result)


def as_sent(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def by_scorer(value: Any, column: RawColumn) -> Any:
    """What the scorer makes of it, likewise."""
    try:
        result = raw_values.convert(column, value)
    except ValueError:
        return WRONG
    if column.is_list:
        return [each for each in result if not missing(each, column)]
    return None if missing(result, column) else result


def missing(value: Any, column: RawColumn) -> bool:
    return bool(value == column.missing or value != value)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other and type(one) is type(other))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("case", TEXTS, ids=lambda case: repr(case[0])[:20])
def test_text(case: tuple[Any, ...], place: int) -> None:
    column = RawColumn("x", DTYPES[place])  # type: ignore[arg-type]
    held, expected = case[0], case[place + 1]
    assert same(by_sql("VARCHAR", held, column), expected)
    assert same(by_scorer(held, column), expected)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("case", TYPED, ids=lambda case: f"{case[0]} {case[1]}")
def test_values_of_parquet(case: tuple[Any, ...], place: int) -> None:
    column = RawColumn("x", DTYPES[place])  # type: ignore[arg-type]
    kind, held, expected = case[0], case[1], case[place + 2]
    if kind == "DATE" and place:
        with pytest.raises(sql_values.Unconvertible, match=r"'x' is DATE, which is not an? "):
            column.sql(kind)
        return
    assert same(by_sql(kind, held, column), expected)
    assert same(by_scorer(held, column), expected)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("case", JSONS, ids=lambda case: case[0][:20])
def test_values_of_json(case: tuple[Any, ...], place: int) -> None:
    column = RawColumn("x", DTYPES[place])  # type: ignore[arg-type]
    held, expected = case[0], case[place + 1]
    assert same(by_sql("JSON", held, column), expected)
    assert same(by_scorer(json.loads(held), column), expected)


@pytest.mark.parametrize(
    ("kind", "held", "dtype", "expected"),
    [
        ("VARCHAR", "a| b||c ", "string", [b"a", b" b", b"c "]),
        ("VARCHAR", "1|2.0| 3", "int64", [1, 2, 3]),
        ("VARCHAR", "1|x", "int64", WRONG),
        ("VARCHAR", "0.5|nan|2", "float32", [0.5, 2.0]),
        ("JSON", '["a", "", null, " ", "b"]', "string", [b"a", b"b"]),
        ("JSON", '[5, "5", true]', "string", [b"5", b"5", b"true"]),
        ("JSON", '[5, "5", 6.0]', "int64", [5, 5, 6]),
        ("JSON", "[2.5]", "int64", WRONG),
        ("JSON", '"a|b"', "string", [b"a", b"b"]),
        ("JSON", "null", "string", []),
        ("JSON", "[]", "string", []),
        ("JSON", "5", "string", WRONG),
        ("JSON", "[[1]]", "string", WRONG),
        ("VARCHAR[]", ["a", None, "", "b|c"], "string", [b"a", b"b|c"]),
        ("BIGINT[]", [3, None], "string", [b"3"]),
        ("DOUBLE[]", [3.0, math.nan, 4.5], "float32", [3.0, 4.5]),
        ("DOUBLE[]", [4.5], "int64", WRONG),
        ("DECIMAL(9,2)[]", [decimal.Decimal("3.00"), None], "string", [b"3"]),
        ("DECIMAL(9,2)[]", [decimal.Decimal("3.50")], "int64", WRONG),
        ("DECIMAL(9,2)[]", [decimal.Decimal("3.50")], "float32", [3.5]),
    ],
)
def test_lists(kind: str, held: Any, dtype: Any, expected: Any) -> None:
    column = RawColumn("x", dtype, length=10, separator="|")
    assert by_sql(kind, held, column) == expected
    given_value = json.loads(held) if kind == "JSON" else held
    assert by_scorer(given_value, column) == expected


def test_a_text_where_lists_were_promised_is_refused() -> None:
    column = RawColumn("x", "string", length=3)
    assert by_sql("JSON", '"a"', column) == by_scorer("a", column) == WRONG
    with pytest.raises(sql_values.Unconvertible, match="give the feature a `separator`"):
        column.sql("VARCHAR")


@pytest.mark.parametrize("kind", ["STRUCT(a INTEGER)", "BLOB", "TIMESTAMP", "INTERVAL", "MAP"])
def test_types_that_are_no_value(kind: str) -> None:
    for dtype in DTYPES:
        with pytest.raises(sql_values.Unconvertible, match=r"cast it in `source\.query`"):
            RawColumn("x", dtype).sql(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [datetime.datetime(2026, 1, 5), {"a": 1}, [1], object(), "\ud83d", np.datetime64("2026-01-05")],
)
def test_the_scorer_refuses_what_no_log_could_hold(value: Any) -> None:
    for dtype in DTYPES:
        with pytest.raises(ValueError, match=r"^x = .* is not of type"):
            raw_values.convert(RawColumn("x", dtype), value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [np.int32(7), np.float64(7.0), np.str_("7"), decimal.Decimal("7.0"), np.uint8(7)]
)
def test_numpys_values_are_values(value: Any) -> None:
    assert raw_values.convert(RawColumn("x", "int64"), value) == 7
    assert raw_values.convert(RawColumn("x", "string"), value) == b"7"
    assert raw_values.convert(RawColumn("x", "float32"), value) == 7.0


def test_a_decimal_that_is_no_number_is_missing() -> None:
    for dtype in DTYPES:
        assert by_scorer(decimal.Decimal("nan"), RawColumn("x", dtype)) is None  # type: ignore[arg-type]
        assert by_scorer(decimal.Decimal("inf"), RawColumn("x", dtype)) == WRONG  # type: ignore[arg-type]


NUMERALS = st.text("0123456789+-.eE_ na", max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=12), NUMERALS), st.sampled_from(DTYPES))
def test_every_text_means_the_same(value: str, dtype: Any) -> None:
    column = RawColumn("x", dtype)
    assert same(by_sql("VARCHAR", value, column), by_scorer(value, column))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.text(max_size=8), NUMERALS,
    st.integers(-(2**70), 2**70).filter(lambda n: n != MISSING_INT64),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(SCALARS, st.lists(SCALARS, max_size=4)), st.sampled_from(DTYPES), st.booleans())
def test_every_value_of_json_means_the_same(value: Any, dtype: Any, is_list: bool) -> None:
    column = RawColumn("x", dtype, length=10 if is_list else None, separator="|")
    text = json.dumps(value)
    result, expected = by_sql("JSON", text, column), by_scorer(value, column)
    assert result == expected or (is_list and not result and not expected)


@settings(max_examples=200, deadline=None)
@given(st.decimals(-(10**10) + 1, 10**10 - 1, places=28), st.sampled_from(DTYPES))
def test_every_decimal_means_the_same(value: decimal.Decimal, dtype: Any) -> None:
    column = RawColumn("x", dtype)
    assert same(by_sql("DECIMAL(38,28)", value, column), by_scorer(value, column))


JSON_NUMERALS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)


@settings(max_examples=300, deadline=None)
@given(JSON_NUMERALS, st.sampled_from(DTYPES))
def test_every_numeral_of_json_means_the_same(text: str, dtype: Any) -> None:
    column = RawColumn("x", dtype)
    held = json.loads(text)
    if held == MISSING_INT64:
        return
    assert same(by_sql("JSON", text, column), by_scorer(held, column))


def test_the_missing_values_are_reserved() -> None:
    """No log may hold the integer that stands for a missing one; who fills arrays may send it."""
    assert by_sql("BIGINT", MISSING_INT64, RawColumn("x", "int64")) == WRONG
    assert by_scorer(MISSING_INT64, RawColumn("x", "int64")) is None


@pytest.mark.parametrize("value", ["+-0", "+-5", "-+5", "1e+-5", " +-1"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_has_one_sign(value: str, dtype: Any) -> None:
    column = RawColumn("x", dtype)
    expected = value.encode() if dtype == "string" else "wrong"
    for result in (by_sql("VARCHAR", value, column), by_scorer(value, column)):
        assert same(result, expected) or (dtype == "string" and result == value)
