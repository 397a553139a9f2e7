"""Runs a stage's executor in a process of its own: its memory goes back when it ends, a crash of
native code ends a stage and not the run, and Ctrl-C is heard at once.

Processes are forked off one that has everything imported and nothing started: TensorFlow and gRPC
do not survive a fork once they work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ranklite.models import progress
from ranklite.models.lifeline import end_with
from ranklite.models.progress import Report
from ranklite.pipeline.local.failed import error_message
from ranklite.pipeline.local.stage_words import Teller, received
from ranklite.pipeline.local.stages import SAID

GRACE_SECONDS = 3.0  # that a stage has for tidying up once it is told to stop
AGAIN_SECONDS = 1.0  # in which two interrupts are one

_log = logging.getLogger(__name__)


Work = Callable[[Any], bytes]


class ExecutorFailed(Exception):
    """A stage's executor failed; the message is that of its error."""


class Stopped(BaseException):
    """A stage's process was told to stop. As with Ctrl-C, TFX notes no failure."""


def possible() -> bool:
    """Whether processes can be forked here: on Linux, before TensorFlow is there."""
    return sys.platform == "linux" and "tensorflow" not in sys.modules


class Result(NamedTuple):
    """What a stage's process came to.

    Attributes:
      content: What its work returned.
      peak: The most memory that it had, bytes, with what it shares with the others.
    """

    content: bytes
    peak: int


@dataclasses.dataclass
class _Task:
    """What is known of a stage's process."""

    pid: int = 0
    result: Result | None = None
    error: str | None = None


class StageProcesses:
    """Makes the processes.

    Args:
      work: What a process does with what it is given; returns bytes.
      enter: What it does first, told the stage: its words go to another file.
      leave: What the process does that others are forked off, which must hold nothing open.
    """

    def __init__(self, work: Work, enter: Callable[[str], None], leave: Callable[[], None]) -> None:
        self._work, self._enter, self._leave = work, enter, leave
        self._lock = threading.Lock()
        self._tasks: list[_Task] = []
        self._stopping = False

    def __enter__(self) -> StageProcesses:
        self._requests, theirs = multiprocessing.Pipe()
        alive, self._lifeline = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._requests.close()
            os.close(self._lifeline)
            with _ending():
                self._serve(theirs, alive)
        theirs.close()
        os.close(alive)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._requests.close()
        os.close(self._lifeline)
        os.waitpid(self._pid, 0)

    def run(
        self,
        stage: str,
        given: Any,
        show: Callable[[Report], None],
        say: Callable[[str], None],
    ) -> Result:
        """Does a stage's work in a process of its own.

        Args:
          stage: Name of its log.
          given: What it works on; it is pickled.
          show: Told how far it is.
          say: Told lines that stay.

        Raises:
          ExecutorFailed: It failed, or its process was killed.
          Stopped: It was told to stop.
        """
        messages, theirs = multiprocessing.Pipe(duplex=False)
        status, minder = multiprocessing.Pipe(duplex=False)
        task = _Task()
        with self._lock:
            if self._stopping:
                raise Stopped
            self._requests.send((stage, given))
            for connection in (theirs, minder):
                reduction.send_handle(self._requests, connection.fileno(), None)
                connection.close()
            self._tasks.append(task)
        with messages, status:
            for kind, value in received(messages):
                if kind == "report":
                    show(value)
                elif kind == "say":
                    say(value)
                else:
                    setattr(task, kind, value)
            code = next(received(status), None)
        with self._lock:
            self._tasks.remove(task)
        if task.result is not None:
            return task.result
        if self._stopping:
            raise Stopped
        raise ExecutorFailed(task.error or _ended(code))

    def stop(self) -> None:
        """Ends what runs: after `GRACE_SECONDS`, what tidies up too."""
        self._stopping = True
        # Python loses an interrupt that arrives inside of a finalizer: hence the second one.
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            for task in list(self._tasks):
                if task.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(task.pid, number)
            until = time.monotonic() + GRACE_SECONDS / 2
            while self._tasks and time.monotonic() < until:
                time.sleep(0.02)

    def _serve(self, requests: Connection, alive: int) -> None:
        """Forks a process for each request, until there are none any more."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides what ends
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self._leave()
        gc.freeze()  # what is imported is no garbage: to look at it would copy its pages
        for stage, given in received(requests):
            handles = [reduction.recv_handle(requests) for _ in range(2)]
            if os.fork() == 0:
                requests.close()
                with _ending():
                    messages, status = (Connection(handle) for handle in handles)
                    self._mind(stage, given, messages, status, alive)
            for handle in handles:
                os.close(handle)

    def _mind(
        self, stage: str, given: Any, messages: Connection, status: Connection, alive: int
    ) -> None:
        """Says how a stage's process ended, which a killed one cannot say itself."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pid = os.fork()
        if pid == 0:
            status.close()
            with _ending():
                self._do(stage, given, messages, alive)
        messages.close()
        _, ended = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            status.send(os.waitstatus_to_exitcode(ended))

    def _do(self, stage: str, given: Any, messages: Connection, alive: int) -> None:
        """A stage's work, and what it says."""
        signal.signal(signal.SIGINT, _Interrupt())
        end_with(alive)
        teller = Teller(messages)
        teller.send("pid", os.getpid())
        try:
            self._enter(stage)
            for name in SAID:
                logging.getLogger(name).addHandler(teller)
            with progress.listening(teller.report), _temporary():
                result = self._work(given)
            teller.flush()
            teller.send("result", Result(result, _peak()))
        except Exception as error:
            _log.exception("%s failed", stage)
            teller.send("error", error_message(error))


def _peak() -> int:
    """The most memory that this process had, or one that it started and that ended, bytes."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) * 1024


def _ended(code: int | None) -> str:
    """Why a process ended that said nothing."""
    if code is None or code >= 0:
        return f"its process ended without a word (exit status {code})"
    name = signal.Signals(-code).name
    memory = ": the system does so where memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"


class _Interrupt:
    """Ctrl-C, which a terminal says to every process and the first one says again."""

    def __init__(self) -> None:
        self._last = -AGAIN_SECONDS

    def __call__(self, *_: object) -> None:
        now = time.monotonic()
        again, self._last = now - self._last < AGAIN_SECONDS, now
        if not again:
            raise KeyboardInterrupt


@contextlib.contextmanager
def _temporary() -> Iterator[None]:
    """Has a folder for temporary files, which go with it: AutoGraph leaves some to the end of a
    process, which does not come as it expects.
    """
    with tempfile.TemporaryDirectory(prefix="ranklite-") as tempfile.tempdir:
        yield


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Ends a forked process here: what the first one would do at its end is not for it to do."""
    code = 1
    try:
        yield
        code = 0
    except KeyboardInterrupt:
        code = 130
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
            logging.shutdown()
        os._exit(code)
