"""Which run it is that this process executes, for its page.

No property of the stage says it, since those are the key of the cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class CurrentRun:
    """A run under way.

    Attributes:
      title: What a person calls it.
      started: When, in UTC.
    """

    title: str
    started: datetime.datetime

    @property
    def seconds(self) -> float:
        """Since its start."""
        return (datetime.datetime.now(datetime.timezone.utc) - self.started).total_seconds()


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
    """The run that is under way; None where nobody said which."""
    return _current[-1] if _current else None
