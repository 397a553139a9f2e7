"""Which run it is that this process executes, for its page.

No property of the stage says it, since those are the key of the cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ranklite.models.reporting.facts import CurrentRun

_current: list[CurrentRun] = []


@contextlib.contextmanager
def current(run: CurrentRun) -> Iterator[None]:
    """Makes it known while it is under way."""
    _current.append(run)
    try:
        yield
    finally:
        _current.remove(run)


def current_run() -> CurrentRun | None:
    """The run that is under way; None where none was given."""
    return _current[-1] if _current else None
