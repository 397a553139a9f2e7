"""What a stage's process says to the first one: how far it is, and lines that stay."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from ranklite.models.progress import Report

REPORT_SECONDS = 0.1  # between two reports of how far a stage is


class Teller(logging.Handler):
    """Sends what a stage says to the first process, which shows it."""

    def __init__(self, messages: Connection) -> None:
        super().__init__(logging.INFO)
        self._messages, self._sending = messages, threading.Lock()
        self._last: Report | None = None
        self._sent = 0.0

    def send(self, kind: str, value: Any) -> None:
        """Sends something, of whichever thread."""
        with self._sending:
            self._messages.send((kind, value))

    def report(self, report: Report) -> None:
        """Sends how far the stage is, now or with a later report."""
        self._last = report
        if (now := time.monotonic()) - self._sent >= REPORT_SECONDS:
            self._sent = now
            self.flush()

    def flush(self) -> None:
        """Sends the last report, where it was not sent."""
        if self._last is not None:
            self.send("report", self._last)
            self._last = None

    def emit(self, record: logging.LogRecord) -> None:
        """Sends a line."""
        self.send("say", record.getMessage())


def received(connection: Connection) -> Iterator[Any]:
    """What comes in, until nobody can send any more; of a killed process, what is whole."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            yield connection.recv()
