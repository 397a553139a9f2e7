"""Processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import reduction, util
from typing import Any, Literal

from pydantic import Field

from ranklite.components.engines.attempts import outcome
from ranklite.components.engines.engine import (
    Engine,
    ResultT,
    TaskT,
    WorkerLost,
    check_importable,
    ignore,
)
from ranklite.components.engines.local_workers import Event, serve_jobs
from ranklite.models.environment import cores


class Local(Engine):
    """Processes of this machine.

    Attributes:
      workers: How many at once; None takes as many as there are cores, which they share among each
        other. One works in this process.
    """

    kind: Literal["local"] = "local"
    workers: int | None = Field(None, ge=1)

    @property
    def on_this_machine(self) -> bool:
        """They are forked here."""
        return True

    def at_once(self) -> int:
        """The workers."""
        return self.workers or cores()

    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        """Runs a function on every task, as `Engine.map` says."""
        check_importable(work)
        workers = min(self.at_once(), len(tasks))
        results: dict[int, Any] = {}
        if workers <= 1:
            for number, task in enumerate(tasks):
                results[number] = work(task)
                done(number)
        else:
            with _working(work, tasks, workers) as events:
                for number, content in events:
                    results[number] = outcome(content)
                    done(number)
        return [results[number] for number in range(len(tasks))]


class _Nursery:
    """The process that others are forked off, which keeps what it has imported.

    TensorFlow may have begun to work in this process, and does not survive a fork then.
    """

    def __init__(self) -> None:
        self.made_by = os.getpid()
        spawn = multiprocessing.get_context("spawn")
        self._requests, theirs = spawn.Pipe()
        process = spawn.Process(target=serve_jobs, args=(theirs,))
        with _without_main():
            process.start()
        theirs.close()
        # At this process's end, before multiprocessing waits for that one.
        util.Finalize(self, self._requests.close, exitpriority=0)

    @contextlib.contextmanager
    def working(
        self, work: Callable[[TaskT], Any], tasks: Sequence[TaskT], workers: int
    ) -> Iterator[Iterator[tuple[int, bytes]]]:
        """Yields number and outcome of each task as it ends; afterwards no worker is left."""
        events, theirs = multiprocessing.Pipe()
        pid = None
        try:
            with contextlib.suppress(ConnectionError):  # where it has died, nothing is received
                self._requests.send_bytes(pickle.dumps((work, list(tasks), workers)))
                reduction.send_handle(self._requests, theirs.fileno(), None)
            theirs.close()
            with contextlib.suppress(EOFError, ConnectionError):
                pid = events.recv()
            yield _received(events, len(tasks))
        finally:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # and with it its workers
            events.close()


_nursery: _Nursery | None = None
_lock = threading.Lock()


def _working(
    work: Callable[[TaskT], Any], tasks: Sequence[TaskT], workers: int
) -> contextlib.AbstractContextManager[Iterator[tuple[int, bytes]]]:
    """As `_Nursery.working`, by the nursery of this process."""
    global _nursery
    with _lock:
        if _nursery is None or _nursery.made_by != os.getpid():  # this one was forked off another
            _nursery = _Nursery()
    return _nursery.working(work, tasks, workers)


def _received(events: Any, count: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(count):
        try:
            event: Event = events.recv()
        except (EOFError, ConnectionError):
            raise WorkerLost(
                "the process that the workers are forked off ended; its last words are in the log"
            ) from None
        if isinstance(event, str):
            raise WorkerLost(event)
        yield event


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Within, a spawned process is not told of this program's main module.

    It would import it, and run what a script without a guard for `__main__` does once more.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
