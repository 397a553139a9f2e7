"""One attempt at a task in a worker, and what becomes of it here.

What the function raises comes back in the result, and not as a failure of the worker: engines try
again what failed, and the same data would fail the same way.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

import ranklite
from ranklite.components.engines.engine import TaskT

MOST_BYTES = 16 << 20  # of a pickled result: what is larger travels by files


class WorkerTraceback(Exception):
    """Where in a worker an exception was raised, in words: the cause of what is raised here."""


class TaskFailed(RuntimeError):
    """A task raised what cannot be pickled; the message says what it was."""


class OtherVersion(RuntimeError):
    """A worker has another version of RankLite."""


class TooLarge(ValueError):
    """A task returned more than `MOST_BYTES`."""


def attempt(work: Callable[[TaskT], Any], version: str, task: TaskT) -> bytes:
    """Runs a task in a worker.

    Args:
      work: The function.
      version: Of RankLite in the process that asks.
      task: Its argument.

    Returns:
      What `outcome` understands: the result, or what was raised.
    """
    try:
        if version != ranklite.__version__:
            raise OtherVersion(
                f"a worker has ranklite {ranklite.__version__}, and this process {version}: "
                "install the same version in the environment of the workers"
            )
        content = pickle.dumps((work(task), None), pickle.HIGHEST_PROTOCOL)
        if len(content) > MOST_BYTES:
            raise TooLarge(
                f"{work.__module__}.{work.__qualname__} returned {len(content):,} bytes, and "
                f"{MOST_BYTES:,} is the most: write them into a file"
            )
    except Exception as error:
        return pickle.dumps((_picklable(error), traceback.format_exc()))
    return content


def _picklable(error: Exception) -> Exception:
    """An error that says the same when it is unpickled."""
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        again = None
    if type(again) is type(error) and str(again) == str(error):
        return error
    return TaskFailed(f"{type(error).__name__}: {error}")


def outcome(content: bytes) -> Any:
    """The result of an attempt.

    Args:
      content: From `attempt`.

    Raises:
      Exception: What the function raised in the worker.
    """
    value, trace = pickle.loads(content)
    if trace is None:
        return value
    raise value from WorkerTraceback(trace)
