"""The events of a key, and a user's running session: what `EventState` is made of."""

from __future__ import annotations

import bisect
import collections
from collections.abc import Mapping
from typing import Any

from ranklite.models.features import past
from ranklite.models.features.past import Past

Key = tuple[Any, ...]


class Session:
    """When a user's running session began."""

    def __init__(self) -> None:
        self.first, self.last = 0, -(2**63)

    def start(self, time: int, gap: int) -> int:
        """Start of the session that a moment belongs to."""
        return self.first if time - self.last <= gap else time

    def visit(self, time: int, gap: int) -> None:
        """Notes an event."""
        self.first = self.start(time, gap)
        self.last = time


class Events:
    """The events of a key in order of time, with running sums."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.times: list[int] = []
        self.dropped = 0
        self._sums: dict[str, list[float]] = {}
        self._before: dict[str, float] = collections.defaultdict(float)  # sums of what was dropped
        self._seen: dict[str, set[Any]] = collections.defaultdict(set)
        self._listed: dict[str, list[tuple[Any, float]]] = collections.defaultdict(list)
        self._listed_times: dict[str, list[int]] = collections.defaultdict(list)

    def add(
        self,
        time: int,
        label: float,
        added: Mapping[str, float],
        distinct: Mapping[str, Any],
        listed: Mapping[str, Any],
    ) -> None:
        """Adds an event.

        Args:
          time: Microseconds since 1970.
          label: Its outcome.
          added: What it adds to each sum, by name.
          distinct: Values of which each is counted once, by the name of their sum.
          listed: What lists hold of it, by feature; None where it is no event of theirs.

        Raises:
          ValueError: The time lies before that of the last event.
        """
        if self.times and time < self.times[-1]:
            raise ValueError(
                f"an event at {time / past.SECOND:f} comes after one at "
                f"{self.times[-1] / past.SECOND:f}: add events in the order of their times"
            )
        self.times.append(time)
        for name, number in added.items():
            self._append(name, number)
        for name, value in distinct.items():
            self._append(name, float(self._is_new(name, value)))
        for feature, value in listed.items():
            if value is not None:
                self._listed[feature].append((value, label))
                self._listed_times[feature].append(time)
                del self._listed[feature][: -self._limit]
                del self._listed_times[feature][: -self._limit]
        if len(self.times) > self._limit:
            self.dropped += 1
            del self.times[0]
            for name, sums in self._sums.items():
                self._before[name] = sums.pop(0)

    def _append(self, name: str, value: float) -> None:
        sums = self._sums.setdefault(name, [])
        sums.append((sums[-1] if sums else self._before[name]) + value)

    def _is_new(self, name: str, value: Any) -> bool:
        if value is None or value in self._seen[name]:
            return False
        self._seen[name].add(value)
        return True

    def span(self, first: int | None, state: int) -> tuple[int, int]:
        """Places of the first event at or after `first`, and of the first one not before `state`;
        -`dropped` for the first event of all."""
        begin = -self.dropped if first is None else bisect.bisect_left(self.times, first)
        return begin, bisect.bisect_left(self.times, state)

    def sum(self, name: str, begin: int, end: int) -> float:
        """The sum over the events from one place to another."""
        sums = self._sums[name]

        def until(place: int) -> float:
            if place > 0:
                return sums[place - 1]
            return self._before[name] if place == 0 else 0.0

        return until(end) - until(begin)

    def last(self, of: Past, state: int, count: int) -> list[Any]:
        """The newest events before a state time, newest first."""
        end = bisect.bisect_left(self._listed_times[of.feature], state)
        events = self._listed[of.feature][max(0, end - count) : end][::-1]
        return [outcome if of.stat == past.OUTCOME else value for value, outcome in events]


class Keys(dict[Key, Events]):
    """The events of each key."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __missing__(self, key: Key) -> Events:
        self[key] = Events(self._limit)
        return self[key]
