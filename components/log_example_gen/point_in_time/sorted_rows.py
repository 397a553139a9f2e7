"""Rows sorted by key and time, and the search for what came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_MOST = 2**63  # codes of keys and times


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

    def running(self, values: Array) -> Array:
        """Running sums [E + 1] over the events of what each row adds."""
        return np.concatenate([[0.0], np.cumsum(values[self.events])])


def _range(times: Array) -> tuple[int, int]:
    return (int(times.min()), int(times.max())) if len(times) else (0, 0)
