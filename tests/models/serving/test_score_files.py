"""Files are scored as the model's log was read, in every format, and written as they came."""

from __future__ import annotations

import bz2
import csv
import decimal
import errno
import gzip
import io
import json
import os
import pathlib
import sys
import uuid
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.models.serving.csv_format import CsvFormat, CsvWriter, delimiter_of, records
from ranklite.models.serving.log_files import open_rows
from ranklite.models.serving.metadata_file import sealed
from ranklite.models.serving.scorer import Scorer
from tests.pushed_model import ROW, push

ROWS: list[dict[str, Any]] = [
    ROW,
    {"user": None, "item": 3, "tags": [], "price": None},
    {"user": "Z\u00fcrich; \u201cx\u201d", "item": -7, "tags": ["b", "?"], "price": -2.5},
]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return push(tmp_path_factory.mktemp("pushed"))


def with_source(version: pathlib.Path, tmp_path: pathlib.Path, **source: Any) -> Scorer:
    """The same model, whose log was written otherwise."""
    copy = tmp_path / "model" / "1"
    copy.mkdir(parents=True)
    for path in version.iterdir():
        os.link(path, copy / path.name)
    metadata = json.loads((copy / "model.json").read_text())
    metadata["config"] = {**metadata["config"], "source": source}
    (copy / "model.json").unlink()
    (copy / "model.json").write_text(json.dumps(sealed(metadata)))
    return Scorer(str(copy))


def expected(version: pathlib.Path) -> Any:
    return Scorer(str(version)).score(ROWS)


def text_of(row: dict[str, Any]) -> list[str]:
    joined = {**row, "tags": "|".join(row["tags"])}
    return ["" if value is None else str(value) for value in joined.values()]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("packed", [False, True])
def test_csv(version: pathlib.Path, tmp_path: pathlib.Path, delimiter: str, packed: bool) -> None:
    source, target = tmp_path / ("in.csv.gz" if packed else "in.csv"), tmp_path / "out.csv"
    opener: Any = gzip.open if packed else open
    with opener(source, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([[*ROW, "note"], *([*text_of(row), "=1+1"] for row in ROWS)])
    assert Scorer(str(version)).score_file(str(source), str(target)) == 3
    with open(target, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    np.testing.assert_allclose([float(r["score"]) for r in rows], expected(version), rtol=1e-6)
    assert [row["note"] for row in rows] == ["=1+1"] * 3  # as it came
    assert rows[2]["user"] == ROWS[2]["user"]


def test_jsonl_and_parquet(version: pathlib.Path, tmp_path: pathlib.Path) -> None:
    scorer = Scorer(str(version))
    lines, table = tmp_path / "in.jsonl", tmp_path / "in.parquet"
    texts = [json.dumps({k: v for k, v in row.items() if v is not None}) for row in ROWS]
    lines.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), table)
    assert scorer.score_file(str(lines), str(tmp_path / "out.jsonl")) == 3
    assert scorer.score_file(str(table), str(tmp_path / "out.parquet")) == 3
    scored = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{**row, "score": 0} for row in scored] == [
        {**{k: v for k, v in row.items() if v is not None}, "score": 0} for row in ROWS
    ]
    np.testing.assert_allclose([row["score"] for row in scored], expected(version), rtol=1e-6)
    result = pq.read_table(tmp_path / "out.parquet")
    assert result.column_names == [*ROW, "score"]
    np.testing.assert_allclose(result["score"].to_numpy(), expected(version), rtol=1e-6)


