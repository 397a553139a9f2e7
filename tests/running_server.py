"""`ranklite serve` in a process of its own, on a free port of loopback."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

SECONDS = 60.0  # that a busy machine may take for anything


class RunningServer:
    """A server, and what it logs.

    Attributes:
      client: Sends requests to it.
      log: The lines that were read of its log.
      process: The server.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.url = self.event("serving")["url"]
        self.client = httpx.Client(base_url=self.url, timeout=SECONDS)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def event(self, name: str) -> dict[str, Any]:
        """Waits for the next line of the log about an event."""
        while True:
            line = self._lines.get(timeout=SECONDS)
            assert line is not None, f"the server ended before {name!r}: {self.log}"
            if line.startswith("{"):  # the runtime has words of its own
                self.log.append(json.loads(line))
                if self.log[-1]["event"] == name:
                    return self.log[-1]

    def post(self, path: str, body: Any) -> Any:
        """The document that a body is answered by."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self) -> int:
        """Sends SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def running(folder: str, *options: str) -> Iterator[RunningServer]:
    """Serves a folder of versions while the context lasts."""
    command = [sys.executable, "-m", "ranklite", "serve", folder, "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield RunningServer(process)
        finally:
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
