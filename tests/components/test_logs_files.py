"""Files by any name, in any folder, compressed, cut short or growing."""

from __future__ import annotations

import gzip
import pathlib
from typing import Any

import pyarrow as pa
import pytest

from ranklite.components.log_example_gen import IngestError, reader, scans
from tests.small_logs import FORMATS, Log, arrive, as_csv, check, config, logs, write

ROWS = [{"u": "a", "month": "jan"}, {"u": "b", "month": "feb"}]
NAMES = [
    "part-[0].{}", "part-[1].{}", "a b.{}", "it's.{}", 'say "x".{}', "\u00fc\u6771.{}", "a*b.{}",
    "a?b.{}", "a{{1}}.{}", "a\\b.{}", "#1.{}", "$HOME.{}", "%20.{}", "a;b.{}", "-x.{}", "~.{}",
    "x'); DROP TABLE x; --.{}", "a\nb.{}", "e\u0301.{}",
]  # fmt: skip


def source(files: Any, **more: Any) -> dict[str, Any]:
    return {"source": {"files": files, **more}}


@pytest.mark.parametrize("kind", FORMATS)
def test_files_by_any_name(tmp_path: pathlib.Path, kind: str) -> None:
    """`[0]` in a name was a pattern: one file was read twice, the other never."""
    names = sorted(name.format(kind) for name in NAMES)
    files = {name: [{"u": f"u{n}", "v": "1"}] for n, name in enumerate(names)}
    expected = [f"u{n}" for n in range(len(names))]
    log = Log("names", files, examples=expected, changes=source(f"*.{kind}"))
    arrived = check(tmp_path, log)
    assert arrived
    assert [row["file"] for row in sorted(arrived.sampled, key=lambda r: r["example"])] == names


@pytest.mark.parametrize("kind", FORMATS)
def test_folders_of_hive_change_no_column(tmp_path: pathlib.Path, kind: str) -> None:
    """`month=01` stands in the path; the file's own column is what was logged."""
    files = {
        f"year=2026/month={month:02}/log.{kind}": [{"u": f"a{month}", "month": "own"}]
        for month in (1, 12)
    }
    log = Log("hive", files, {"u": "string", "month": "string"}, [("a1", "own"), ("a12", "own")],
              changes=source("**/*"))  # fmt: skip
    check(tmp_path, log)
    for name in files:
        write(tmp_path / "u=x" / name, files[name])
    above = {name: files[name] for name in files}
    check(tmp_path / "u=x", Log("above", above, log.features, log.examples, changes=log.changes))


