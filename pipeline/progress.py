"""Says on the terminal which stage runs, how long it took and whether it was cached."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO


class StageProgress(logging.Handler):
    """Turns the local runner's log records into one line a stage.

    The runner offers no callbacks; its log messages are the one place where it tells what it does.
    A stage that it does not announce is left out, nothing else depends on them.

    Args:
      stages: How many stages there are.
      out: Where the lines go.
    """

    def __init__(self, stages: int, out: TextIO = sys.stdout) -> None:
        super().__init__(logging.INFO)
        self._stages, self._out = stages, out
        self._number = 0
        self._started = time.monotonic()
        self._cached = False
        self.current: str | None = None
        self.seconds: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message = str(record.msg)
        if message == "Component %s is running.":
            self._number += 1
            self._started, self._cached = time.monotonic(), False
            self.current = str(record.args[0]) if isinstance(record.args, tuple) else None
            self._write(f"[{self._number:2}/{self._stages}] {self.current} ...", end="")
        elif message == "A cached execution %d is used.":
            self._cached = True
        elif message == "Component %s is finished." and self.current:
            self.seconds[self.current] = time.monotonic() - self._started
            took = "cached" if self._cached else f"{self.seconds[self.current]:.1f} s"
            self._write(f"\r[{self._number:2}/{self._stages}] {self.current:<28} {took:>8}")
            self.current = None
        elif record.name == "models.search":
            self._write(f"\r        {record.getMessage()}")

    def _write(self, text: str, end: str = "\n") -> None:
        if not self._out.isatty():  # plain lines where a carriage return means nothing
            text, end = text.lstrip("\r"), "\n"
        print(text, end=end, file=self._out, flush=True)


@contextlib.contextmanager
def quiet_logs(path: str, progress: logging.Handler, verbose: bool) -> Iterator[None]:
    """Sends the logs of TFX, Beam and TensorFlow to a file while a run is under way.

    Args:
      path: The log file; it is appended to.
      progress: Also sees every record.
      verbose: Also log to the terminal.
    """
    from absl import logging as absl_logging

    stack = contextlib.ExitStack()
    if not verbose:
        stack.enter_context(native_stderr_to(path))
    file = logging.FileHandler(path, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    root = logging.getLogger()
    absl_logging.use_absl_handler()
    before, level = list(root.handlers), root.level
    absl_level = absl_logging.get_verbosity()
    root.handlers = [file, progress, *(before if verbose else [])]
    root.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)
    tensorflow = logging.getLogger("tensorflow")
    tf_handlers, tf_propagate = tensorflow.handlers, tensorflow.propagate
    tensorflow.handlers, tensorflow.propagate = [], True
    try:
        yield
    finally:
        stack.close()
        root.handlers, tensorflow.handlers = before, tf_handlers
        tensorflow.propagate = tf_propagate
        root.setLevel(level)
        absl_logging.set_verbosity(absl_level)
        file.close()


@contextlib.contextmanager
def native_stderr_to(path: str) -> Iterator[None]:
    """Sends what native code (TensorFlow, TFLite's converter) writes to stderr to a file too."""
    sys.stderr.flush()
    saved = os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(log, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(log)
