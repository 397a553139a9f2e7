"""A query that has no end, or too many rows, is stopped by a limit that the error names."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from ranklite.components.engines.local import Local
from ranklite.components.log_example_gen import IngestError, connection, limits
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.components.log_example_gen.parts import tables
from ranklite.components.log_example_gen.preview import preview
from ranklite.components.log_example_gen.query_rows import query_rows
from ranklite.components.log_example_gen.source import SourceConfig

ENDLESS = {
    "a recursion without an end": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
    "SELECT u, y FROM logs WHERE (SELECT count(*) FROM t) > 0",
    "a join without a condition": "SELECT u, y FROM logs WHERE (SELECT sum(a.range * b.range) "
    "FROM range(1000000) AS a, range(1000000) AS b) > 0",
    "ever more rows": "SELECT u, y FROM logs, range(1000000000000)",
}
ROWS = "y,u\n" + "".join(f"{k % 2},u{k % 7}\n" for k in range(40))
SPLIT_BY_FILES = {"by": "files", "train": "log.csv", "eval": "other.csv"}


def config(query: str, **source: Any) -> IngestConfig:
    return IngestConfig.model_validate(
        {
            "source": {"files": "log.csv", "query": query, "query_seconds": 0.3, **source},
            "label": "y",
            "split": {"by": "hash", "eval": 0.3},
            "features": {"features": [{"kind": "categorical", "name": "u"}]},
        }
    )


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("log.csv", "other.csv"):
        (tmp_path / name).write_text(ROWS, encoding="utf-8")
    return tmp_path


def run(folder: pathlib.Path, settings: IngestConfig, **more: Any) -> None:
    out = folder / "out"
    ingest(settings, str(folder), str(folder / "rejects"), lambda s: str(out / s), **more)


def scored(folder: pathlib.Path, settings: IngestConfig) -> None:
    with query_rows(settings, str(folder)) as rows:
        for _ in rows.rows:
            pass


WAYS: dict[str, Callable[[pathlib.Path, IngestConfig], Any]] = {
    "a run": run,
    "a preview": lambda folder, settings: list(preview(settings, str(folder))),
    "scoring": scored,
}


# Of ever more rows each is scored as it comes, as far as anybody waits for them.
STOPPED = [(q, w) for q in ENDLESS for w in WAYS if (q, w) != ("ever more rows", "scoring")]


@pytest.mark.parametrize(("query", "way"), STOPPED)
@pytest.mark.fault("a query has no end", "stopped by a limit that the error names")
def test_a_query_without_an_end_is_stopped(log: pathlib.Path, query: str, way: str) -> None:
    with pytest.raises(IngestError, match=r"ran longer than source\.query_seconds = 0\.3 and was"):
        WAYS[way](log, config(ENDLESS[query]))
    assert not (log / "out").exists()
    assert not list(log.glob("rejects/.work-*"))


@pytest.mark.parametrize("way", ["tables", "rows"])
def test_a_query_of_a_log_in_parts_is_stopped(
    log: pathlib.Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "SELECT 'u1' AS u, sum(a.range * b.range) AS s FROM range(1000000) a, range(1000000) b"
    if way == "rows":  # with nothing that tables are asked beforehand
        monkeypatch.setattr(tables, "check_unique", lambda *_: None)
    query = f"SELECT l.u, l.y FROM logs AS l JOIN ({other}) AS o ON l.u = o.u WHERE o.s > 0"
    with pytest.raises(IngestError, match=r"source\.query_seconds = 0\.3"):
        run(log, config(query), engine=Local(workers=1))


def test_a_query_of_split_files_is_stopped(log: pathlib.Path) -> None:
    settings = config(ENDLESS["a join without a condition"])
    by_files = settings.model_dump() | {"split": SPLIT_BY_FILES}
    by_files["source"]["files"] = None
    with pytest.raises(IngestError, match=r"source\.query_seconds"):
        run(log, IngestConfig.model_validate(by_files))


def test_other_errors_of_a_query_are_its_own(log: pathlib.Path) -> None:
    with pytest.raises(IngestError, match="nowhere"):
        run(log, config("SELECT nowhere FROM logs"))


def test_what_scores_the_rows_takes_its_time(log: pathlib.Path) -> None:
    """The limit is the query's: of 40 rows, however slowly they are taken."""
    with query_rows(config("SELECT u, y FROM logs"), str(log)) as rows:
        taken = 0
        for _ in rows.rows:
            time.sleep(0.01)
            taken += 1
    assert taken == 40


def test_without_a_query_nothing_counts(log: pathlib.Path) -> None:
    settings = config("SELECT u, y FROM logs").model_dump()
    settings["source"] |= {"query": None, "query_seconds": 1e-9}
    run(log, IngestConfig.model_validate(settings))
    assert (log / "out" / "train").is_dir()


def test_seconds_add_up(log: pathlib.Path) -> None:
    con = duckdb.connect()
    limit = limits.QueryLimit(con, SourceConfig(files="x", query="x", query_seconds=0.2))
    with limit.counting():
        time.sleep(0.3)  # nothing that could be interrupted
    with pytest.raises(IngestError, match=r"query_seconds"), limit.counting():
        con.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")


@pytest.mark.fault("a query spills without an end", "stopped by a limit that the error names")
def test_what_is_spilled_has_a_limit(
    log: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr("ranklite.components.log_example_gen.ingest.MEGABYTES", 64)
    settings = config(ENDLESS["ever more rows"], query_seconds=300.0, spill_gigabytes=0.03)
    with pytest.raises(IngestError, match=r"takes more of the disk .* Give source\.spill_gig"):
        run(log, settings)


@pytest.mark.fault("DuckDB's memory runs out", "told, with what helps")
def test_memory_that_runs_out_is_told(log: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranklite.components.log_example_gen.ingest.MEGABYTES", 64)
    gathered = "SELECT string_agg(repeat(u, 200000), '') FROM logs, range(50)"
    query = f"SELECT u, y FROM logs WHERE md5(({gathered})) != ''"
    with pytest.raises(IngestError, match="takes more memory than it may"):
        run(log, config(query, query_seconds=300.0))


@contextlib.contextmanager
def interrupted_soon(seconds: float = 0.5) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    try:
        yield
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("seconds", [0.5, 3.0])  # later, scoring waits for a first row of many
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.fault("Ctrl-C while DuckDB runs a query", "ends it, and is no failure of the log's")
def test_an_interrupt_ends_a_query(log: pathlib.Path, way: str, seconds: float) -> None:
    settings = config(ENDLESS["a join without a condition"], query_seconds=300.0)
    with pytest.raises(KeyboardInterrupt), interrupted_soon(seconds):
        WAYS[way](log, settings)
    assert not list(log.glob("rejects/.work-*"))


def test_what_opens_a_log_tells_it_too(log: pathlib.Path) -> None:
    with (
        pytest.raises(IngestError, match="more memory"),
        connection.opened(config("SELECT u, y FROM logs"), str(log)) as (_con, _),
    ):
        raise duckdb.OutOfMemoryException("Out of Memory Error: could not allocate\n\nPossible")
