"""Whole logs by chance: a scorer makes of a file what ingestion makes of it, rejects too."""

from __future__ import annotations

import csv
import datetime
import io
import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.features import raw_values
from ranklite.models.features.examples import raw_inputs, read_records
from ranklite.models.serving.csv_format import NO_NUL, NUL, CsvFormat
from ranklite.models.serving.log_files import RowFile, json_rows, open_rows
from tests.small_logs import KINDS, Log, as_jsonl
from tests.small_logs import check as arrive_at

GENERATED = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NAMES = ("u", "i", "x", "tags")
NONE = dict.fromkeys(NAMES)

Row = dict[str, Any]


def config(log: str, tags: str) -> IngestConfig:
    """Every row that can be read is one of the train split, in the order of the log."""
    kinds = {"u": "string", "i": "int64", "x": "float32", "tags": tags}
    return IngestConfig.model_validate(
        {
            "source": {"max_bad_rows": 0.99},
            "split": {"by": "files", "train": log, "eval": "eval.jsonl"},
            "label": "y",
            "features": {"features": [{"name": n, **KINDS[kind]} for n, kind in kinds.items()]},
        }
    )


def check(log: str, tags: str, content: bytes | pa.Table) -> None:
    """Ingests a log, and compares Examples and rejects with what a scorer makes of the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if isinstance(content, bytes):
            (folder / log).write_bytes(content)
        else:
            pq.write_table(content, folder / log)
        lines = (json.dumps({"y": y, **NONE}) + "\n" for y in (0, 1))
        (folder / "eval.jsonl").write_text("".join(lines))
        made = config(log, tags)
        ingest(made, name, f"{name}/rejects", lambda split: f"{name}/{split}")
        columns = made.features.raw_columns
        records = read_records([str(path) for path in (folder / "train").iterdir()])
        arrays = raw_inputs(records, columns)
        rejects = rejected(folder / "rejects" / "rejects.csv")
        with open_rows(f"{name}/{log}", CsvFormat()) as file:
            good, bad, end = scored(file, columns)
    for column in columns:
        sent = raw_values.array(column, [row[column.name] for row in good])
        held = arrays[column.name]
        if end is None:
            assert len(held) == len(sent)
        np.testing.assert_array_equal(held[: len(sent)], sent, strict=True)
        if column.dtype == "float32":
            np.testing.assert_array_equal(np.signbit(held[: len(sent)]), np.signbit(sent))
    if end is None:
        assert rejects == bad
    else:  # a scorer reads no further, and ingestion leaves the row out
        assert {line for line, _ in rejects} >= {end}
        assert {each for each in rejects if each[0] < end} == bad


def scored(file: RowFile, columns: Sequence[Any]) -> tuple[list[Row], set[Any], int | None]:
    """The rows as a scorer takes them, line and column of what it refuses, and where it stops."""
    good, bad = list[Row](), set[tuple[int, str]]()
    line = 0
    try:
        for line, row in file.rows:
            sent = {}
            for column in columns:
                value = file.value(row, column.source)
                try:
                    parsed = raw_values.parse(column, value) if file.kind == "csv" else value
                    sent[column.name] = raw_values.convert(column, parsed)
                except ValueError:
                    bad.add((line, column.name))
            if len(sent) == len(columns):
                good.append(sent)
    except ValueError as error:
        assert file.kind != "parquet"
        return good, bad, int(str(error).partition("line ")[2].split(":")[0].split()[0])
    return good, bad, None


def rejected(path: pathlib.Path) -> set[tuple[int, str]]:
    """Line and column of each reject; none is without a reason, and without a value."""
    text = path.read_bytes().decode().replace(NUL, NO_NUL)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert all(row["reason"] and row["file"].startswith("log.") for row in rows)
    return {(int(row["line"]), row["column"]) for row in rows}


HARD = [
    "", " ", " a", "a ", "\0", "\n", "\r\n", "\r", '"', '""', ' "a"', '"a" ', "'90s'", "a,b", "a|b",
    "|", "\\", "null", "NULL", "NaN", "nan", "inf", "true", "7", "007", "7.0", " 7", "7.6", "1e3",
    "1_000", "-0", "1" * 40, "\ufeff", "\x1f", "\x1e", "\x85", "\u2028", "\uffff", "\U0010ffff",
    "\u0663", "e\u0301", "\U0001f600",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HARD), st.text(max_size=6))
EDGES = [2**63 - 1, -(2**63) + 1, 2**53, 2**53 + 1, 0, -1]
LISTS = st.sampled_from(["strings", "strings|", "int64s", "int64s|"])
INTEGERS = st.one_of(st.sampled_from(EDGES), st.integers(-(2**63) + 1, 2**63 - 1))
FLOATS = st.one_of(
    st.floats(), st.integers(-1000, 1000).map(lambda n: n / 2), st.integers(-9, 9).map(float)
)


def rows_of(cells: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.fixed_dictionaries(cells), min_size=2, max_size=8)


# CSV: each cell is what stands in the file.


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def cells(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts as they are written: in quotes where they have to be, and at times where not."""
    return st.tuples(texts, st.booleans()).map(
        lambda case: quoted(case[0]) if case[1] or set(case[0]) & set(',"\r\n') else case[0]
    )


