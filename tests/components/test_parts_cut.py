"""Large files that are cut: the same rows and rejects as of whole ones, and files that are not."""

from __future__ import annotations

import gzip
import pathlib
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ranklite.components.log_example_gen import IngestError, log_rows, writer
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import NUMBER
from ranklite.components.log_example_gen.parts import cut, divide, load, look, part_rejects
from ranklite.components.log_example_gen.parts.work import Job
from ranklite.components.log_example_gen.piece import Piece
from ranklite.components.log_example_gen.source import LOGS
from tests import past_logs
from tests.components import test_parts, test_parts_past, test_parts_queries
from tests.divided_logs import InProcess, Processes, TwiceBackwards, same, same_error

WORKERS = [InProcess(workers=n) for n in (1, 2, 3, 8)]
BAD = (
    b"maybe,u,1,a,2,1700000001,t\n1,u\n1,u,1,a,2,1700000003,t,more\n\n\n0,u,2,a,2,yesterday,t\n"
    b"0,\xff,2,a,2,1700000004,t\n"
)


ROWS, SHARD_ROWS = writer.ROWS, writer.SHARD_ROWS


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divide, "CUT_BYTES", 50)
    monkeypatch.setattr(look, "BLOCK", 256)
    monkeypatch.setattr(writer, "ROWS", 5)
    monkeypatch.setattr(writer, "SHARD_ROWS", 50)


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def cut_ones(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Piece]]:
    """The pieces of each part that is read."""
    result, plain = [], load.load

    def noted(task: load.LoadTask) -> load.Loaded:
        result.append(dict(task.pieces))
        return plain(task)

    monkeypatch.setattr(load, "load", noted)
    return result


