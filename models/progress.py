"""Says how far something long is, to whoever listens; without a listener nothing happens.

What takes long reports here and knows nothing of terminals or logs; `pipeline.local.progress`
listens. Reports are cheap enough for every step of a training: a listener only has to remember the
last one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple


class Report(NamedTuple):
    """How far it is.

    Attributes:
      where: In words, such as `epoch 4/20, step 31/80`.
      share: How much is done, from 0 to 1; None where that cannot be known.
      rows_per_second: Speed, where rows are counted.
      figures: Metrics as they are now, by name.
      at_most: Whether it may end before `share` reaches 1.
    """

    where: str
    share: float | None
    rows_per_second: float | None
    figures: Mapping[str, float]
    at_most: bool


Listener = Callable[[Report], None]

_listener: Listener | None = None
_parts: list[tuple[str, int, int, bool]] = []


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hands every report of this process, from whichever thread, to a listener."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def reported() -> bool:
    """Whether somebody listens."""
    return _listener is not None


@contextlib.contextmanager
def part(name: str, number: int = 0, of: int = 1, *, whole: bool = False) -> Iterator[None]:
    """Makes what is reported inside a part of something longer.

    Args:
      name: Stands before the part's own words; empty for none.
      number: Which part, from 0.
      of: How many there are; they count as equally long.
      whole: Count a part once it is over: what it reports is not the most of its work.
    """
    _parts.append((name, number, of, whole))
    try:
        yield
    finally:
        _parts.pop()


def report(
    where: str = "",
    share: float | None = None,
    *,
    rows_per_second: float | None = None,
    figures: Mapping[str, float] | None = None,
    at_most: bool = False,
) -> None:
    """Says how far it is; the arguments are those of `Report`, of the innermost part."""
    if _listener is None:
        return
    for name, number, of, whole in reversed(_parts):
        where = ": ".join(filter(None, (name, where)))
        share = (number + (0.0 if whole else share or 0.0)) / of
    _listener(Report(where, share, rows_per_second, figures or {}, at_most))


class Rows:
    """Counts rows and reports them.

    Args:
      doing: What is done to them, such as `writing`.
      total: How many there are, where that is known.
    """

    def __init__(self, doing: str, total: int | None = None) -> None:
        self._doing, self._total = doing, total
        self._done = self._first = 0
        self._started = 0.0

    def add(self, rows: int) -> None:
        """Counts some more; the time is taken from the first ones on."""
        self._done += rows
        if not self._first:
            self._first, self._started = self._done, time.monotonic()
        seconds = time.monotonic() - self._started
        of = f"/{self._total:,}" if self._total else ""
        report(
            f"{self._doing} {self._done:,}{of} rows",
            self._done / self._total if self._total else None,
            rows_per_second=(self._done - self._first) / seconds
            if self._done > self._first
            else None,
        )


class Tasks:
    """Counts parts of a work that end in any order, and reports them.

    Args:
      doing: What is done to them, such as `read`.
      what: What each is, such as `file`.
      total: How many there are.
    """

    def __init__(self, doing: str, what: str, total: int) -> None:
        self._doing, self._what, self._total = doing, what, total
        self._done = 0

    def add(self, number: int) -> None:
        """Counts one that has ended.

        Args:
          number: Which one; told by engines, and of no matter here.
        """
        self._done += 1
        of = f"{self._done:,}/{self._total:,}"
        report(f"{self._doing} {of} {self._what}{'s'[: self._total > 1]}", self._done / self._total)
