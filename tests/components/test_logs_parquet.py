"""Parquet as it comes: the types that a file declares."""

from __future__ import annotations

import datetime
import decimal
import pathlib
from typing import Any

import duckdb
import pyarrow as pa

from tests.small_logs import Log, check, float32, logs

DAY = datetime.date(2026, 1, 5)
NO_TEXT, NO_INTEGER, NO_NUMBER = "not text", "not an integer", "not a number"


def column(
    name: str,
    kind: Any,
    values: list[Any],
    dtype: str,
    examples: Any = (),
    rejects: Any = (),
    **more: Any,
) -> Log:
    """A log of one file with one column."""
    table = pa.table({"u": pa.array(values, kind)})
    noted = [("log.parquet", line, "u", reason, value) for line, reason, value in rejects]
    return Log(name, {"log.parquet": table}, {"u": dtype}, examples, noted, **more)


BYTES = [b"a", b"A1", "Z\u00fcrich".encode(), b"", None]
SHOWN = ["a", "A1", "Z\u00fcrich", None, None]
CATEGORIES = pa.dictionary(pa.int32(), pa.string())
TEXTS = [
    column("binary", pa.binary(), BYTES, "string", SHOWN),
    column("large strings", pa.large_string(), ["a", "\U0001f600"], "string", ["a", "\U0001f600"]),
    column("a dictionary", CATEGORIES, ["b", "a", "b", None], "string", ["b", "a", "b", None]),
    column("integers as ids", pa.int64(), [2**53 + 1, -1], "string", ["9007199254740993", "-1"]),
    column("unsigned", pa.uint64(), [2**64 - 1, 0], "string", [str(2**64 - 1), "0"]),
    column("small", pa.int8(), [-3, None], "string", ["-3", None]),
    column("float ids", pa.float64(), [1234567.0, float("nan"), None, -0.0], "string",
           ["1234567", None, None, "0"]),
    column("fractions as ids", pa.float64(), [7.5, 7.0], "string", ["7"], [(1, NO_TEXT, "7.5")]),
    column("floats beyond 2**53", pa.float64(), [2.0**54, 1.0], "string", ["1"],
           [(1, NO_TEXT, str(2.0**54))]),
    column("floats of 32 bits", pa.float32(), [16777216.0, 7.0], "string", ["16777216", "7"]),
    column("booleans", pa.bool_(), [True, False, None], "string", ["true", "false", None]),
    column("dates", pa.date32(), [DAY, None], "string", ["2026-01-05", None]),
    column("decimals", pa.decimal128(20, 0), [decimal.Decimal(2**53 + 1), None], "string",
           ["9007199254740993", None]),
    column("decimals of a fraction", pa.decimal128(9, 2),
           [decimal.Decimal("7.00"), decimal.Decimal("7.25")], "string", ["7"],
           [(2, NO_TEXT, "7.25")]),
    column("nothing", pa.null(), [None, None], "string", [None, None]),
    column("a list of binary", pa.list_(pa.binary()), [[b"a", b"b"], []], "strings",
           [["a", "b"], []]),
    column("text that is split", pa.string(), ["a|b", "", None], "strings|", [["a", "b"], [], []]),
    column("lists of integers as text", pa.list_(pa.int32()), [[3, None], None], "strings",
           [["3"], []]),
    column("large lists", pa.large_list(pa.string()), [["a", ""], ["b"]], "strings",
           [["a"], ["b"]]),
]  # fmt: skip
NUMBERS = [
    column("doubles as integers", pa.float64(), [7.0, 7.6, float("inf"), float("nan")], "int64",
           [7, None], [(2, NO_INTEGER, "7.6"), (3, NO_INTEGER, "inf")]),
    column("unsigned as integers", pa.uint64(), [2**63 - 1, 2**63], "int64", [2**63 - 1],
           [(2, NO_INTEGER, str(2**63))]),
    column("the reserved integer", pa.int64(), [-(2**63), 5], "int64", [5],
           [(1, NO_INTEGER, str(-(2**63)))]),
    column("booleans as integers", pa.bool_(), [True, False], "int64", [1, 0]),
    column("decimals as integers", pa.decimal128(18, 0), [decimal.Decimal(2**53 + 1)], "int64",
           [2**53 + 1]),
    column("text as integers", pa.string(), ["7", "x"], "int64", [7], [(2, NO_INTEGER, "x")]),
    column("doubles", pa.float64(), [0.1, 1e39, float("inf"), float("nan")], "float32",
           [float32(0.1), None], [(2, NO_NUMBER, "1e+39"), (3, NO_NUMBER, "inf")]),
    column("decimals as numbers", pa.decimal128(9, 2), [decimal.Decimal("0.25"), None], "float32",
           [0.25, None]),
    column("integers as numbers", pa.int64(), [2**53 + 1, 3], "float32", [float(2**53), 3.0]),
    column("lists of doubles", pa.list_(pa.float64()), [[3.0, float("nan")], [2.5]], "int64s",
           [[3]], [(2, "not a list of integers", "[2.5]")]),
]  # fmt: skip
MOMENT = datetime.datetime(2026, 1, 5, 10)
ERRORS = [
    column("a struct", pa.struct([("id", pa.int64())]), [{"id": 1}], "string",
           error=r"log.parquet: 'u' is STRUCT\(id BIGINT\), which is not text: cast it in"),
    column("a time as a category", pa.timestamp("us"), [MOMENT], "string",
           error="'u' is TIMESTAMP, which is not text: cast it in `source.query`"),
    column("a date as a number", pa.date32(), [DAY], "float32",
           error="'u' is DATE, which is not a number"),
    column("a list as a single value", pa.list_(pa.string()), [["a"]], "string",
           error=r"'u' is VARCHAR\[\], which is not text"),
    column("a decimal of many digits", pa.decimal256(40, 2), [decimal.Decimal("7.00")], "float32",
           error="log.parquet: 'u' is a decimal of more than 38 digits: write it as text"),
    column("a list of such", pa.list_(pa.decimal256(39, 0)), [[decimal.Decimal(7)]], "strings",
           error="'u' is a decimal of more than 38 digits"),
    column("a map", pa.map_(pa.string(), pa.int64()), [[("a", 1)]], "string",
           error=r"'u' is MAP\(VARCHAR, BIGINT\), which is not text"),
    column("text without a separator", pa.string(), ["a|b"], "strings",
           error="'u' is VARCHAR, not a list: give the feature a `separator`"),
    column("no rows", pa.string(), [], "string", error="the log has no rows"),
    Log("a CSV file by another name", {"log.parquet": "u\na\n"}, error="not readable as Parquet:"),
    Log("an empty file", {"log.parquet": b""}, error="not readable as Parquet:"),
    Log("cut short", {"log.parquet": b"PAR1" + b"\0" * 40}, error="not readable as Parquet:"),
    Log("bytes of no UTF-8", {"log.parquet": pa.table({"u": [b"a", b"\xff"]})},
        error="log.parquet: .*UTF-?8"),
]  # fmt: skip


