"""Rows sorted by key and time, and the search for what came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_MOST = 2**63  # codes of keys and times
_EXACT = 2.0**53  # below which doubles hold every whole number


class SortedRows:
    """Rows sorted by key and time, and the events among them.

    Args:
      keys: Number of the key [R], ascending.
      times: Microseconds [R], ascending within a key.
      events: Which rows are events.
      places: Number of each row in the log.
      judged: Which rows are judged.

    Example:
        >>> keys, times = np.array([0, 0, 0, 1]), np.array([5, 5, 9, 5])
        >>> rows = SortedRows(keys, times, np.ones(4), None, None)
        >>> rows.before(np.array([0, 0, 1]), np.array([5, 9, 6])).tolist()
        [0, 2, 4]
    """

    def __init__(self, keys: Array, times: Array, events: Array, places: Any, judged: Any) -> None:
        self.keys, self.times, self.places, self.judged = keys, times, places, judged
        self.events = events.astype(bool)
        self.event_times = times[self.events]
        num_keys = int(keys[-1]) + 1 if len(keys) else 0
        self._origin, newest = _range(self.event_times)
        self._unit = max(1, int(np.gcd.reduce(self.event_times - self._origin)))
        self._span = (newest - self._origin) // self._unit + 2
        self._moments: Array | None = None
        if num_keys * self._span >= _MOST:  # as for microseconds over years
            self._moments = np.unique(self.event_times)
            self._span = len(self._moments) + 1
        self._codes = keys[self.events] * self._span + self._steps(self.event_times)
        counts = np.bincount(keys[self.events], minlength=num_keys)
        self._first = np.concatenate([[0], np.cumsum(counts)])

    def with_events(self, events: npt.NDArray[np.bool_]) -> SortedRows:
        """The same rows with other events."""
        return SortedRows(self.keys, self.times, events, self.places, self.judged)

    def before(self, keys: Array, times: Array) -> npt.NDArray[np.int64]:
        """How many events have a smaller key, or the same and a time before the given one."""
        return np.searchsorted(self._codes, keys * self._span + self._steps(times), side="left")

    def _steps(self, times: Array) -> npt.NDArray[np.int64]:
        """Small numbers that are ordered to the times of events as `times` are."""
        if self._moments is not None:
            return np.searchsorted(self._moments, times, side="left")
        steps = -((self._origin - times) // self._unit)  # rounded up: before it, not at it
        return np.clip(steps, 0, self._span - 1)

    def first(self, keys: Array) -> npt.NDArray[np.int64]:
        """How many events have a smaller key: where the events of each key begin."""
        return self._first[keys]

    def sums(self, values: Array, keys: Array, start: Array, end: Array) -> Array:
        """Sums over runs of events of what each row adds.

        The sum of a key is the same whichever other keys are there: of whole numbers any order is
        exact, and others are added up key by key.

        Args:
          values: What each row adds [R].
          keys: Of the runs [N].
          start: Where each run begins, as of `first` and `before`.
          end: Where it ends.
        """
        added = values[self.events] + 0.0  # -0.0 is 0.0, whichever way it is added up
        if (added == np.rint(added)).all() and np.abs(added).sum() < _EXACT:
            running = np.concatenate([[0.0], np.cumsum(added)])
            return running[end] - running[start]
        of_key = np.append(_running(added, self._places_in_keys()), 0.0)
        first = self._first[keys]
        until = np.where(end > first, of_key[end - 1], 0.0)
        return until - np.where(start > first, of_key[start - 1], 0.0)

    def _places_in_keys(self) -> npt.NDArray[np.int64]:
        """How many events of its key come before each event."""
        counts = np.diff(self._first)
        return np.arange(self._first[-1]) - np.repeat(self._first[:-1], counts)


def _range(times: Array) -> tuple[int, int]:
    return (int(times.min()), int(times.max())) if len(times) else (0, 0)


def _running(values: Array, places: npt.NDArray[np.int64]) -> Array:
    """Sums of each value and those before it of its key, in an order that its place alone decides.

    Each step adds what twice as many values to the left make up.
    """
    result, step = values.copy(), 1
    most = int(places.max(initial=0))
    while step <= most:
        result[step:] += np.where(places[step:] >= step, result[:-step], 0.0)
        step *= 2
    return result
