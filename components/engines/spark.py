"""A Spark cluster: each task is a partition of an RDD."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

import ranklite
from ranklite.components.engines.attempts import attempt, outcome
from ranklite.components.engines.engine import (
    ATTEMPTS,
    Engine,
    ResultT,
    TaskT,
    WorkerLost,
    check_importable,
    ignore,
)
from ranklite.components.engines.reachable import own_host, refused
from ranklite.extras import SPARK, MissingExtra

_PYTHON = "spark.pyspark.python"
_HOST_VARIABLES = {"SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"}  # what Spark takes it from
_MASTER = r"^(local(\[.+\])?|spark://[^,:/]+:\d+(,[^,:/]+:\d+)*|yarn|k8s://.+)$"


def _a_master(master: str) -> str:
    if not re.match(_MASTER, master):
        raise ValueError(
            f"{master!r} is no master: write spark://host:7077, yarn, k8s://host:443 or local[2] "
            "(sc:// is Spark Connect, which runs no Python functions by partition)"
        )
    return master


def _an_option(name: str) -> str:
    if not name.startswith("spark."):
        raise ValueError(f"{name!r} is none of Spark's settings, such as spark.executor.memory")
    return name


class Spark(Engine):
    """A Spark cluster, of which this process is the driver.

    One context serves all maps of a process, and ends with it.

    Attributes:
      master: `spark://host:7077` (several hosts with commas), `yarn`, `k8s://...`, or `local[2]`
        for threads of this machine.
      options: Spark's own settings, such as `spark.executor.memory: 4g`; `spark.pyspark.python` is
        the Python of the workers, where None is given the path of this one.
    """

    kind: Literal["spark"] = "spark"
    master: Annotated[str, AfterValidator(_a_master)]
    options: dict[Annotated[str, AfterValidator(_an_option)], str | int | float | bool] = {}

    @property
    def on_this_machine(self) -> bool:
        """Whether the master is `local`."""
        return self.master.startswith("local")

    def check(self) -> None:
        """Raises MissingExtra without pyspark."""
        try:
            import pyspark  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtra("engine.kind: spark", error, SPARK) from None

    def at_once(self) -> int:
        """The cores of its executors, by what they take for a task."""
        parallel: int = self._context().defaultParallelism
        return max(1, parallel // int(self.options.get("spark.task.cpus", 1)))

    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        """Runs a function on every task, as `Engine.map` says."""
        check_importable(work)
        if not tasks:
            return []
        context = self._context()
        finished = context.accumulator([], _Finished(done))
        numbered = context.parallelize(list(enumerate(tasks)), len(tasks))
        try:
            contents = numbered.map(
                functools.partial(_run, work, ranklite.__version__, finished)
            ).collect()
        except Exception as error:  # of Spark or py4j; what tasks raise comes as a result
            raise WorkerLost(self._why(str(error))) from error
        return [outcome(content) for content in contents]

    def _context(self) -> Any:
        """The context of this process, started where there is none.

        Raises:
          ConnectionError: No master answers.
          ValueError: There is one of another master.
        """
        self.check()
        from pyspark import SparkConf, SparkContext

        running = SparkContext._active_spark_context
        if running is None:
            settings = {
                **self._reached(),
                "spark.app.name": "ranklite",
                "spark.task.maxFailures": ATTEMPTS,
                "spark.ui.showConsoleProgress": False,
                **self.options,
            }
            conf = SparkConf().setMaster(self._master)
            conf.setAll([(key, _text(value)) for key, value in settings.items()])
            try:
                running = SparkContext(conf=conf)
            except Exception as error:
                raise ConnectionError(
                    f"engine.master: Spark at {self.master} cannot be used: {_first_line(error)}"
                ) from error
            running.pythonExec = str(self.options.get(_PYTHON, sys.executable))
        elif running.master != self._master:
            raise ValueError(
                f"engine.master: {self.master}, but this process has a Spark context of "
                f"{running.master}: stop that one, or name its master"
            )
        return running

    @property
    def _master(self) -> str:
        """The master as Spark takes it; `local` by itself tries a task once."""
        if self.master == "local":
            return f"local[1,{ATTEMPTS}]"
        return re.sub(r"^local\[([^,\]]+)\]$", rf"local[\1,{ATTEMPTS}]", self.master)

    def _reached(self) -> dict[str, str]:
        """Where executors find this process: of a pod no other machine knows the host's name.

        Raises:
          ConnectionError: No master listens: Spark itself gives up after a minute.
        """
        if not self.master.startswith("spark://"):
            return {}
        masters = self.master.removeprefix("spark://").split(",")
        why = [refused(each) for each in masters]
        if all(why):
            raise ConnectionError(
                f"engine.master: no Spark master answers at {self.master} ({why[0]}): is it "
                "running, and is that the address that it shows on its page?"
            )
        host = own_host(masters[why.index(None)])
        if not _HOST_VARIABLES.isdisjoint(os.environ) or _is_loopback(host):
            return {}
        return {"spark.driver.host": host}

    def _why(self, text: str) -> str:
        """Why Spark gave up, in a line."""
        if "No module named 'ranklite'" in text:
            return (
                f"Spark's workers at {self.master} have no package ranklite: install version "
                f"{ranklite.__version__} there, and name their Python in engine.options: "
                f"{_PYTHON}"
            )
        aborted = re.search(r"Job aborted due to stage failure: (.+)", text)
        return f"Spark at {self.master}: {aborted[1] if aborted else _first_line(text)}"


class _Finished:
    """An accumulator of Spark's: workers add the numbers of tasks, the driver tells them.

    Spark adds what a task has added when it has succeeded, once.
    """

    def __init__(self, done: Callable[[int], None] = ignore) -> None:
        self._done = done

    def zero(self, value: list[int]) -> list[int]:
        return []

    def addInPlace(self, numbers: list[int], more: list[int]) -> list[int]:
        for number in more:
            self._done(number)
        return numbers + more

    def __reduce__(self) -> tuple[Any, ...]:
        return _Finished, ()


def _run(
    work: Callable[[TaskT], Any], version: str, finished: Any, numbered: tuple[int, TaskT]
) -> bytes:
    """In a worker."""
    number, task = numbered
    content = attempt(work, version, task)
    finished.add([number])
    return content


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.strip("[]")).is_loopback


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
