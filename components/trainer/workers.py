"""Starts the processes of a training on this machine, where no cluster gives them.

Each is told by TF_CONFIG who the others are, as the processes of a cluster are.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from ranklite.models import progress
from ranklite.models.environment import cores
from ranklite.models.lifeline import end_with, lifeline

CLUSTER = "TF_CONFIG"  # the environment variable
GRACE_SECONDS = 5.0  # that the others have to fail by themselves, once one has
_REPORT_SECONDS = 0.1
_POLL_SECONDS = 0.1
_PORTS = range(10_000, 30_000)  # systems give those from 32,768 on, or from 49,152


class WorkerFailed(ValueError):
    """A process of a training failed, or was killed; the message says which, and why."""


def together(work: str, given: Any, count: int) -> None:
    """Has some processes do the same work on the same thing, each knowing of the others.

    How far it is, the first one says; `models.progress` hears it here.

    Args:
      work: `module:function`.
      given: What the function is called with; it is pickled.
      count: How many processes.

    Raises:
      WorkerFailed: One of them did not end well; the others are ended.
    """
    with tempfile.TemporaryDirectory() as folder, lifeline() as alive, _reports() as reports:
        with open(os.path.join(folder, "given"), "wb") as file:
            pickle.dump((work, given), file)
        cluster = {"worker": [f"localhost:{port}" for port in free_ports(count)]}
        processes = []
        for rank in range(count):
            task = {"cluster": cluster, "task": {"type": "worker", "index": rank}}
            pipes = [str(alive), str(reports if rank == 0 else -1)]
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", __name__, folder, str(rank), *pipes],
                    env={
                        **os.environ,
                        CLUSTER: json.dumps(task),
                        "TF_NUM_INTRAOP_THREADS": str(max(1, cores() // count)),
                    },
                    pass_fds=[alive, reports],
                )
            )
        try:
            _wait(processes, folder)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _wait(processes: list[subprocess.Popen[bytes]], folder: str) -> None:
    """Waits for all; for not much longer than the first one that fails."""
    failed: list[int] = []
    until = float("inf")
    while any(p.poll() is None for p in processes) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        new = [k for k, p in enumerate(processes) if p.poll() and k not in failed]
        if new and not failed:
            until = time.monotonic() + GRACE_SECONDS
        failed += new
    failed += [k for k, p in enumerate(processes) if p.poll() and k not in failed]
    if failed:
        raise WorkerFailed(_reason(failed[0], processes, folder))


def _reason(rank: int, processes: list[subprocess.Popen[bytes]], folder: str) -> str:
    """Why a process failed: in its own words, where it had any."""
    with contextlib.suppress(FileNotFoundError), open(_error_file(folder, rank)) as file:
        return file.read()
    code = processes[rank].returncode
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    return (
        f"worker {rank} of {len(processes)} of the training ended without a word ({how}); where "
        "memory ran out, shard_tables divides the tables among the workers"
    )


def _error_file(folder: str, rank: int) -> str:
    return os.path.join(folder, f"{rank}.error")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on.

    They are none of those that a system gives to whoever asks for any, so that no other process
    gets one before a worker, which has much to import first, listens on it.
    """
    result = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("localhost", port))
            result.append(port)
        if len(result) == count:
            break
    return result


@contextlib.contextmanager
def _reports() -> Iterator[int]:
    """A pipe for lines of JSON, each the arguments of a `progress.report`."""
    ours, theirs = os.pipe()

    def pass_on() -> None:
        with os.fdopen(ours) as lines:
            for line in lines:
                report = progress.Report(*json.loads(line))
                progress.report(**report._asdict())

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        thread.join()


class _Sender:
    """Writes reports to a pipe, not more often than anybody could read them."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._sent = pipe, 0.0

    def __call__(self, report: progress.Report) -> None:
        if (now := time.monotonic()) - self._sent >= _REPORT_SECONDS:
            self._sent = now
            os.write(self._pipe, (json.dumps(report) + "\n").encode())


def main(folder: str, rank: str, alive: str, reports: str) -> None:
    """What one of the processes does."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    end_with(int(alive))
    with open(os.path.join(folder, "given"), "rb") as file:
        work, given = pickle.load(file)
    module, _, name = work.partition(":")
    try:
        with contextlib.ExitStack() as stack:
            if int(reports) >= 0:
                stack.enter_context(progress.listening(_Sender(int(reports))))
            getattr(importlib.import_module(module), name)(given)
    except Exception as error:
        with open(_error_file(folder, int(rank)), "w", encoding="utf-8") as told:
            told.write(str(error))
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
