"""A log in parts against the same log in one piece: every byte that ingestion writes."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from ranklite.components.engines.engine import Engine, ResultT, TaskT, ignore
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest


class InProcess(Engine):
    """Runs tasks one by one, and says that there are so many workers."""

    kind: Literal["in_process"] = "in_process"
    workers: int

    def at_once(self) -> int:
        return self.workers

    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        results = []
        for number, task in enumerate(tasks):
            results.append(work(task))
            done(number)
        return results


class TwiceBackwards(InProcess):
    """Runs the tasks from the last to the first, and what each did a second time from nothing."""

    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        results: dict[int, ResultT] = {}
        for number in reversed(range(len(tasks))):
            work(tasks[number])
            if kept := tasks[number].kept:
                pathlib.Path(kept).unlink()
            results[number] = work(tasks[number])
            done(number)
        return [results[number] for number in range(len(tasks))]


class Processes(InProcess):
    """Runs tasks in processes that share nothing but files."""

    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        with concurrent.futures.ProcessPoolExecutor(
            self.workers, multiprocessing.get_context("spawn")
        ) as pool:
            results = list(pool.map(work, tasks))
        for number in range(len(tasks)):
            done(number)
        return results


Written = tuple[dict[str, bytes], dict[str, Any]]


def written(
    config: IngestConfig, data: pathlib.Path, out: pathlib.Path, engine: Engine | None
) -> Written:
    """Every file that ingestion writes by its name, and its report but for the seconds."""
    state = out / "state"
    state.mkdir(parents=True)
    report = ingest(
        config,
        str(data),
        str(out / "rejects"),
        lambda split: str(out / split),
        item_labels=str(state / "labels.parquet"),
        log_rows_file=str(state / "log_rows.jsonl"),
        state_dir=str(state),
        engine=engine,
    )
    files = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert not list((out / "rejects").glob(".*")), "nothing is left of the work"
    assert any(name.endswith(".gz") for name in files)
    return files, {key: value for key, value in report.items() if "second" not in key}


def same(
    config: IngestConfig,
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    engines: Sequence[Engine] = (),
) -> Written:
    """Ingests a log in one piece and by engines; all write the same. Returns what they wrote."""
    plain = written(config, data, tmp_path / "plain", None)
    for number, engine in enumerate(engines or [InProcess(workers=n) for n in (1, 3)]):
        files, report = written(config, data, tmp_path / f"parts-{number}", engine)
        assert sorted(files) == sorted(plain[0])
        for name, content in files.items():
            assert content == plain[0][name], (name, engine)
        assert json.dumps(report) == json.dumps(plain[1])
    return plain


def same_error(
    config: IngestConfig, data: pathlib.Path, tmp_path: pathlib.Path, kind: type[Exception]
) -> str:
    """What both ways say of a log that is of no use; the same, and the same rejects."""
    messages, rejects = [], []
    for name, engine in (("plain", None), ("parts", InProcess(workers=3))):
        with pytest.raises(kind) as raised:
            written(config, data, tmp_path / name, engine)
        messages.append(str(raised.value).replace(str(tmp_path / name), "OUT"))
        file = tmp_path / name / "rejects" / "rejects.csv"
        rejects.append(file.read_bytes() if file.exists() else None)
    assert messages[0] == messages[1]
    assert rejects[0] == rejects[1]
    return messages[0]