GZ = gzip.compress(as_csv([{"u": f"u{n}", "v": n} for n in range(4000)]).encode())
TWO = gzip.compress(b"u,v\na,1\n") + gzip.compress(b"b,2\n")
COMPRESSED = [
    Log("gzip", {"log.csv.gz": ROWS}, examples=["a", "b"]),
    Log("bzip2", {"log.jsonl.bz2": ROWS}, examples=["a", "b"]),
    Log("zstd", {"log.csv.zst": pa.compress(b"u,v\na,1\n", codec="zstd", asbytes=True)},
        examples=["a"]),
    Log("gzip by another name", {"log.csv": gzip.compress(b"u,v\na,1\n")}, examples=["a"]),
    Log("no gzip in spite of its name", {"log.csv.gz": "u,v\na,1\n"}, examples=["a"]),
    Log("two members", {"log.csv.gz": TWO}, examples=["a", "b"]),
    Log("cut short", {"log.csv.gz": GZ[: len(GZ) * 3 // 10]},
        error="log.csv.gz is damaged or cut short: Compressed file ended before"),
    Log("without its checksum", {"log.csv.gz": GZ[:-6]}, error="damaged or cut short"),
    Log("damaged", {"log.csv.gz": GZ[:500] + b"\xff\xff\xff" + GZ[503:]}, error="damaged or cut"),
    Log("bytes behind", {"log.csv.gz": GZ + b"more"}, error="damaged or cut short"),
    Log("bzip2 cut short", {"log.jsonl.bz2": b"BZh91AY&SY"}, error="damaged or cut short"),
    Log("compressed, with nothing in it", {"log.csv.gz": gzip.compress(b"")}, error="is empty$"),
    Log("compressed, in another encoding",
        {"log.csv.gz": gzip.compress("u,v\n\u00fc,1\n".encode("latin-1"))}, examples=["\u00fc"],
        changes=source("*", encoding="latin-1")),
]  # fmt: skip
GLOBS = [
    Log("files of several formats", {"a.csv": ROWS, "b.jsonl": ROWS, "c.parquet": ROWS},
        examples=["a", "b"] * 3, changes=source(["*.csv", "*.jsonl", "*.parquet"])),
    Log("a file of two globs is read once", {"a.csv": ROWS, "b.csv": "u,v\nc,1\n"},
        examples=["a", "b", "c"], changes=source(["*.csv", "a.csv", "a*"])),
    Log("upper-case suffixes", {"a.CSV": "u,v\na,1\nb,1\n", "b.JSONL": '{"u": "c"}\n'},
        examples=["a", "b", "c"], changes=source("*")),
    Log("a name that does not tell", {"log.data": "u,v\na,1\n"},
        error="its name does not tell its format; set source.format", changes=source("*")),
    Log("a format that is said", {"log.data": "u,v\na,1\n"}, examples=["a"],
        changes=source("*", format="csv")),
    Log("no file", {"a.csv": ROWS}, error=r"no file matches 'b\*' in .*; it holds a.csv",
        changes=source("b*")),
    Log("one of them is empty", {"a.csv": ROWS, "b.csv": ""}, error="b.csv is empty"),
    Log("one of them has a header alone", {"a.csv": ROWS, "b.csv": "u,v\n"}, examples=["a", "b"]),
    Log("columns in another order", {"a.csv": "u,v\na,1\n", "b.csv": "v,u\n1,b\n"},
        examples=["a", "b"]),
    Log("other delimiters", {"a.csv": "u,v\na,1\n", "b.csv": "u;v\nb;1\n"}, examples=["a", "b"]),
    Log("a column of one file alone", {"a.csv": "u,v\na,1\n", "b.csv": "v,w\n1,b\n"},
        examples=["a", None]),
]  # fmt: skip


@logs(COMPRESSED)
def test_compressed(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(GLOBS)
def test_globs(tmp_path: pathlib.Path, log: Log) -> None:
    for name, content in log.files.items():
        write(tmp_path / name, content)
    check(tmp_path, log)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_grows_while_it_is_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"log.{kind}"
    write(path, ROWS)
    scan = scans.scan

    def growing(*arguments: Any) -> Any:
        result = scan(*arguments)
        with open(path, "ab") as file:
            file.write(b"c,1\n")
        return result

    monkeypatch.setattr(reader, "scan", growing)
    with pytest.raises(IngestError, match="changed while being read: read a log that is closed"):
        arrive(tmp_path, config(Log("growing", {path.name: ROWS})))


FILES = {"train.csv": "u,v\na,1\nb,2\n", "eval.csv": "u,v\nc,3\n", "test.csv": "u,v\nd,4\n"}
SPLIT = {"by": "files", "train": "train.csv", "eval": "eval.csv", "test": "test.csv"}
NO_FILES = {"files": None}


def test_a_split_by_files(tmp_path: pathlib.Path) -> None:
    changes = {"split": SPLIT, "source": NO_FILES}
    log = Log("files", FILES, examples=["a", "b", "c", "d"], changes=changes)
    arrived = check(tmp_path, log)
    assert arrived
    by_split = {split: [r["u"] for r in rows] for split, rows in arrived.examples.items()}
    assert by_split == {"train": ["a", "b"], "eval": ["c"], "test": ["d"]}


def test_a_split_by_files_with_a_query_and_tables(tmp_path: pathlib.Path) -> None:
    """Every row was in every split."""
    query = "SELECT u, w FROM logs JOIN items USING (v) ORDER BY u"
    tables = {"items": "items.csv"}
    changes = {"split": SPLIT, "source": {"query": query, "tables": tables}}
    files = {**FILES, "items.csv": "v,w\n1,x\n2,y\n3,z\n4,x\n"}
    log = Log("query", files, {"u": "string", "w": "string"},
              [("a", "x"), ("b", "y"), ("c", "z"), ("d", "x")], changes=changes)  # fmt: skip
    arrived = check(tmp_path, log)
    assert arrived
    assert [len(rows) for rows in arrived.examples.values()] == [2, 1, 1]
    assert [(row["file"], row["line"]) for row in arrived.sampled] == [("", 1)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"source": {"query": "SELECT * FROM items", "tables": {"items": "items.csv"}}},
            "a query that does not read it gives every split the same rows",
        ),
        (
            {"source": {"query": "SELECT * FROM logs", "tables": {"logs": "items.csv"}}},
            "give the other table another name",
        ),
        ({"source": {"files": "train.csv"}}, "leave source.files out"),
    ],
)
def test_a_split_by_files_that_would_be_none(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        config(Log("wrong", {}, changes={"split": SPLIT, **changes}))


def test_a_file_of_two_splits_is_refused(tmp_path: pathlib.Path) -> None:
    changes = {"split": {**SPLIT, "train": "*.csv"}, "source": NO_FILES}
    check(tmp_path, Log("twice", FILES, error="eval.csv is in the splits train and eval",
                        changes=changes))  # fmt: skip
