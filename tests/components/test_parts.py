"""A log in parts gives the bytes that it gives in one piece."""

from __future__ import annotations

import gzip
import json
import pathlib
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ranklite.components.engines.engine import ignore
from ranklite.components.log_example_gen import IngestError, writer
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import TIME
from ranklite.components.log_example_gen.parts import divide, times, work
from ranklite.components.log_example_gen.point_in_time.exact_sum import ExactSum
from tests.divided_logs import InProcess, Processes, TwiceBackwards, same, same_error, written

FILES = 5
FEATURES: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical"},
    {"name": "item", "kind": "categorical", "dtype": "int64"},
    {"name": "tags", "kind": "multi_categorical", "max_length": 3, "separator": "|"},
    {"name": "price", "kind": "numeric"},
]
BASE: dict[str, Any] = {
    "source": {"files": "log-*", "max_bad_rows": 0.5},
    "label": "y",
    "timestamp": "ts",
    "split": {"by": "time", "eval": 0.2, "test": 0.15},
    "features": {"features": FEATURES, "user": "user", "item": "item"},
    "item_label": "title",
}
USERS = ["ann", "bob", "Zoë", "日本", 'a "q" b', "", "7"]


def config(**changes: Any) -> IngestConfig:
    source = BASE["source"] | changes.pop("source", {})
    return IngestConfig.model_validate({**BASE, "source": source, **changes})


def rows(count: int = 60, file: int = 0) -> list[dict[str, Any]]:
    """Rows with times that other files have too, missing values, and keys beyond ASCII."""
    rng = np.random.default_rng(file)
    return [
        {
            "y": int(rng.integers(2)),
            "user": USERS[int(rng.integers(len(USERS)))],
            "item": int(rng.integers(9)),
            "tags": ["", "a|b", "ü", "a|a|c|d"][int(rng.integers(4))],
            "price": ["", "1.5", "-0.25", "1e3", "0", "-0.0"][int(rng.integers(6))],
            "ts": 1_700_000_000 + int(rng.integers(25)),
            "title": f"Film {rng.integers(3)}" if rng.random() < 0.8 else "",
        }
        for _ in range(count)
    ]


def as_csv(each: list[dict[str, Any]]) -> bytes:
    lines = [",".join(each[0])]
    for row in each:
        lines.append(",".join('"' + str(v).replace('"', '""') + '"' for v in row.values()))
    return ("\n".join(lines) + "\n").encode()


def as_jsonl(each: list[dict[str, Any]]) -> bytes:
    kept = [{key: value for key, value in row.items() if value != ""} for row in each]
    return "".join(json.dumps(row) + "\n" for row in kept).encode()


def write_csv(folder: pathlib.Path, bad: bool = True, suffix: str = "csv") -> None:
    """Files of different sizes, with rows that cannot be read in some of them."""
    for file in range(FILES):
        content = as_csv(rows(20 + 30 * (file % 3), file))
        if bad and file in (0, 3):
            content += b'maybe,u,1,a,2,1700000001,t\n\n1,"u\n1",x,a,oops,1700000002,t\n1,u\n'
            content += b"1,u,1,a,2,1700000003,t,more\n0,u,2,a,2,yesterday,t\n0,u,5,b,3,1700000009,x"
        packed = gzip.compress(content, mtime=0) if suffix.endswith("gz") else content
        (folder / f"log-{file}.{suffix}").write_bytes(packed)


def write_jsonl(folder: pathlib.Path) -> None:
    for file in range(FILES):
        content = as_jsonl(rows(40, file))
        if file in (1, 4):
            content += b'{"y": 1, "user": \n[1]\n{"y": 1, "item": "x", "ts": 1700000000}\n'
        (folder / f"log-{file}.jsonl.gz").write_bytes(gzip.compress(content, mtime=0))


