"""What a model reads of the past, kept event by event: in an app, or beside a server.

It computes by the rules that training used (`ranklite.models.features.past`): a row at a time sees
the events before its state time, and no other.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ranklite.models.features import past, raw_values
from ranklite.models.features.past import Past
from ranklite.models.features.past_statistics import (
    AGE,
    DISTINCT,
    PRESENT,
    SUM,
    needed,
    statistic,
)
from ranklite.models.features.past_statistics import EVENTS as HOW_MANY
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.events import Events, Key, Keys, Session

Row = Mapping[str, Any]
LIMIT = 10_000  # events that a key keeps


class EventState:
    """The state of a model's columns of the past.

    Args:
      metadata: `model.json` of a version: `Scorer.metadata`.
      of_user: True: only the user's own columns, False: only the others; None: all.
      limit: Events that are kept of a key, the newest. Counts and sums go on counting those before;
        what is older than the last `limit` events of a key cannot be asked for any more.

    Raises:
      ValueError: The model reads nothing of the past.
    """

    def __init__(
        self, metadata: Mapping[str, Any], of_user: bool | None = None, limit: int = LIMIT
    ) -> None:
        about = metadata.get("past")
        if not about:
            raise ValueError("the model reads nothing of the past")
        columns = [RawColumn.of_entry(entry) for entry in metadata["features"]]
        self._user, self._label = about["user"], about["label"]
        self._means: Mapping[str, float] = about["means"]
        self._gap = round(about["session_gap"] * 60 * past.SECOND)
        self._columns = [
            (column, column.past)
            for column in columns
            if column.past and of_user in (None, self._user in column.past.by)
        ]
        numbers = [RawColumn(number, "float32") for number in about.get("numbers", ())]
        logged = [column for column in columns if column.past is None]
        self._logged = {column.name: column for column in (*logged, *numbers)}
        by_key: dict[tuple[str, ...], list[Past]] = {}
        for _, of in self._columns:
            by_key.setdefault(of.by, []).append(of)
        self._groups = {by: _Group(Keys(limit), group) for by, group in by_key.items()}
        self._sessions: dict[Any, Session] = collections.defaultdict(Session)

    def add(self, row: Row, time: float, outcome: float | None = None) -> None:
        """Adds an event: what a row of the log says, once its outcome is known.

        Args:
          row: Values of the features that the past is made of, as `Scorer.score` takes them.
          time: Seconds since 1970, not before that of an earlier event.
          outcome: Its label, 1 or 0; None where the log has positives alone.

        Raises:
          ValueError: The time lies before that of an event with the same key.
        """
        moment = _microseconds(time)
        label = 1.0 if outcome is None else float(outcome)
        self._session(row).visit(moment, self._gap)
        for by, group in self._groups.items():
            added: dict[str, float] = {}
            for of in group.summed:
                value = label if of == self._label else self._value(row, of)
                added[f"{SUM} {of}"] = 0.0 if value is None else float(value)
                added[f"{PRESENT} {of}"] = float(value is not None)
            distinct = {f"{DISTINCT} {of}": self._value(row, of) for of in group.distinct}
            listed = {feature: self._value(row, of) for feature, of in group.listed.items()}
            for key in self._key(row, by):
                group.keys[key].add(moment, label, added, distinct, listed)

    def values(self, row: Row, time: float) -> dict[str, Any]:
        """The columns of the past of a row, as `Scorer.score` takes them.

        Args:
          row: Values of the features that they are made of; a user's history needs none.
          time: When it is scored, seconds since 1970.
        """
        return self._values(row, time, self._columns)

    def _values(
        self, row: Row, time: float, columns: Iterable[tuple[RawColumn, Past]]
    ) -> dict[str, Any]:
        moment = _microseconds(time)
        start = self._session(row).start(moment, self._gap)
        result: dict[str, Any] = {}
        held: dict[tuple[str, ...], list[Events | None]] = {}  # by key, of the row's values
        for column, of in columns:
            if of.by not in held:
                keys = self._groups[of.by].keys
                held[of.by] = [keys.get(key) for key in self._key(row, of.by)]
            state = past.state_time(moment, of.as_of, of.delay, start)
            known = [events for events in held[of.by] if events is not None]
            if of.is_list:
                lists = [events.last(of, state, column.length or 0) for events in known]
                result[column.name] = lists[0] if lists else []
            elif not held[of.by]:
                result[column.name] = None  # a row without a key
            else:
                result[column.name] = self._statistic(of, state, known)
        return result

    def _statistic(self, of: Past, state: int, known: Sequence[Events]) -> float | None:
        first = None if of.window is None else state - round(of.window * past.DAY)
        spans = [(events, *events.span(first, state)) for events in known]

        def total(what: str) -> float:
            if what == HOW_MANY:
                return float(sum(end - begin for _, begin, end in spans))
            if what == AGE:
                newest = [e.times[end - 1] for e, begin, end in spans if end > max(begin, 0)]
                return state - max(newest) if newest else past.NEVER
            return sum(events.sum(what, begin, end) for events, begin, end in spans)

        value = float(statistic(of, {what: total(what) for what in needed(of)}, self._means))
        return None if math.isnan(value) else value

    def _session(self, row: Row) -> Session:
        user = self._value(row, self._user) if self._user else None
        return Session() if self._user in row and user is None else self._sessions[user]

    def _value(self, row: Row, column: str) -> Any:
        """A value as a key, None where it is missing."""
        known = self._logged.get(column) or RawColumn(column, "string")
        value = raw_values.convert(known, row.get(column))
        if known.is_list:
            return [part for part in value if part != known.missing]
        return None if value == known.missing or value != value else value

    def _key(self, row: Row, by: Sequence[str]) -> list[Key]:
        """The keys of a row: several where a value is a list, none where one is missing."""
        parts = []
        for column in by:
            if column == self._user and column not in row:
                parts.append([None])  # an app has one user, and need not name him
                continue
            value = self._value(row, column)
            values = value if isinstance(value, list) else [value]
            parts.append(list(dict.fromkeys(v for v in values if v is not None)))
        return list(itertools.product(*parts))


class History(EventState):
    """A user's events on his device, and what a model reads of them; no TensorFlow is loaded.

    Args:
      metadata: `Scorer.metadata`, or the parsed `model.json` of the version.
      limit: Events that are kept.

    Example:
        >>> about = {"user": "user", "label": "label", "means": {"label": 0.5}, "session_gap": 30}
        >>> seen = {"feature": "seen", "by": ["user"], "of": "item", "stat": "last"}
        >>> features = [
        ...     {"name": "item", "dtype": "string"},
        ...     {
        ...         "name": "seen",
        ...         "dtype": "string",
        ...         "max_length": 2,
        ...         "separator": None,
        ...         "past": {**seen, "as_of": "second"},
        ...     },
        ... ]
        >>> history = History({"past": about, "features": features})
        >>> history.add({"item": "a"}, time=10.0, outcome=1)
        >>> history.add({"item": "b"}, time=20.0, outcome=0)
        >>> history.values({}, time=20.0), history.values({}, time=21.0)
        ({'seen': [b'a']}, {'seen': [b'b', b'a']})
    """

    def __init__(self, metadata: Mapping[str, Any], limit: int = LIMIT) -> None:
        super().__init__(metadata, of_user=True, limit=limit)
        self._shared = [pair for pair in self._columns if pair[1].is_only_of(self._user)]
        self._by_row = [pair for pair in self._columns if not pair[1].is_only_of(self._user)]

    @property
    def row_columns(self) -> list[str]:
        """The columns of the past that depend on the candidate."""
        return [column.name for column, _ in self._by_row]

    @property
    def row_keys(self) -> list[str]:
        """What of a candidate these are looked up by."""
        return sorted({key for _, of in self._by_row for key in of.by})

    def shared(self, time: float) -> dict[str, Any]:
        """The columns of the past that all candidates share."""
        return self._values({}, time, self._shared)

    def with_past(self, rows: Iterable[Row], time: float) -> list[Row]:
        """Candidates with the columns that depend on them, such as the user's rate in a genre."""
        return [{**row, **self._values(row, time, self._by_row)} for row in rows]


class _Group:
    """The events of all columns with one key, and what of an event they are made of.

    Args:
      keys: The events of each key.
      columns: How each is computed.
    """

    def __init__(self, keys: Keys, columns: Sequence[Past]) -> None:
        self.keys = keys
        self.summed = sorted({of.of for of in columns if of.stat in past.SUMS})
        self.distinct = sorted({of.of for of in columns if of.stat == DISTINCT})
        self.listed = {of.feature: of.of for of in columns if of.stat == past.LAST}


def _microseconds(time: float) -> int:
    return math.floor(time * past.SECOND)
