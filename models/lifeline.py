"""A process that ends with the one that started it, however that one ends.

The first one holds a pipe that nothing is written to: it ends with it, by a signal too, and whoever
reads from it is told so by the system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def lifeline() -> Iterator[int]:
    """A pipe to be handed to a process that is to end with this one; yields what is read from."""
    alive, end = os.pipe()
    try:
        yield alive
    finally:
        os.close(alive)
        os.close(end)


def end_with(alive: int) -> None:
    """Ends this process, by SIGKILL, with the one that holds the other end of a pipe.

    Args:
      alive: As of `lifeline`.
    """
    threading.Thread(target=_wait, args=[alive], daemon=True).start()


def _wait(alive: int) -> None:
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGKILL)