CSV_CELLS = {
    "u": cells(TEXTS),
    "i": cells(st.one_of(INTEGERS.map(str), INTEGERS.map(str), TEXTS)),
    "x": cells(st.one_of(FLOATS.map(repr), FLOATS.map(repr), TEXTS)),
    "tags": cells(
        st.one_of(st.lists(TEXTS, max_size=5), st.lists(INTEGERS.map(str))).map("|".join)
    ),
}
CSV_NONE = dict.fromkeys(NAMES, "")
# What nobody writes on purpose: quotes with something beside them.
LOOSE = st.builds(
    "".join,
    st.lists(st.sampled_from([" ", '"', '""', '"a"', '"a,b"', "a", "\t", '"\n"']), max_size=5),
)


def as_csv(rows: Sequence[Row], end: str) -> bytes:
    lines = [",".join(("y", *NAMES)), "0,,,,", "1,,,,"]
    lines += [",".join(("1", *(row[name] for name in NAMES))) for row in rows]
    return "".join(line + end for line in lines).encode()


@GENERATED
@given(rows_of(CSV_CELLS), st.sampled_from(["\n", "\r\n"]), LISTS)
@example(
    [{**CSV_NONE, "tags": "\U0010ffff"}, {**CSV_NONE, "x": "\0", "tags": "\0"}], "\n", "strings"
)
@example([{"u": '" ""a"""', "i": "7.", "x": '" 1"', "tags": '" "" |a"'}] * 2, "\n", "strings")
def test_csv(rows: list[Row], end: str, tags: str) -> None:
    check("log.csv", tags.strip("|") + "|", as_csv(rows, end))


@settings(GENERATED, max_examples=15)
@given(st.lists(LOOSE, min_size=2, max_size=8))
@example([' "a"', '"a" ', "a"])
@example([' "a\nb"', '  "a"', ' "a""b"', ' ""', ' "a,b"', '"a\nb"', ' "a'])
@example(['"a"  ', ' "a"'])
def test_quotes_with_something_beside_them(texts: list[str]) -> None:
    """A quote that opens a value and never closes it is left out: there is no telling its end."""
    balanced = [text for text in texts if text.count('"') % 2 == 0]
    rows = [{"u": text, "i": "1", "x": "2", "tags": ""} for text in balanced]
    check("log.csv", "strings|", as_csv(rows, "\n"))


# JSON Lines: each cell is a value of JSON.

SCALARS = st.one_of(
    st.none(), st.booleans(), TEXTS, INTEGERS, FLOATS, st.integers(2**63, 2**70), TEXTS
)
JSON_CELLS = {
    "u": st.one_of(SCALARS, SCALARS, st.lists(SCALARS, max_size=2)),
    "i": st.one_of(INTEGERS, INTEGERS.map(str), SCALARS),
    "x": st.one_of(FLOATS, INTEGERS, SCALARS),
    "tags": st.one_of(
        st.lists(SCALARS, max_size=5),
        st.lists(TEXTS, max_size=5),
        SCALARS,
        st.lists(INTEGERS, max_size=5),
    ),
}


