"""Queries over a log that is divided by a key: the rows of the plain query, byte by byte alike."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import pytest

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.parts import divide, keyed
from tests.components import test_parts_past
from tests.divided_logs import InProcess, Processes, TwiceBackwards, same, written
from tests.keyed_logs import HASH, QUERY, SHARE_BYTES, as_plain, asked, config, write


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder)
    return folder


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed, "SHARE_BYTES", SHARE_BYTES)


def test_windows_and_a_second_log(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    engines = [InProcess(workers=8), TwiceBackwards(workers=3), Processes(workers=2)]
    files, report = same(config(), data, tmp_path, engines)
    assert report["rejected"]["ts"] == 2
    assert report["rejected"]["not a JSON object"] == 2
    rejects = files["rejects/rejects.csv"].decode().splitlines()
    for file, count in (("items.jsonl", 1), ("views.jsonl", 1), ("clicks-1.csv", 1)):
        assert sum(line.startswith(f"{file},") for line in rejects) == count, file
    assert "views.jsonl,151,,not a JSON object,[1]" in rejects
    assert b'"file": ""' in files["state/log_rows.jsonl"]
    as_plain(config(split=HASH), data, tmp_path)


def test_files_that_are_cut(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(config(), data, tmp_path / "whole", None)
    monkeypatch.setattr(divide, "CUT_BYTES", 100)
    cut = written(config(), data, tmp_path / "cut", InProcess(workers=8))
    assert cut == whole


def test_shares_are_many(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """What is divided is divided: some shares have rows, and none has all."""
    sizes = []

    class Watched(InProcess):
        def map(self, work: Any, tasks: Any, done: Any = lambda number: None) -> Any:
            results = super().map(work, tasks, done)
            if tasks and "loaded-" in tasks[0].kept:
                sizes.extend(each.rows for each in results)
            return results

    written(config(), data, tmp_path / "out", Watched(workers=2))
    assert len(sizes) > 3
    assert max(sizes) < sum(sizes) / 2


def test_a_split_by_files(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    split = {"by": "files", "train": "clicks-[01].csv", "eval": "clicks-2.csv"}
    split["test"] = "clicks-3.csv"
    source = {"tables": {"items": "items.jsonl", "views": "views.jsonl"}}
    source["query"] = QUERY.replace("clicks", "logs")  # type: ignore[assignment]
    made = config(source=source, split=split)
    same(made, data, tmp_path, [InProcess(workers=4)])
    as_plain(made, data, tmp_path)


def test_a_window_of_spans_and_its_past(tmp_path: pathlib.Path) -> None:
    test_parts_past.write(tmp_path / "data", 160)
    newest = "row_number() OVER (PARTITION BY user ORDER BY ts DESC, item, shop, price) <= 30"
    source = {"files": "log-{YYYY}-{MM}-{DD}.csv", "window": 2, "past_window": 1}
    source |= {"query": f"FROM logs QUALIFY {newest}", "partition_by": "user"}  # type: ignore
    made = test_parts_past.config(features=test_parts_past.FEATURES[:4], source=source)
    _, report = same(made, tmp_path / "data", tmp_path, [InProcess(workers=3)])
    assert report["past"]["rows_before"] > 0


def test_a_run_that_died_goes_on(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was divided is not divided again, and the result is the same."""

    class Dying(InProcess):
        def map(self, work: Any, tasks: Any, done: Any = lambda number: None) -> Any:
            if tasks and "loaded-" in tasks[0].kept:
                super().map(work, tasks[:2], done)
                raise OSError("the machine is gone")
            return super().map(work, tasks, done)

    whole = written(config(), data, tmp_path / "whole", None)
    with pytest.raises(OSError, match="is gone"):
        written(config(), data, tmp_path / "out", Dying(workers=2))
    shutil.rmtree(tmp_path / "out" / "state")
    monkeypatch.setattr(keyed, "_divide", None)
    assert written(config(), data, tmp_path / "out", InProcess(workers=2)) == whole


def test_a_query_without_an_end(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    query = "SELECT user, item, count(*) % 2 AS y FROM clicks, range(1000000000000) GROUP BY ALL"
    made = asked(query, source={"query_seconds": 2.0})
    with pytest.raises(IngestError, match=r"ran longer than source\.query_seconds = 2"):
        written(made, data, tmp_path / "out", InProcess(workers=2))
