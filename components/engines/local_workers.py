"""The workers of the engine `local`, and the process that they are forked off.

That process has imported what the work needs and started nothing, so it may be forked; it hands
out the tasks. A worker that dies takes one task with it, which is tried again: in pools of the
standard library and in loky it takes all of them.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, reduction
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import ranklite
from ranklite.components.engines.attempts import attempt
from ranklite.components.engines.engine import ATTEMPTS, TaskT

Event: TypeAlias = tuple[int, bytes] | str  # a task and what became of it, or why none is tried
_PR_SET_PDEATHSIG = 1


def serve_jobs(requests: Connection) -> None:
    """Forks a process for each job, which forks the workers; what a job imports stays for the next.

    Args:
      requests: Receives the pickled arguments of `work_on`, and a connection for its events. Where
        it ends this process does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who waits for the events decides what ends
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            content = requests.recv_bytes()
            handle = reduction.recv_handle(requests)
        except (EOFError, ConnectionError):
            os._exit(0)
        with contextlib.suppress(Exception):  # the job will say why
            pickle.loads(content)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            events = Connection(handle)
            try:
                events.send(os.getpid())
                work, tasks, workers = pickle.loads(content)
                work_on(work, tasks, workers, events)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(handle)


def work_on(
    work: Callable[[TaskT], Any], tasks: Sequence[TaskT], workers: int, events: Connection
) -> None:
    """Has workers work until every task has ended or this process is told to end.

    Args:
      work: The function.
      tasks: Its arguments.
      workers: How many processes.
      events: Is sent an `Event` for each task that ends.
    """
    waiting = collections.deque(range(len(tasks)))
    attempts: collections.Counter[int] = collections.Counter()
    shares = _shares(sorted(os.sched_getaffinity(0)), workers)
    running = [_Worker(work, share) for share in shares]
    while waiting or any(each.number is not None for each in running):
        for each in running:
            if each.number is None and waiting:
                each.give(waiting.popleft(), tasks)
        busy = [each for each in running if each.number is not None]
        ready = connection.wait([events, *(each.connection for each in busy)])
        if events in ready:  # nothing is ever sent there: who listened is gone
            os._exit(1)
        for each in busy:
            if each.connection not in ready:
                continue
            number, content = each.take()
            if content is not None:
                events.send((number, content))
                continue
            attempts[number] += 1
            if attempts[number] == ATTEMPTS:
                events.send(f"task {number + 1} of {len(tasks)}: {each.ended()}, {ATTEMPTS} times")
                return
            waiting.appendleft(number)
            running[running.index(each)] = _Worker(work, each.share)


def _shares(all_cores: list[int], workers: int) -> list[list[int]]:
    """Cores of each worker: threads of all libraries are as many as a process has cores."""
    if workers >= len(all_cores):
        return [[all_cores[number % len(all_cores)]] for number in range(workers)]
    return [all_cores[number::workers] for number in range(workers)]


class _Worker:
    """A process that works on a task at a time.

    Attributes:
      number: Of its task; None where it has none.
      connection: Has something to read where the task, or the worker, has ended.
      share: The cores that it runs on.
    """

    def __init__(self, work: Callable[[Any], Any], share: list[int]) -> None:
        self.number: int | None = None
        self.share = share
        fork = multiprocessing.get_context("fork")
        self.connection, theirs = fork.Pipe()
        self._process = fork.Process(
            target=_serve, args=(work, theirs, share, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def give(self, number: int, tasks: Sequence[Any]) -> None:
        """Has it work on a task."""
        self.number = number
        with contextlib.suppress(ConnectionError):  # where it has died, `take` says so
            self.connection.send(tasks[number])

    def take(self) -> tuple[int, bytes | None]:
        """Its task and what became of it; None where the worker has died."""
        assert self.number is not None
        number, self.number = self.number, None
        try:
            return number, self.connection.recv_bytes()
        except (EOFError, ConnectionError):
            self._process.join()
            return number, None

    def ended(self) -> str:
        """How it died, in words."""
        code = self._process.exitcode or 0
        if code >= 0:
            return f"its worker ended by itself (exit status {code})"
        name = signal.Signals(-code).name
        memory = " (the system does so where memory runs out)" if name == "SIGKILL" else ""
        return f"its worker was ended by {name}{memory}"


def _serve(work: Callable[[Any], Any], asked: Connection, share: list[int], parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before that was said
        os._exit(1)
    os.sched_setaffinity(0, share)
    while True:
        asked.send_bytes(attempt(work, ranklite.__version__, asked.recv()))