def test_compression_is_told_by_first_bytes(version: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As in ingestion: a name may tell another, or none."""
    text = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    contents = {
        "a.jsonl": gzip.compress(text),
        "b.jsonl.gz": text,
        "c.JSONL.BZ2": bz2.compress(text),
        "d.jsonl.zst": pa.compress(text, codec="zstd", asbytes=True),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert Scorer(str(version)).score_file(str(tmp_path / name), str(tmp_path / "out")) == 3
        scores = [json.loads(line)["score"] for line in (tmp_path / "out").read_text().splitlines()]
        np.testing.assert_allclose(scores, expected(version), rtol=1e-6)


def test_a_name_that_tells_no_format(version: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The log's own format then counts, as its other settings do."""
    scorer = with_source(version, tmp_path, format="jsonl")
    for name in ("in.txt", "in.data", "in"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        assert scorer.score_file(str(tmp_path / name), str(tmp_path / "out.jsonl")) == 3


def test_parquet_is_written_as_it_came(version: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With values that are no text or number to a scorer, and features that are decimals."""
    ids = [uuid.uuid4().bytes for _ in ROWS]
    table = pa.table(
        {
            "user": pa.array([b"u1", None, b"u2"], pa.binary()),
            "item": pa.array(map(decimal.Decimal, ["2.00", "3.00", "-7.00"]), pa.decimal128(9, 2)),
            "tags": pa.array([["a"], [], None], pa.list_(pa.string())),
            "price": pa.array([decimal.Decimal("1.25"), None, None], pa.decimal128(9, 2)),
            "image": pa.array([b"\xff\x00", b"", None], pa.binary()),
            "id": pa.array(ids, pa.binary(16)),
            "cost": pa.array([decimal.Decimal("0.10"), None, None], pa.decimal128(38, 2)),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    scorer = Scorer(str(version))
    assert scorer.score_file(str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")) == 3
    result = pq.read_table(tmp_path / "out.parquet")
    assert result.drop(["score"]).equals(table)
    rows = [
        {"user": "u1", "item": 2, "tags": ["a"], "price": 1.25},
        {"user": None, "item": 3, "tags": [], "price": None},
        {"user": "u2", "item": -7, "tags": [], "price": None},
    ]
    np.testing.assert_allclose(result["score"].to_numpy(), scorer.score(rows), rtol=1e-6)


def test_uuids_of_parquet_are_their_text(tmp_path: pathlib.Path) -> None:
    """As DuckDB and Spark write them, in a column and in lists."""
    path, one = tmp_path / "in.parquet", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    duckdb.execute(
        f"COPY (SELECT '{one}'::UUID AS u, ['{one}'::UUID, NULL] AS l, 'x' AS \"u.x\") TO '{path}'"
    )
    with open_rows(str(path), CsvFormat()) as file:
        [(_, row)] = file.rows
        assert file.value(row, "u") == one
        assert file.value(row, "l") == [one, None]
        assert file.value(row, "u.x") == "x"


@given(st.lists(st.tuples(st.text(), st.text(min_size=1)), min_size=1), st.sampled_from(",;\t"))
def test_every_text_is_read_as_it_is_written(rows: list[tuple[str, str]], delimiter: str) -> None:
    out = io.StringIO(newline="")
    writer = CsvWriter(out, delimiter)
    for row in rows:
        writer.write(row)
    read = records(io.StringIO(out.getvalue(), newline=""), CsvFormat(), delimiter)
    assert [tuple(values) for _, values in read] == rows


def test_the_logs_own_settings_travel_with_the_model(
    version: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    csv_settings = {
        "delimiter": ";", "quote": "'", "escape": "'", "null": ["NA"],
        "columns": ["user", "item", "tags", "price"], "header": False,
    }  # fmt: skip
    scorer = with_source(version, tmp_path, csv=csv_settings, encoding="latin-1")
    source = tmp_path / "in.csv"
    source.write_bytes("u1;2;a|b;1.5\n'NA';3;NA;NA\n'it''s;';4;a;1\n".encode("latin-1"))
    assert scorer.score_file(str(source), str(tmp_path / "out.csv"), column="p") == 3
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "user;item;tags;price;p"
    assert lines[2].startswith("NA;3;NA;NA;0.")  # as it came
    last = {"user": "it's;", "item": 4, "tags": ["a"], "price": 1}
    known = Scorer(str(version)).score([ROW, ROWS[1], last])
    np.testing.assert_allclose([float(x.rsplit(";", 1)[1]) for x in lines[1:]], known, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "in.csv",
            b"user,item,tags,price\nu,1,a\n",
            r"in.csv: line 2 has 3 fields, and there are 4",
        ),
        ("in.csv", b"user,item,tags,price\nu,1,a,dear\n", r"in.csv:2: price = 'dear' is not of"),
        ("in.csv", b'user,item,tags,price\nu,1,"a\nb",1\nu,7.5,a,1\n', r"in.csv:4: item = '7.5'"),
        ("in.csv", b'user,item,tags,price\nu,1,"a,1\n', r"in.csv: line 2: unexpected end of data"),
        ("in.csv", b"user,item,tags,price\n\xff,1,a,1\n", r"in.csv: 'utf-8' codec can't decode"),
        ("in.csv.gz", gzip.compress(b"user,item,tags,price\n" * 9, mtime=0)[:-9], r"in.csv.gz: "),
        ("in.jsonl", b'{"user": "u"}\n{"user": \n', r"in.jsonl: line 2 is no JSON"),
        ("in.jsonl", b"[1]\n", r"in.jsonl: line 1 is no JSON object"),
        ("in.jsonl", b'{"item": 1.5}\n', r"in.jsonl:1: item = 1.5 is not of type int64"),
        ("in.jsonl", b'{"score": 1}\n', r"in.jsonl:1: it has 'score' already"),
        ("in.parquet", b"PAR1", r"in.parquet: "),
    ],
)
def test_a_file_that_cannot_be_scored_is_named_and_leaves_nothing(
    version: pathlib.Path, tmp_path: pathlib.Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Scorer(str(version)).score_file(str(tmp_path / name), str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_long_field_and_nul_are_text(version: pathlib.Path, tmp_path: pathlib.Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"user,item,tags,price\n{'x' * 200_000},1,a\0b,1\n", encoding="utf-8")
    assert Scorer(str(version)).score_file(str(source), str(target)) == 1
    assert "a\0b" in target.read_text(encoding="utf-8")


def test_without_pyarrow_parquet_says_what_is_needed(
    version: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "in.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match="reading Parquet needs pyarrow: pip install pyarrow"):
        Scorer(str(version)).score_file(str(tmp_path / "in.parquet"), str(tmp_path / "out"))


def test_a_files_permissions_are_the_users(version: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "in.csv").write_text("user,item,tags,price\nu,1,a,1\n")
    before = os.umask(0o077)
    try:
        Scorer(str(version)).score_file(str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    finally:
        os.umask(before)
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("a", ","), ("a;b,c;d", ";"), ("a\tb", "\t"), ('"x|y|z",b', ","), ("a|b|c", "|")],
)
def test_the_delimiter_is_what_the_header_says(line: str, delimiter: str) -> None:
    assert delimiter_of(line, '"') == delimiter


def test_records_know_their_lines() -> None:
    lines = ["a,b\n", "\n", '"x\n', 'y",1\n', "\r\n", "2,3"]
    assert list(records(lines, CsvFormat(), ",")) == [
        (1, ["a", "b"]),
        (3, ["x\ny", "1"]),
        (6, ["2", "3"]),
    ]


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08\x00", b"BZh91AY&SY"])
def test_a_damaged_file_is_named(tmp_path: pathlib.Path, start: bytes) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(start + b"user,item\nu1,2\n")
    with (
        pytest.raises(ValueError, match=r"in\.csv: .+"),
        open_rows(str(path), CsvFormat()) as rows,
    ):
        list(rows.rows)


def test_a_text_may_begin_as_bzip2_does(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"BZhuser,item\nu1,2\n")
    with open_rows(str(path), CsvFormat()) as rows:
        assert [row for _, row in rows.rows] == [{"BZhuser": "u1", "item": "2"}]


def test_an_error_of_the_system_is_no_damage(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"user\nu1\n")
    with (
        pytest.raises(OSError, match="No space left"),
        open_rows(str(path), CsvFormat()),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
