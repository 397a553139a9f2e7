"""Rows sorted by key and time, and the search for what came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FIRST = np.iinfo(np.int64).min  # before all times


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
        self._moments = np.unique(self.event_times)
        self._span = len(self._moments) + 1
        moment = np.searchsorted(self._moments, self.event_times)
        self._codes = keys[self.events] * self._span + moment

    def with_events(self, events: npt.NDArray[np.bool_]) -> SortedRows:
        """The same rows with other events."""
        return SortedRows(self.keys, self.times, events, self.places, self.judged)

    def before(self, keys: Array, times: Array) -> npt.NDArray[np.int64]:
        """How many events have a smaller key, or the same and a time before the given one."""
        moment = np.searchsorted(self._moments, times, side="left")
        return np.searchsorted(self._codes, keys * self._span + moment, side="left")

    def running(self, values: Array) -> Array:
        """Running sums [E + 1] over the events of what each row adds."""
        return np.concatenate([[0.0], np.cumsum(values[self.events])])
