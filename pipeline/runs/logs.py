"""Keeps what TFX, Beam and TensorFlow log: a folder a run, in it a file a stage."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO

KEPT = 20  # folders; a run logs a few hundred kB, and one a night would add up
OUTSIDE = "00-run"  # of what belongs to no stage
_LATE_SECONDS = 5  # how long a process that a stage left behind may hold the terminal's copy


def new_folder(logs: str) -> str:
    """Makes the folder of a run that begins now, and removes the oldest ones.

    Args:
      logs: Folder of all runs' logs.
    """
    folder = os.path.join(logs, time.strftime("%Y-%m-%dT%H-%M-%S"))
    os.makedirs(folder, exist_ok=True)
    for old in sorted(os.listdir(logs))[:-KEPT]:
        shutil.rmtree(os.path.join(logs, old), ignore_errors=True)
    return folder


def newest(logs: str) -> str:
    """The folder of the newest run; the folder of all where there is none."""
    result = sorted(os.listdir(logs)) if os.path.isdir(logs) else []
    return os.path.join(logs, *result[-1:])


class StageLogs(logging.StreamHandler):
    """Writes records, and what native code writes to stderr, to the file of the stage that runs.

    Args:
      folder: Where the files go.
      verbose: Show everything on the terminal too.

    Attributes:
      path: The file that is written to now.
    """

    def __init__(self, folder: str, verbose: bool) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
        self._folder, self._verbose = folder, verbose
        self._copying: subprocess.Popen[bytes] | None = None
        sys.stderr.flush()
        self._terminal = os.dup(2)
        self.path = ""
        self.switch()

    def flush(self) -> None:
        """Writes what waits; a disk that is full is not the error that counts."""
        with contextlib.suppress(OSError):
            super().flush()

    def switch(self, stage: str = "") -> None:
        """Goes on in another file: that of a stage, or the one of what belongs to none."""
        self.path = os.path.join(self._folder, f"{stage or OUTSIDE}.log")
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        copying, stream = self._copying, self._open()
        os.dup2(stream.fileno(), 2)
        self._leave(self.setStream(stream), copying)

    def leave(self) -> None:
        """Lets go of the file, in a process that was forked off; `switch` opens another one."""
        os.dup2(self._terminal, 2)
        self._copying = None
        if (stream := self.setStream(io.StringIO())) is not None:
            stream.close()

    def of(self, stage: str) -> str:
        """The file of a stage, where it has one; else the one that is written to now."""
        path = os.path.join(self._folder, f"{stage}.log")
        return path if os.path.exists(path) else self.path

    def close(self) -> None:
        """Gives stderr back."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os.dup2(self._terminal, 2)
        os.close(self._terminal)
        self._leave(self.setStream(io.StringIO()), self._copying)
        super().close()

    def _open(self) -> IO[str]:
        if not self._verbose:
            return open(self.path, "a", encoding="utf-8", buffering=1)
        # tee's copy is of native code's words too; -i, since Ctrl-C ends the run and not the log.
        command = ["tee", "-ai", self.path]
        terminal = self._terminal  # its stderr too: it would keep open what the tee before it reads
        self._copying = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=terminal, stderr=terminal
        )
        assert self._copying.stdin is not None
        return io.TextIOWrapper(self._copying.stdin, encoding="utf-8", line_buffering=True)

    def _leave(self, stream: IO[str] | None, copying: subprocess.Popen[bytes] | None) -> None:
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
        if copying is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                copying.wait(_LATE_SECONDS)


@contextlib.contextmanager
def stage_logs(folder: str, *, verbose: bool) -> Iterator[StageLogs]:
    """Sends the logs of TFX, Beam and TensorFlow to files while a run is under way.

    Args:
      folder: Where the files go; it is there.
      verbose: Show them on the terminal too.

    Yields:
      What switches from file to file.
    """
    from absl import logging as absl_logging

    root, tensorflow = logging.getLogger(), logging.getLogger("tensorflow")
    absl_logging.use_absl_handler()
    before, level, absl_level = root.handlers, root.level, absl_logging.get_verbosity()
    tf_handlers, tf_propagate = tensorflow.handlers, tensorflow.propagate
    logs = StageLogs(folder, verbose)
    root.handlers = [logs]
    root.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)
    tensorflow.handlers, tensorflow.propagate = [], True
    try:
        yield logs
    finally:
        root.handlers, tensorflow.handlers = before, tf_handlers
        tensorflow.propagate = tf_propagate
        root.setLevel(level)
        absl_logging.set_verbosity(absl_level)
        logs.close()
