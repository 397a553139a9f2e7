"""Times as logs write them: seconds since 1970 in the Examples, or one reject."""

from __future__ import annotations

import datetime
import pathlib
from typing import Any

import pyarrow as pa
import pytest

from tests.small_logs import FORMATS, Log, check, logs

MOMENT = 1_767_607_200  # 2026-01-05 10:00:00 UTC
REASON = "not a time from 1980 to 2100, in ISO 8601 or since 1970: `timestamp_format` says others"


def times(tmp_path: pathlib.Path, content: Any, expected: list[Any], *, kind: str = "csv",
          formats: Any = (), rejects: Any = ()) -> None:  # fmt: skip
    changes = {
        "timestamp": "ts",
        "timestamp_format": formats,
        "split": {"by": "time", "eval": 1e-9},
    }
    log = Log("times", {f"log.{kind}": content}, examples=["a"] * len(expected), rejects=rejects,
              changes=changes)  # fmt: skip
    arrived = check(tmp_path, log)
    assert arrived
    assert [row["timestamp"] for row in arrived.examples["train"]] == expected


FORMS = {
    "seconds": (MOMENT, MOMENT),
    "milliseconds": (MOMENT * 1000 + 999, MOMENT),
    "microseconds": (MOMENT * 10**6 + 999_999, MOMENT),
    "nanoseconds": (MOMENT * 10**9 + 999_999_999, MOMENT),
    "1980": (315_532_800, 315_532_800),
    "2100": (4_102_444_800, 4_102_444_800),
}
TEXTS = {
    "a fraction": (f"{MOMENT}.75", MOMENT),
    "exponents": ("1.7676072e9", MOMENT),
    "ISO 8601": ("2026-01-05T10:00:00Z", MOMENT),
    "a blank": ("2026-01-05 10:00:00", MOMENT),
    "no seconds": ("2026-01-05 10:00", MOMENT),
    "a fraction of a second": ("2026-01-05T10:00:00.999Z", MOMENT),
    "an offset": ("2026-01-05T12:30:00+02:30", MOMENT),
    "an offset without a colon": ("2026-01-05T05:00:00-0500", MOMENT),
    "an offset of hours": ("2026-01-05 11:00:00+01", MOMENT),
    "a day": ("2026-01-05", MOMENT - 36_000),
    "short parts": ("2026-1-5 9:01", MOMENT - 3540),
    "before dawn": ("2025-12-31T23:59:59-02:00", 1_767_232_799),
}
BAD = [
    "20260101", "14102100", "2026", "0", "-1", "315532799", "4102444801", "17676072", "1/5/2026",
    "05.01.2026", "2026-13-01", "2026-02-30", "2026-01-05T25:00:00", "10:00", "Jan 5, 2026",
    "today", "inf", "1979-12-31", "2100-01-02", "1_767_607_200", "2026-01-05 10:00 CET", "1e300",
]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", FORMS)
def test_numbers(tmp_path: pathlib.Path, name: str, kind: str) -> None:
    held, expected = FORMS[name]
    times(tmp_path, [{"u": "a", "ts": held}], [expected], kind=kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_texts(tmp_path: pathlib.Path, kind: str) -> None:
    rows = [{"u": "a", "ts": text} for text, _ in TEXTS.values()]
    changes = {"timestamp": "ts"}
    log = Log("texts", {f"log.{kind}": rows}, examples=["a"] * len(rows), changes=changes)
    arrived = check(tmp_path, log)
    assert arrived
    shown = [row["timestamp"] for row in arrived.examples["train"]]
    assert dict(zip(TEXTS, shown, strict=True)) == {name: t for name, (_, t) in TEXTS.items()}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.fault("a time is none", "one reject")
def test_one_bad_time_is_one_reject(tmp_path: pathlib.Path, kind: str) -> None:
    good = [{"u": "a", "ts": str(MOMENT)}] * 5
    first = 7 if kind == "csv" else 6
    rejects = [(f"log.{kind}", n, "ts", REASON, text) for n, text in enumerate(BAD, first)]
    rows = [*good, *({"u": "b", "ts": text} for text in BAD)]
    times(tmp_path, rows, [MOMENT] * 5, kind=kind, rejects=rejects)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_missing_time_is_a_reject(tmp_path: pathlib.Path, kind: str) -> None:
    rows = [{"u": "a", "ts": str(MOMENT)}, {"u": "b", "ts": None}]
    rejects = [(f"log.{kind}", 3 if kind == "csv" else 2, "ts", REASON, "")]
    times(tmp_path, rows, [MOMENT], kind=kind, rejects=rejects)


def test_a_late_bad_time_is_one_reject(tmp_path: pathlib.Path) -> None:
    rows = "u,ts\n" + f"a,{MOMENT}\n" * 25_000 + "b,never\n"
    rejects = [("log.csv", 25_002, "ts", REASON, "never")]
    times(tmp_path, rows, [MOMENT] * 25_000, rejects=rejects)


GIVEN = [
    ("%d/%m/%Y", ["05/01/2026", "13/01/2026"], [MOMENT - 36_000, MOMENT + 655_200], ["01/13/2026"]),
    ("%m/%d/%Y", ["1/5/2026", "1/13/2026"], [MOMENT - 36_000, MOMENT + 655_200], ["13/01/2026"]),
    (["%Y%m%d", "%Y-%m-%d"], ["20260105", "2026-01-05"], [MOMENT - 36_000] * 2, ["2026/01/05"]),
    ("%y%m%d%H", ["26010510"], [MOMENT], ["26010525"]),
    ("%d/%b/%Y:%H:%M:%S %z", ["05/Jan/2026:11:00:00 +0100"], [MOMENT], ["05/Jan/2026"]),
    ("seconds", ["5", "-86400", "20260101"], [-86_400, 5, 20_260_101], ["1e18", "2026-01-05"]),
    ("milliseconds", ["1999"], [1], ["x"]),
    ("microseconds", [str(MOMENT * 10**6)], [MOMENT], ["nan"]),
    ("nanoseconds", [str(MOMENT * 10**9)], [MOMENT], ["2026-01-05"]),
    (["seconds", "%Y-%m-%d"], ["1767607200", "2026-01-05"], [MOMENT - 36_000, MOMENT], ["1/1/1"]),
]


@pytest.mark.parametrize(("formats", "good", "expected", "bad"), GIVEN)
def test_given_forms(
    tmp_path: pathlib.Path, formats: Any, good: list[str], expected: list[int], bad: list[str]
) -> None:
    """A form is the same in all files, whichever dates stand in the first rows of one."""
    shown = formats if isinstance(formats, str) else ", ".join(formats)
    rows = "".join(f"a,{text}\n" for text in [*good, *bad])
    rejects = [
        ("log.csv", n, "ts", f"not a time by timestamp_format {shown}", text)
        for n, text in enumerate(bad, len(good) + 2)
    ]
    changes = {"timestamp": "ts", "timestamp_format": formats}
    log = Log("given", {"log.csv": "u,ts\n" + rows}, examples=["a"] * len(good), rejects=rejects,
              changes=changes)  # fmt: skip
    arrived = check(tmp_path, log)
    assert arrived
    assert sorted(row["timestamp"] for row in arrived.examples["train"]) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("s"), MOMENT),
        (pa.timestamp("ms"), MOMENT * 1000),
        (pa.timestamp("us"), MOMENT * 10**6),
        (pa.timestamp("ns"), MOMENT * 10**9),
        (pa.timestamp("us", "Europe/Berlin"), MOMENT * 10**6),
        (pa.float64(), float(MOMENT)),
        (pa.uint32(), MOMENT),
        (pa.decimal128(18, 0), MOMENT),
    ],
    ids=str,
)
def test_types_of_parquet(tmp_path: pathlib.Path, kind: Any, value: Any) -> None:
    table = pa.table({"u": ["a"], "ts": pa.array([value], kind)})
    changes = {"timestamp": "ts"}
    arrived = check(tmp_path, Log("type", {"log.parquet": table}, examples=["a"], changes=changes))
    assert arrived
    assert arrived.examples["train"][0]["timestamp"] == MOMENT


