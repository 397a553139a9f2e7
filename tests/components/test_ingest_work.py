"""What ingestion costs, counted; and splits as they are computed one row at a time."""

from __future__ import annotations

import contextlib
import hashlib
import math
import pathlib
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.components.log_example_gen import connection, reader, splits, writer
from ranklite.components.log_example_gen import ingest as ingest_module
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import connect
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.components.log_example_gen.log_table import LOG, ROW, SPLIT
from ranklite.models.features import tfrecords


def config(**changes: Any) -> IngestConfig:
    base: dict[str, Any] = {
        "source": {"files": "*.csv", "max_bad_rows": 0.5},
        "label": "y",
        "timestamp": "t",
        "timestamp_format": "seconds",
        "split": {"by": "hash", "eval": 0.3, "test": 0.2},
        "features": {
            "features": [
                {"kind": "categorical", "name": "u"},
                {"kind": "numeric", "name": "x"},
            ]
        },
    }
    return IngestConfig.model_validate(base | changes)


def write(folder: pathlib.Path, times: list[int], name: str = "log.csv") -> None:
    rows = [f"{k % 2},u{k % 7},{k}.5,{time}" for k, time in enumerate(times)]
    (folder / name).write_text("\n".join(["y,u,x,t", *rows]) + "\n", encoding="utf-8")


def splits_of(folder: pathlib.Path, of: IngestConfig) -> list[str]:
    """The split of each row of the log."""
    with contextlib.closing(connect(of, str(folder), str(folder))) as con:
        reader.load(con, of, str(folder), str(folder))
        splits.assign(con, of)
        rows = con.execute(f"SELECT {ROW}, {SPLIT} FROM {LOG} ORDER BY 1").fetchall()
    assert [row for row, _ in rows] == list(range(1, len(rows) + 1))
    return [split for _, split in rows]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 9) | st.integers(0, 10**9), min_size=1, max_size=30),
    st.sampled_from([0.01, 0.1, 0.29, 0.3]),
    st.sampled_from([None, 0.01, 0.1, 0.2]),
)
def test_a_split_by_time_is_that_of_the_sorted_rows(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], held: float, test: float | None
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write(folder, times)
    rows = len(times)
    hundredths = round(100 * held), round(100 * (test or 0))
    trained = rows - rows * sum(hundredths) // 100
    not_tested = rows - rows * hundredths[1] // 100
    expected = [""] * rows
    for rank, place in enumerate(sorted(range(rows), key=lambda k: (times[k], k))):
        late = "eval" if rank < not_tested else "test"
        expected[place] = "train" if rank < trained else late
    # 0.1 + 0.2 is a little more than 0.3, and DuckDB multiplies what is written.
    if held + (test or 0.0) == sum(hundredths) / 100:
        split = {"by": "time", "eval": held, "test": test}
        assert splits_of(folder, config(split=split)) == expected


@pytest.mark.parametrize(("key", "test"), [(None, 0.2), (None, None), ("u", 0.2), ("u", None)])
def test_a_split_by_hash_is_that_of_md5(
    tmp_path: pathlib.Path, key: str | None, test: float | None
) -> None:
    write(tmp_path, list(range(500)))
    expected = []
    for row in range(1, 501):
        text = f"42:{f'u{(row - 1) % 7}' if key else row}"
        share = int(hashlib.md5(text.encode()).hexdigest()[:8], 16) / 2**32
        held = "test" if share < (test or 0.0) else "eval"
        expected.append(held if share < (test or 0.0) + 0.3 else "train")
    of = config(split={"by": "hash", "key": key, "eval": 0.3, "test": test})
    assert splits_of(tmp_path, of) == expected


def test_shares_of_digests() -> None:
    assert splits._digits(0.5) == "'80000000'"
    assert splits._digits(1 - 1e-17) == "'ffffffff'"
    third = splits._digits(1 / 3)[1:-1]
    assert int(third, 16) == math.ceil(2**32 / 3)


def run(folder: pathlib.Path, out: str, of: IngestConfig) -> dict[str, Any]:
    rejects = str(folder / out / "rejects")
    return ingest(of, str(folder), rejects, lambda split: str(folder / out / split))


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_any_number_of_cores_writes_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    for name in ("b.csv", "a.csv"):
        write(tmp_path, rng.integers(0, 10**6, 30_000).tolist(), name)
    with open(tmp_path / "b.csv", "a", encoding="utf-8") as file:
        file.write('1,"u\n1",oops,3\n\n0,u,1.5\n1,u,2.5,7\n')
    monkeypatch.setattr(writer, "ROWS", 3000)
    results, reports = [], []
    for cores in (1, 2, 4):
        for module in (tfrecords, writer, connection, ingest_module):
            monkeypatch.setattr(module, "cores", lambda cores=cores: cores)
        report = run(tmp_path, f"out{cores}", config())
        results.append(contents(tmp_path / f"out{cores}"))
        reports.append({k: v for k, v in report.items() if "second" not in k})
    assert results[0] == results[1] == results[2]
    assert reports[0] == reports[1] == reports[2]
    assert b"b.csv,30002,x,not a number,oops" in results[0]["rejects/rejects.csv"]


class Counting:
    """A connection that notes its statements."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con, self.statements = con, list[str]()

    def execute(self, query: str, *arguments: Any) -> Any:
        self.statements.append(query)
        return self._con.execute(query, *arguments)

    def sql(self, query: str) -> Any:
        self.statements.append(query)
        return self._con.sql(query)

    def close(self) -> None:
        self._con.close()


def test_the_log_is_read_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, list(range(300)))
    made: list[Counting] = []

    def counted(*arguments: Any, **named: Any) -> Counting:
        made.append(Counting(connect(*arguments, **named)))
        return made[-1]

    monkeypatch.setattr(ingest_module, "connect", counted)
    for split in ({"by": "hash", "eval": 0.3}, {"by": "time", "eval": 0.3, "test": 0.1}):
        run(tmp_path, "out", config(split=split))
    for con, most in zip(made, (6, 10), strict=True):
        assert sum("read_csv(" in each for each in con.statements) == 1
        assert not any(each.startswith(("UPDATE", "DELETE")) for each in con.statements)
        assert not any("row_number()" in each for each in con.statements)
        of_rows = [s for s in con.statements if f"FROM {LOG}" in s or "ranklite.loaded" in s]
        assert sum(each.startswith("SELECT") for each in of_rows) <= most


def test_too_little_memory_is_made_up_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, list(range(300)))
    run(tmp_path, "enough", config())
    monkeypatch.setattr(ingest_module, "_few_megabytes", lambda _: 1)
    run(tmp_path, "little", config())
    assert contents(tmp_path / "little") == contents(tmp_path / "enough")