def write_parquet(folder: pathlib.Path) -> None:
    for file in range(FILES):
        each = rows(40, file)
        table = pa.table(
            {
                "y": [row["y"] for row in each],
                "user": [row["user"] or None for row in each],
                "item": pa.array([row["item"] for row in each], pa.int32()),
                "tags": [row["tags"].split("|") for row in each],
                "price": [float(row["price"] or "nan") for row in each],
                "ts": pa.array([row["ts"] * 1000 for row in each], pa.timestamp("ms")),
                "title": [row["title"] or None for row in each],
            }
        )
        if file == 2:  # its labels are missing
            table = table.set_column(0, "y", pa.array([None, *table["y"].to_pylist()[1:]]))
        pq.write_table(table, folder / f"log-{file}.parquet", row_group_size=17)


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of Examples have few rows."""
    monkeypatch.setattr(writer, "ROWS", 5)
    monkeypatch.setattr(writer, "SHARD_ROWS", 35)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_formats(
    data: pathlib.Path, tmp_path: pathlib.Path, write: Callable[[pathlib.Path], None]
) -> None:
    write(data)
    engines = [InProcess(workers=n) for n in ((1, 2, 3, 8) if write is write_csv else (2,))]
    files, report = same(config(), data, tmp_path, engines)
    assert report["rejected"]
    assert sum(name.startswith("train/") for name in files) > 2
    assert len(files["state/log_rows.jsonl"].splitlines()) > 20


@pytest.mark.parametrize(
    "split",
    [
        {"by": "time", "eval": 0.3},
        {"by": "hash", "eval": 0.2, "test": 0.2},
        {"by": "hash", "key": "user", "eval": 0.3},
    ],
)
def test_splits(data: pathlib.Path, tmp_path: pathlib.Path, split: dict[str, Any]) -> None:
    write_csv(data, suffix="csv.gz")
    same(config(split=split), data, tmp_path)


def test_a_split_by_files(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_csv(data)
    split = {"by": "files", "train": "log-[0-2].csv", "eval": "log-3.csv", "test": "log-4.csv"}
    changes = {"split": split, "timestamp": None}
    made = IngestConfig.model_validate(
        {**BASE, **changes, "source": {"max_bad_rows": 0.5}, "item_label": None}
    )
    same(made, data, tmp_path)


def test_spans_and_a_window(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_csv(data)
    made = config(source={"files": "log-{SPAN}.csv", "window": 3})
    _, report = same(made, data, tmp_path)
    assert report["spans"] == ["2", "3", "4"]


@pytest.mark.parametrize("looked_at", [1, times.LOOKED_AT])
def test_times_of_the_whole_range(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """The bucket of a row is divided until it has few rows, however far the others are."""
    monkeypatch.setattr(times, "LOOKED_AT", looked_at)
    far = [-(10**15), -1, 0, 1, 2**50, *range(10**15, 10**15 + 30), *[10**15 + 30] * 20]
    for file in range(3):
        text = "".join(f"{k % 2},{time}\n" for k, time in enumerate(far[file::2]))
        (data / f"log-{file}.csv").write_text(f"y,ts\n{text}")
    features = {"features": [{"name": "ts", "kind": "categorical"}]}
    made = config(features=features, item_label=None, timestamp_format="microseconds")
    same(made, data, tmp_path)


@pytest.mark.usefixtures("small_files")
def test_tasks_in_any_order_and_twice(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_csv(data)
    same(config(), data, tmp_path, [TwiceBackwards(workers=3)])


@pytest.mark.slow
def test_processes_that_share_files_alone(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_csv(data)
    same(config(), data, tmp_path, [Processes(workers=2)])


class Killed(InProcess):
    """Dies at a task, and notes the ones that it has begun."""

    def map(self, work: Any, tasks: Any, done: Any = None) -> Any:
        def noted(task: Any) -> Any:
            if not pathlib.Path(task.kept).exists():
                BEGUN.append(pathlib.Path(task.kept).name)
                if len(BEGUN) == self.workers + 2:  # behind the parts that were read
                    raise KeyboardInterrupt
            return work(task)

        return super().map(noted, tasks, done or ignore)


BEGUN: list[str] = []


@pytest.mark.fault("an ingestion in parts is killed", "resumed; the same bytes")
def test_a_run_that_was_killed_goes_on(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_csv(data)
    plain, _ = written(config(), data, tmp_path / "plain", None)
    out = tmp_path / "out"
    BEGUN.clear()
    with pytest.raises(KeyboardInterrupt):
        written(config(), data, out, Killed(workers=3))
    assert BEGUN == ["loaded-0", "loaded-1", "loaded-2", "time-rows-0", "time-rows-1"]
    left = out / "rejects" / f"{work.PREFIX}other"
    left.mkdir()
    assert len(list((out / "rejects").glob(f"{work.PREFIX}*"))) == 2
    assert not (out / "train").exists()
    (out / "state").rmdir()
    files, _ = written(config(), data, out, Killed(workers=3))
    assert files == plain
    assert BEGUN[5:7] == ["time-rows-1", "time-rows-2"]
    assert not any(name.startswith("loaded") for name in BEGUN[5:])


@pytest.mark.parametrize(
    ("changes", "mend", "message"),
    [
        ({"source": {"max_bad_rows": 0.0}}, None, "more than source.max_bad_rows"),
        ({"item_label": "name"}, None, "the log has no column 'name'; it has y, user"),
        ({"label": "ts - 1700000000"}, None, "has values other than 0 and 1: "),
        ({"label": "y > 'a' + 1"}, None, "label"),
        ({"split": {"by": "time", "eval": 0.001}}, None, "the eval split has no rows"),
        ({"label": "y * 0"}, None, "rows of the train split have label 0"),
        ({}, "empty", "log-3.csv is empty"),
        ({}, "two", "log-2.csv"),
        ({}, "none", "the log has no rows"),
        ({}, "quote", "a quote opens a value of very many lines"),
    ],
)
def test_errors(
    data: pathlib.Path, tmp_path: pathlib.Path, changes: dict[str, Any], mend: str, message: str
) -> None:
    write_csv(data)
    if mend == "empty":
        (data / "log-3.csv").write_bytes(b"")
    elif mend == "two":  # the first of them is told, whichever worker is the first
        (data / "log-2.csv").write_bytes(b"y,y\n1,2\n")
        (data / "log-4.csv").write_bytes(b"")
    elif mend == "none":
        for path in data.iterdir():
            path.write_bytes(path.read_bytes().splitlines()[0] + b"\n")
    elif mend == "quote":
        with open(data / "log-1.csv", "ab") as file:
            file.write(b'1,"u,1,a,2,1700000001,t\n' + b"0,v,1,a,2,1700000001,t\n" * 1000)
    assert message in same_error(config(**changes), data, tmp_path, IngestError)


def test_a_file_that_changes_meanwhile(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_csv(data)

    class Appending(InProcess):
        def map(self, work: Any, tasks: Any, done: Any = None) -> Any:
            with open(data / "log-4.csv", "ab") as file:
                file.write(b"1,u,1,a,2,1700000001,t\n")
            return super().map(work, tasks)

    with pytest.raises(IngestError, match=r"log-4.csv changed while being read"):
        written(config(), data, tmp_path / "out", Appending(workers=2))


def test_parts_are_runs_of_files_of_about_one_size() -> None:
    assert divide.runs([5, 1, 1, 1, 5, 5, 0], 3) == [[0, 1], [2, 3, 4], [5, 6]]
    assert divide.runs([3, 3], 8) == [[0], [1]]
    assert divide.runs([0, 0], 2) == [[0, 1]]


def test_sums_are_exact_in_any_order() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, 3000) * 10.0 ** rng.integers(-200, 200, 3000)
    orders = [values, values[::-1], np.sort(values)]
    means = []
    for order in orders:
        total = ExactSum()
        for part in np.array_split(order, 7):
            one = ExactSum()
            one.add(part)
            total.merge(one)
        means.append(total.mean())
    assert means[0] == means[1] == means[2]
    assert ExactSum().mean() == 0.0
    small = ExactSum()
    small.add(np.array([0.1, 0.2, 0.3, np.nan, np.inf, 1.0]))
    assert small.mean() == 0.4


def test_buckets_of_times() -> None:
    moments = [-(2**52) - 1, -(2**52), -8, -7, -1, 0, 7, 8, 2**60]
    with duckdb.connect() as con:
        shown = ", ".join(f"({moment}::BIGINT)" for moment in moments)
        con.execute(f"CREATE VIEW log AS SELECT * FROM (VALUES {shown}) AS log({TIME})")
        for power in (0, 3, 20):
            rows = con.execute(f"SELECT {times.bucket_sql(power)} FROM log").fetchall()
            assert [bucket for (bucket,) in rows] == [moment >> power for moment in moments]
        counted = times.count(con, "log", moments[0], moments[-1])
    assert sum(counted.rows.values()) == len(moments)
    assert counted.at(60) == {-1: 5, 0: 3, 1: 1}


def test_what_a_killed_worker_left_beside_examples_goes(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    class Leaving(InProcess):
        def map(self, work: Any, tasks: Any, done: Any = ignore) -> Any:
            results = super().map(work, tasks, done)
            if (folder := tmp_path / "out" / "train").exists():
                (folder / "data_tfrecord-00000-of-00001.gz.0.part").write_bytes(b"half")
            return results

    write_csv(data)
    files, _ = written(config(), data, tmp_path / "out", Leaving(workers=2))
    assert [name for name in files if name.startswith("train/")] == [
        "train/data_tfrecord-00000-of-00001.gz"
    ]