@logs(TEXTS)
def test_categories(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(NUMBERS)
def test_numbers(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(ERRORS)
def test_files_that_cannot_be_read(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


def test_types_that_duckdb_writes(tmp_path: pathlib.Path) -> None:
    """UUIDs are 16 bytes in a file, and columns of JSON are texts; to a scorer they are no more."""
    shown = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    duckdb.execute(
        f"COPY (SELECT '{shown.upper()}'::UUID AS u, '{{\"a\": 1}}'::JSON AS j, "
        f"['{shown}'::UUID] AS us, ['5'::JSON, '\"5\"'] AS js) TO '{tmp_path}/made.parquet'"
    )
    content = (tmp_path / "made.parquet").read_bytes()
    features = {"u": "string", "j": "string", "us": "strings", "js": "strings"}
    expected = [(shown, '{"a": 1}', [shown], ["5", '"5"'])]
    check(tmp_path, Log("types", {"log.parquet": content}, features, expected))
    query = {"source": {"query": "SELECT u, j->>'a' AS j FROM logs"}}
    few = {"u": "string", "j": "string"}
    check(tmp_path, Log("query", {"log.parquet": content}, few, [(shown, "1")], changes=query))


def test_types_that_differ_between_files(tmp_path: pathlib.Path) -> None:
    files = {
        "log1.parquet": pa.table({"u": pa.array([7], pa.int32())}),
        "log2.parquet": pa.table({"u": pa.array(["007"])}),
        "log3.parquet": pa.table({"u": pa.array([8.0])}),
        "log4.parquet": pa.table({"v": pa.array([1])}),
        "log5.jsonl": '{"u": 9}\n',
        "log6.csv": "u,v\n010,1\n",
    }
    check(tmp_path, Log("types", files, examples=["7", "007", "8", None, "9", "010"]))


def test_row_groups_are_counted(tmp_path: pathlib.Path) -> None:
    import pyarrow.parquet as pq

    rows = [str(n) if n % 50 else "x" for n in range(200)]
    pq.write_table(pa.table({"u": rows}), tmp_path / "log.parquet", row_group_size=100)
    content = (tmp_path / "log.parquet").read_bytes()
    bad = [("log.parquet", n + 1, "u", NO_INTEGER, "x") for n in range(0, 200, 50)]
    kept = [n for n in range(200) if n % 50]
    check(tmp_path, Log("groups", {"log.parquet": content}, {"u": "int64"}, kept, bad))