@logs(
    [
        Log(
            "a date in Parquet",
            {"log.parquet": pa.table({"u": ["a"], "ts": [datetime.date(2026, 1, 5)]})},
            examples=["a"],
            changes={"timestamp": "ts"},
        ),
        Log(
            "a boolean",
            {"log.jsonl": f'{{"u": "a", "ts": {MOMENT}}}\n{{"u": "b", "ts": true}}\n'},
            examples=["a"],
            rejects=[("log.jsonl", 2, "ts", REASON, "true")],
            changes={"timestamp": "ts"},
        ),
        Log(
            "a struct",
            {"log.parquet": pa.table({"u": ["a"], "ts": [{"at": MOMENT}]})},
            error=r"'ts' is STRUCT\(\"?at\"? BIGINT\), and a time is a number, a text, a date",
            changes={"timestamp": "ts"},
        ),
        Log(
            "a time that is a feature as well",
            {"log.csv": "u,ts\na,2026-01-05T10:00:00Z\n"},
            {"ts": "string"},
            ["2026-01-05T10:00:00Z"],
            changes={"timestamp": "ts"},
        ),
    ]
)
def test_others(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


def test_the_newest_rows_are_the_test_split(tmp_path: pathlib.Path) -> None:
    """Of files that wrote d/m/Y, the oldest was the test split."""
    files = {f"log{m:02}.csv": f"u,ts\nu{m},03/{m:02}/2026\n" for m in (12, 1, 6, 3)}
    changes = {
        "timestamp": "ts",
        "timestamp_format": "%d/%m/%Y",
        "split": {"by": "time", "eval": 0.25, "test": 0.25},
    }
    log = Log("newest", files, examples=["u1", "u3", "u6", "u12"], changes=changes)
    arrived = check(tmp_path, log)
    assert arrived
    assert [row["u"] for row in arrived.examples["test"]] == ["u12"]