@GENERATED
@example([{**NONE, "tags": ["a", "b", "c", 7.5]}, {**NONE, "tags": ""}], False, "strings")
@given(rows_of(JSON_CELLS), st.booleans(), LISTS)
def test_json_lines(rows: list[Row], ascii_only: bool, tags: str) -> None:
    lines = [{"y": 0, **NONE}, {"y": 1, **NONE}, *({"y": 1, **row} for row in rows)]
    text = "".join(json.dumps(line, ensure_ascii=ascii_only) + "\n" for line in lines)
    check("log.jsonl", tags, text.encode())


NO_JSON = ["nan", "-NaN", "inf", "INFINITY", "[1,]", '{"a": 1, }', '"\\ud83d"', "01", "1.", "'a'"]


def test_what_is_no_json(tmp_path: pathlib.Path) -> None:
    """Readers of JSON that are lenient take some of it, each another part."""
    good = [{"u": 'a,} inf [1,] "nan"', "v": float("nan")}, {"u": "b", "v": float("-inf")}]
    bad = [f'{{"u": "c", "v": {value}}}\n' for value in NO_JSON]
    for line in bad:
        with pytest.raises(ValueError, match=r"^line 1 is no JSON: "):
            list(json_rows([line]))
    reason = "not a JSON object"
    rejects = [("log.jsonl", n, "", reason, line.strip()) for n, line in enumerate(bad, 3)]
    text = as_jsonl(good) + "".join(bad)
    kept = [row["u"] for row in good]
    arrive_at(tmp_path, Log("no JSON", {"log.jsonl": text}, examples=kept, rejects=rejects))


# Parquet: each column has a type.

DECIMALS = st.decimals(-(10**8), 10**8, places=2)
DAYS = st.dates(datetime.date(1000, 1, 1))
STRINGS = (pa.string(), TEXTS)
DECLARED: dict[str, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    "u": [
        STRINGS, (pa.large_string(), TEXTS), (pa.binary(), TEXTS.map(str.encode)),
        (pa.dictionary(pa.int32(), pa.string()), TEXTS), (pa.int64(), INTEGERS),
        (pa.float64(), FLOATS), (pa.bool_(), st.booleans()), (pa.decimal128(10, 2), DECIMALS),
        (pa.date32(), DAYS),
    ],
    "i": [
        STRINGS, (pa.int64(), INTEGERS), (pa.int8(), st.integers(-128, 127)),
        (pa.uint64(), st.integers(0, 2**64 - 1)), (pa.float64(), FLOATS),
        (pa.decimal128(10, 2), DECIMALS), (pa.bool_(), st.booleans()),
    ],
    "x": [
        STRINGS, (pa.float64(), FLOATS), (pa.float32(), st.floats(width=32)),
        (pa.int64(), INTEGERS), (pa.decimal128(10, 2), DECIMALS), (pa.bool_(), st.booleans()),
    ],
    "tags": [
        (pa.list_(kind), st.lists(st.one_of(st.none(), values), max_size=5))
        for kind, values in (STRINGS, (pa.int64(), INTEGERS), (pa.float64(), FLOATS),
                             (pa.binary(), TEXTS.map(str.encode)), (pa.decimal128(10, 2), DECIMALS))
    ],
}  # fmt: skip


@st.composite
def tables(draw: Any) -> pa.Table:
    count = draw(st.integers(2, 8))
    columns = {"y": pa.array([0, 1] + [1] * count, pa.int64())}
    for name, kinds in DECLARED.items():
        kind, values = draw(st.sampled_from(kinds))
        held = st.one_of(st.none(), values, values)
        drawn = draw(st.lists(held, min_size=count, max_size=count))
        columns[name] = pa.array([None, None, *drawn], kind)
    return pa.table(columns)


@GENERATED
@given(tables(), LISTS)
def test_parquet(table: pa.Table, tags: str) -> None:
    check("log.parquet", tags, table)