def as_csv(count: int, bad: bytes = BAD, quoted: bool = True) -> bytes:
    """One file, its bad rows in the middle and at the end."""
    text = test_parts.as_csv(test_parts.rows(count))
    if not quoted:
        text = text.replace(b'a ""q"" b', b"q").replace(b'"', b"")
    lines = text.splitlines(keepends=True)
    return b"".join([*lines[: count // 3], bad, *lines[count // 3 :], bad[:-1]])


CSV: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
    "quoted": (lambda: as_csv(150), {}),
    "bare": (lambda: as_csv(150, quoted=False), {}),
    "whole lines": (lambda: as_csv(150, b"", quoted=False) + b"\n", {}),
    "crlf": (lambda: as_csv(150).replace(b"\n", b"\r\n"), {}),
    "bom": (lambda: b"\xef\xbb\xbf\n\n" + as_csv(150), {}),
    "blank lines": (lambda: as_csv(150, quoted=False).replace(b",Film 1\n", b",Film 1\n\n\n"), {}),
    "no header": (
        lambda: as_csv(150).partition(b"\n")[2],
        {"header": False, "columns": ["y", "user", "item", "tags", "price", "ts", "title"]},
    ),
    "semicolons": (lambda: as_csv(150).replace(b",", b";"), {"null": ["-", "7"]}),
    "other quotes": (
        lambda: as_csv(150).replace(b'""', b"").replace(b'"', b"'"),
        {"quote": "'", "escape": ""},
    ),
    "no quotes": (lambda: as_csv(150, quoted=False), {"quote": ""}),
}


@pytest.mark.parametrize("kind", CSV)
def test_csv(
    data: pathlib.Path, tmp_path: pathlib.Path, cut_ones: list[dict[str, Piece]], kind: str
) -> None:
    content, csv = CSV[kind]
    (data / "log-0.csv").write_bytes(content())
    (data / "log-1.csv").write_bytes(test_parts.as_csv(test_parts.rows(9, 1)))
    made = test_parts.config(source={"csv": csv})
    files, report = same(made, data, tmp_path, [InProcess(workers=3)])
    assert sum(map(len, cut_ones)) == 3
    assert report["rejected"] or kind == "whole lines"
    assert len(files["state/log_rows.jsonl"].splitlines()) > 10


@pytest.mark.slow
def test_numbers_of_parts(
    data: pathlib.Path, tmp_path: pathlib.Path, cut_ones: list[dict[str, Piece]]
) -> None:
    (data / "log-0.csv").write_bytes(as_csv(150))
    same(test_parts.config(), data, tmp_path, WORKERS)
    assert sum(map(len, cut_ones)) == 2 + 3 + 8


def test_json_lines(
    data: pathlib.Path, tmp_path: pathlib.Path, cut_ones: list[dict[str, Piece]]
) -> None:
    lines = test_parts.as_jsonl(test_parts.rows(90)).splitlines(keepends=True)
    bad = [b'{"y": 1, "user": \n', b"[1]\n", b" \n", b'{"y": 1, "item": "x", "ts": 1700000000}\n']
    content = [line for k, row in enumerate(lines) for line in (row, *bad[: k % 9 // 3])]
    content.append(b'{"y": 0, "ts": 1700000009, "name": "x"}')
    (data / "log-0.jsonl").write_bytes(b"".join(content))
    for number, label in enumerate(("title", "name")):  # a key that one line alone has
        made = test_parts.config(item_label=label)
        out = tmp_path / str(number)
        _, report = same(made, data, out, [InProcess(workers=n) for n in (2, 5)])
        assert report["rejected"]["not a JSON object"] > 20
    assert sum(map(len, cut_ones)) == 14


@pytest.mark.parametrize("records", [20, 10**6])
def test_which_rows_of_the_log_are_kept(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, records: int
) -> None:
    """Where a file is parsed for them, those behind many others are not: of the whole file."""
    monkeypatch.setattr(log_rows, "_MOST_RECORDS", records)
    (data / "log-0.csv").write_bytes(as_csv(90))
    split = {"by": "hash", "eval": 0.2, "test": 0.5}
    files, _ = same(test_parts.config(split=split), data, tmp_path, [InProcess(workers=4)])
    kept = len(files["state/log_rows.jsonl"].splitlines())
    assert (kept < 15) == (records == 20)


@pytest.mark.parametrize("group", [7, 40])
def test_parquet(
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    cut_ones: list[dict[str, Piece]],
    group: int,
) -> None:
    parts = tmp_path / "small"
    parts.mkdir()
    test_parts.write_parquet(parts)
    tables = [pq.read_table(path) for path in sorted(parts.iterdir())]
    table = pa.concat_tables([*tables, tables[0].slice(0, 0)])
    pq.write_table(table, data / "log-0.parquet", row_group_size=group)
    split = {"by": "hash", "eval": 0.2, "test": 0.5}
    engines = [InProcess(workers=n) for n in (3, 8)]
    files, report = same(test_parts.config(split=split), data, tmp_path, engines)
    assert report["rejected"]
    assert len(files["state/log_rows.jsonl"].splitlines()) > group // 4
    assert sum(map(len, cut_ones)) == (3 + 8 if group == 7 else 3 + 5)


def test_tasks_in_any_order_and_twice(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (data / "log-0.csv").write_bytes(as_csv(90))
    same(test_parts.config(), data, tmp_path, [TwiceBackwards(workers=3)])


@pytest.mark.slow
def test_processes_that_share_files_alone(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ROWS", ROWS)  # as in the other processes
    monkeypatch.setattr(writer, "SHARD_ROWS", SHARD_ROWS)
    (data / "log-0.csv").write_bytes(as_csv(90))
    same(test_parts.config(), data, tmp_path, [Processes(workers=2)])


def test_a_query_over_parquet(
    data: pathlib.Path, tmp_path: pathlib.Path, cut_ones: list[dict[str, Piece]]
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    test_parts.write_parquet(small)
    tables = [pq.read_table(path) for path in sorted(small.iterdir())]
    pq.write_table(pa.concat_tables(tables), data / "log-0.parquet", row_group_size=9)
    query = "SELECT * REPLACE (price + 1 AS price) FROM logs WHERE item >= 0"
    made = test_parts.config(source={"files": "log-*", "query": query})
    _, report = same(made, data, tmp_path, [InProcess(workers=3)])
    assert report["rejected"]
    assert sum(map(len, cut_ones)) == 3


def test_features_of_the_past(
    data: pathlib.Path, tmp_path: pathlib.Path, cut_ones: list[dict[str, Piece]]
) -> None:
    test_parts_past.write(tmp_path / "days", 120)
    days = sorted((tmp_path / "days").iterdir())
    lines = [line for day in days for line in day.read_bytes().splitlines(keepends=True)[1:]]
    header = days[0].read_bytes().splitlines(keepends=True)[0]
    (data / "log.csv").write_bytes(b"".join([header, *lines]))
    made = past_logs.config(test_parts_past.FEATURES)
    files, _ = same(made, data, tmp_path, [InProcess(workers=3)])
    assert "state/views.parquet" in files
    assert sum(map(len, cut_ones)) == 3


def test_a_query(
    data: pathlib.Path, tmp_path: pathlib.Path, cut_ones: list[dict[str, Piece]]
) -> None:
    """Types of columns are those of all lines, and tables that are looked up are whole."""
    ids = [*range(90), "007"]
    lines = [
        f"u{k % 7},{i},{'buy' if k % 3 else 'view'},{1_700_000_000 + k},{k % 5}"
        for k, i in enumerate(ids)
    ]
    lines[40:40] = ["u1,2,buy,never,3", "u1,2", "u2,5,buy,1700000001,4,5"]
    (data / "clicks-0.csv").write_text("user,item,kind,ts,rating\n" + "\n".join(lines))
    items = [f'{{"item": "{k}", "genre": "g{k % 3}"}}\n' for k in range(200)]
    (data / "items.jsonl").write_text("".join([*items, "{\n"]))
    (data / "users.csv").write_text("user,age\n" + "".join(f"u{k},{k}\n" for k in range(5)))
    _, report = same(
        test_parts_queries.config(
            source={"query": test_parts_queries.QUERY.replace("i.price", "1")}
        ),
        data,
        tmp_path,
        [InProcess(workers=n) for n in (2, 4)],
    )
    assert report["rejected"]["ts"] == 1
    assert {path for part in cut_ones for path in part} == {str(data / "clicks-0.csv")}
    assert sum(map(len, cut_ones)) == 6


def test_errors_name_the_file(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (data / "log-0.csv").write_bytes(as_csv(90))
    made = test_parts.config(item_label="name")
    assert "no column 'name'; it has y, user" in same_error(made, data, tmp_path, IngestError)
    made = test_parts.config(source={"max_bad_rows": 0.01})
    for name in ("plain", "parts"):
        (tmp_path / name).rename(tmp_path / f"{name}-before")
    assert "first ones:\n  log-0.csv:31: " in same_error(made, data, tmp_path, IngestError)


CELLS = ["", "a", "1", '""', '"a"', '"a,b"', '"a ""b"" c"', '"a, ""b"""', '""""', " ", "\\", '"\\"',
         "é", "a b", " a", "\0", "NULL", "\ufeff", "\u2028"]  # fmt: skip
LOOSE = ['"a\nb"', '5"', ' "a"', '"a" ', '"a" b', 'a"b"', "\r", '"', '"a\\""', 'a"b,"\n"']
COLUMNS = [3, 3, 3, 3, 0, 1, 2, 4]


def loaded(
    folder: pathlib.Path, number: int, piece: Piece | None = None
) -> tuple[list[Any], list[Any]]:
    """Rows and rejects of a file, or of a piece of it."""
    made = IngestConfig.model_validate(
        {
            "source": {"files": "log.csv", "max_bad_rows": 0.9},
            "split": {"by": "hash", "eval": 0.2},
            "label": "true",
            "features": {"features": [{"name": n, "kind": "categorical"} for n in "abc"]},
        }
    )
    job = Job(made, str(folder), f"{folder}/work", 1, 1, 10)
    path = f"{folder}/log.csv"
    pieces = {path: piece} if piece is not None else {}
    result = load.load(load.LoadTask(job, number, {("", LOGS): [path]}, pieces=pieces))
    assert result.failure is None, result.failure
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT * EXCLUDE ({NUMBER}) FROM read_parquet({result.files})")
        return rows.fetchall(), list(part_rejects.read(load.folder_of(job, number)))


def random_file(seed: int) -> tuple[str, bool]:
    """A text, and whether it has something in it that is written in quotes and should not be."""
    rng = np.random.default_rng(seed)
    lines = [",".join(rng.choice(CELLS, rng.choice(COLUMNS))) for _ in range(rng.integers(5, 40))]
    if loose := seed % 5 == 0:
        lines[rng.integers(len(lines))] = f"x,{LOOSE[seed // 5 % len(LOOSE)]},y"
    end, closed = rng.choice(["\n", "\r\n"]), bool(rng.integers(2))
    return end.join(["a,b,c", "1,2,3", *lines, "4,5,6"]) + end * closed, loose


@pytest.mark.slow
def test_any_file(tmp_path: pathlib.Path) -> None:
    """Whatever a file that may be cut has in it, its pieces give what all of it gives."""
    made = IngestConfig.model_validate({**test_parts.BASE, "source": {"files": "log.csv"}})
    refused, counts = 0, []
    for seed in range(20):
        text, loose = random_file(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "log.csv").write_bytes(text.encode())
        borders = range(len(text) // 7, len(text), len(text) // 6)
        large = cut.begin(made, LOGS, str(folder / "log.csv"), borders)
        cut.end(large, list(map(look.look, large.tasks)))
        assert bool(large.refused) <= loose
        if large.refused:
            refused += 1
            continue
        parts = [loaded(folder, 1 + k, piece) for k, (piece, _) in enumerate(large.pieces)]
        rows, rejects = loaded(folder, 0)
        assert [row for part in parts for row in part[0]] == rows
        assert [each for part in parts for each in part[1]] == rejects
        counts.append(len(parts))
    assert refused > 2
    assert sum(counts) > 4 * len(counts)


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "a line break in quotes": (b'1,"a\nb",c\n', {}, "a line break"),
    "two quotes, and one is open": (b'5" x,"y\nz",c\n', {}, "a line break"),
    "a quote inside": (b'a,b"c",d\n', {}, "a quote that is not doubled"),
    "behind a quote": (b'a,"b" ,d\n', {}, "a quote that is not doubled"),
    "no pairs": (b'a,"b""c",d\n', {"csv": {"escape": "\\"}}, "a quote that is not doubled"),
    "an escape": (b'a,"b\\"c",d\n', {"csv": {"escape": "\\"}}, "that is not doubled"),
    "an escape far away": (b'a,"b",\\\n', {"csv": {"escape": "\\"}}, "by another letter"),
    "ends of lines": (b"a,b,c\r\n", {}, "do not end alike"),
    "a lone return": (b"a,b\rc,d\n", {}, "do not end alike"),
    "a long line": (b"a," + b"b" * 5000 + b",c\n", {}, "very long"),
    "an encoding": (b"a,b,c\n", {"encoding": "latin-1"}, "its encoding is not utf-8"),
    "gzip": (b"", {}, "it is compressed"),
    "a header": (b"", {}, "the header names a twice"),
    "a delimiter": (b"", {"csv": {"delimiter": "é"}}, "no letter of ASCII"),
    "no border": (b"", {}, "nowhere does a row begin"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_cut(
    data: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    line, source, reason = REFUSED[kind]
    content = b"a,b,c\n" + b"1,2,3\n" * 60 + line + b"1,2,3\n" * 60
    if kind == "gzip":
        content = gzip.compress(np.random.default_rng(0).bytes(900))
    elif kind == "a header":
        content = content.replace(b"a,b,c", b"a,b,a")
    elif kind == "no border":
        content = content.replace(b"\n", b"\n\n")
    (data / "log-0.csv").write_bytes(content)
    made = test_parts.config(source=source)
    monkeypatch.setattr(look, "LONGEST_LINE", 4000)
    for limit, told in ((10**6, False), (300, True)):
        monkeypatch.setattr(divide, "PART_BYTES", limit)
        groups = divide.groups(made, made.matching_files(str(data)), 3)
        large = divide.large_files(made, groups)
        assert [each.path for each in large] == [str(data / "log-0.csv")]
        cut.end(large[0], [look.look(task) for task in large[0].tasks])
        caplog.clear()
        divide.tell_uncut(large)
        assert not cut.pieces(large)
        assert len(divide.parts(groups, {})) == 1
        assert (reason in caplog.text) == told
        assert ("log-0.csv is not cut" in caplog.text) == told


def test_where_large_files_are_cut(data: pathlib.Path) -> None:
    """Parts are even, small files stay whole, and so does one that two tables have."""
    for number, lines in enumerate((1, 300, 2, 40)):
        (data / f"log-{number}.csv").write_bytes(b"a,b,c\n" + b"1,2,3\n" * lines)
    made = test_parts.config()
    matched = made.matching_files(str(data))
    large = divide.large_files(made, groups := divide.groups(made, matched, 3))
    assert [len(each.borders) for each in large] == [2]
    cut.end(large[0], [look.look(task) for task in large[0].tasks])
    parts = divide.parts(groups, cut.pieces(large))
    names = [[pathlib.Path(p).name for ps in part.matched.values() for p in ps] for part in parts]
    assert names == [
        ["log-0.csv", "log-1.csv"],
        ["log-1.csv"],
        ["log-1.csv", "log-2.csv", "log-3.csv"],
    ]
    pieces = [piece for part in parts for piece in part.pieces.values()]
    sizes = [piece.end - piece.start for piece in pieces]
    assert sum(sizes) == 6 * 301
    assert max(sizes) - min(sizes) < 0.2 * sum(sizes)
    assert [piece.before for piece in pieces] == [0, sizes[0] // 6, (sizes[0] + sizes[1]) // 6]
    assert not divide.large_files(made, divide.groups(made, matched, 1))
    twice = groups[0]._replace(others={("", "b"): [large[0].path]})
    assert not list(twice.large())
    together = [group._replace(at_most=1) for group in groups]
    [part] = divide.parts(together, cut.pieces(large))
    assert not part.pieces  # all of them are the file
