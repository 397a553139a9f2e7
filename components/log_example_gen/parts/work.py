"""The work folder of a log in parts, and stages of tasks in it."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import itertools
import os
import pathlib
import pickle
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import duckdb

from ranklite.components.engines import handed_over
from ranklite.components.engines.engine import Engine, ResultT, TaskT
from ranklite.components.log_example_gen import connection
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.keyed_query import keeps_order
from ranklite.models import progress

PREFIX = ".parts-"  # of the name of a work folder
# A dictionary would take 0.0 and -0.0 for one value.
PARQUET = "FORMAT parquet, PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 0"
MEGABYTES = 1024  # of a worker's database, beyond which it spills


@dataclasses.dataclass(frozen=True)
class Job:
    """What every task knows.

    Attributes:
      config: What is read.
      data_root: The data folder.
      work: The work folder.
      threads: Of a worker.
      buckets: How many shares of the rows there are, where they are divided by a hash.
      shard_rows: Rows a file of Examples.
    """

    config: IngestConfig
    data_root: str
    work: str
    threads: int
    buckets: int
    shard_rows: int

    def path(self, *names: str) -> str:
        """A path of the work folder."""
        return os.path.join(self.work, *names)

    @property
    def judged(self) -> str:
        """The split that is judged."""
        return self.config.split_names[-1]


class _Step(NamedTuple):
    work: Callable[[Any], Any]
    task: Any
    kept: str


class Stages:
    """Runs tasks, stage by stage; what a stage returned is found again by a run that starts over.

    Args:
      engine: What runs them.
      job: Whose work folder it is.
    """

    def __init__(self, engine: Engine, job: Job) -> None:
        self._engine, self._job = engine, job

    def run(
        self, name: str, work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], shown: str
    ) -> list[ResultT]:
        """What a function returns for each task.

        Args:
          name: Of the stage, which no other one has.
          work: A function of a module.
          tasks: Its arguments.
          shown: What it does, for a person.
        """
        return self.together(shown, (name, work, tasks))[0]

    def together(
        self, shown: str, *stages: tuple[str, Callable[[Any], Any], Sequence[Any]]
    ) -> list[list[Any]]:
        """The same of several stages that do not wait for each other.

        Args:
          shown: What they do.
          *stages: Name, function and tasks of each; without a name, what it writes lies outside of
            the work folder, and is written again by a run that starts over.
        """
        steps = [
            _Step(work, task, self._job.path("done", f"{name}-{number}") if name else "")
            for name, work, tasks in stages
            for number, task in enumerate(tasks)
        ]
        ended = 0

        def report(number: int) -> None:
            nonlocal ended
            ended += 1
            if len(steps) > 1:
                progress.report(f"{shown}, {ended}/{len(steps)} tasks", ended / len(steps))

        results = iter(self._engine.map(_run, steps, report) if steps else [])
        return [list(itertools.islice(results, len(tasks))) for *_, tasks in stages]


def _run(step: _Step) -> Any:
    if not step.kept:
        return step.work(step.task)
    if os.path.exists(step.kept):
        with open(step.kept, "rb") as file:
            return pickle.load(file)
    result = step.work(step.task)
    handed_over.write(step.kept, result)
    return result


@contextlib.contextmanager
def placed(path: str) -> Iterator[str]:
    """Another name for a file or folder, which has its own once all of it is there.

    Of a folder that is there already, the other one stays: a task that runs twice makes the same.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    hidden = f"{path}.{uuid.uuid4().hex}.part"
    try:
        yield hidden
        if os.path.isdir(hidden):
            try:
                os.rename(hidden, path)
            except OSError:
                if not os.path.isdir(path):
                    raise
        else:
            os.replace(hidden, path)
    finally:
        if os.path.isdir(hidden):
            shutil.rmtree(hidden, ignore_errors=True)
        elif os.path.exists(hidden):
            os.remove(hidden)


@contextlib.contextmanager
def database(job: Job) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A worker's database, and a folder for what it writes meanwhile."""
    scratch = job.path(f"scratch-{uuid.uuid4().hex}")
    os.makedirs(scratch)
    try:
        with contextlib.closing(
            connection.connect(
                job.config,
                job.data_root,
                scratch,
                MEGABYTES,
                job.threads,
                job.work,
                keeps_order(job.config.source),
            )
        ) as con:
            yield con, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def folder(parent: str, key: Iterable[str]) -> Iterator[str]:
    """The work folder of a run, with what an earlier one of the same key has left there.

    It is removed at the end, but where workers or this process die: the next run goes on with it.
    What runs of other keys have left is removed at once.

    Args:
      parent: Where it is made.
      key: Whatever the content of its files depends on.
    """
    digest = hashlib.sha256("\n".join([*key, _code()]).encode()).hexdigest()[:16]
    path = os.path.join(os.path.abspath(parent), f"{PREFIX}{digest}")
    os.makedirs(parent, exist_ok=True)
    for other in glob.glob(os.path.join(glob.escape(parent), f"{PREFIX}*")):
        if os.path.abspath(other) != path:
            shutil.rmtree(other, ignore_errors=True)
    os.makedirs(os.path.join(path, "done"), exist_ok=True)
    try:
        yield path
    except ValueError:  # of the log or the configuration: it would be the same again
        shutil.rmtree(path, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)


def _code() -> str:
    """Digest of the code that fills the folder."""
    digest = hashlib.sha256(duckdb.__version__.encode())
    for file in sorted(pathlib.Path(__file__).parents[1].rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
