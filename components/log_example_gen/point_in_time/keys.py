"""What all columns with one key are made of: sums over events, and lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ranklite.components.log_example_gen.log_table import LOG, PLACE
from ranklite.components.log_example_gen.point_in_time.key_sql import KeyQuery
from ranklite.components.log_example_gen.point_in_time.sorted_rows import Array, SortedRows
from ranklite.components.log_example_gen.point_in_time.state import State, numbers
from ranklite.components.log_example_gen.point_in_time.views import CONFIGURED, of_column
from ranklite.models.features import past
from ranklite.models.features.past import EVENTS, KEY, Past
from ranklite.models.features.past_statistics import (
    AGE,
    DISTINCT,
    PRESENT,
    needed,
    no_event,
    statistic,
)
from ranklite.models.features.past_statistics import EVENTS as HOW_MANY
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name


class KeyColumns:
    """All columns of the past with one key.

    Args:
      state: Where results go.
      by: Columns of the key.
    """

    def __init__(self, state: State, by: tuple[str, ...]) -> None:
        self._state, self._query = state, KeyQuery(state, by)
        self._columns = [c for c in state.columns if of_column(c).by == by]
        self._stored = [c for c in self._columns if c.stored]
        self._listed = dict.fromkeys(self._query.listed, 0)  # events of the chunks before
        self._ends: list[pa.Table] = []

    def run(self) -> None:
        """Fills the arrays of all rows, and what a file stores."""
        carry: pa.Table | None = None
        for batch in self._query.rows():
            table = pa.Table.from_batches([batch])
            table = table if carry is None else pa.concat_tables([carry, table])
            change = self._changes(table)
            whole_keys = int(np.flatnonzero(change)[-1]) if change.any() else 0
            if whole_keys:
                self._chunk(table.slice(0, whole_keys), change[:whole_keys])
            carry = table.slice(whole_keys)
        if carry is not None and carry.num_rows:
            self._chunk(carry, self._changes(carry))
        if self._stored:
            self._store()

    def _changes(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Where a key begins, the first row apart."""
        change = np.zeros(table.num_rows, bool)
        for number in range(len(self._query.by)):
            key = _one_array(table, f"key{number}")
            change[1:] |= np.asarray(pc.not_equal(key[1:], key[:-1]))
        return change

    def _chunk(self, table: pa.Table, change: npt.NDArray[np.bool_]) -> None:
        """The rows of some whole keys."""
        rows = SortedRows(
            np.cumsum(change),
            *(numbers(table, column) for column in ("time", "event", PLACE, "judged")),
        )
        for as_of, wanted in self._ways(rows):
            self._aggregate(table, rows, as_of, *wanted)
        for feature in self._listed:
            self._list(table, rows, feature)
        if self._stored:
            self._end_of_log(table, rows, change)

    def _ways(self, rows: SortedRows) -> Iterable[tuple[str, tuple[Array, Sequence[Past]]]]:
        """How fresh, for which rows, and for which statistics: as configured, and by view."""
        for view in (CONFIGURED, *self._state.views):
            chosen = rows.judged if view.as_of else np.ones(len(rows.keys), bool)
            ways: dict[tuple[str, float, float | None], list[Past]] = {}
            for column in self._columns:
                of = of_column(column)
                if not of.is_list and (not view.as_of or self._state.differs(column, view)):
                    key = (self._state.as_of(column, view), of.delay, of.window)
                    ways.setdefault(key, []).append(of)
            for (as_of, *_), wanted in ways.items():
                yield as_of, (chosen, wanted)

    def _aggregate(
        self, table: pa.Table, rows: SortedRows, as_of: str, chosen: Array, wanted: Sequence[Past]
    ) -> None:
        of = wanted[0]  # all have its key, delay and window
        places = rows.places[chosen]
        state = self._state.state_times(as_of, of.delay, places, rows.times[chosen])
        for what, values in self._sums(table, rows, rows.keys[chosen], state, wanted).items():
            target = self._state.array(
                (of.by, as_of, of.delay, of.window, what), np.float64, np.nan
            )
            if self._query.unnested:
                _add(target, places, values, is_age=what == AGE)
            else:
                target[places] = values

    def _sums(
        self, table: pa.Table, rows: SortedRows, keys: Array, state: Array, wanted: Sequence[Past]
    ) -> dict[str, Array]:
        """Sums over the events of each of `keys` before its state time."""
        window = wanted[0].window
        end = rows.before(keys, state)
        if window is None:
            start = rows.first(keys)
        else:
            start = rows.before(keys, state - round(window * past.DAY))
        result: dict[str, Array] = {}
        for what in dict.fromkeys(what for of in wanted for what in needed(of)):
            if what == HOW_MANY:
                result[what] = (end - start).astype(np.float64)
            elif what == AGE:
                times = np.append(rows.event_times, 0)
                result[what] = np.where(end > start, state - times[end - 1], past.NEVER)
            else:
                added = self._added(table, *what.split(" ", 1))
                result[what] = rows.sums(added, keys, start, end)
        return result

    def _added(self, table: pa.Table, what: str, of: str) -> Array:
        """What each row adds to a sum."""
        if what == DISTINCT:
            return numbers(table, self._query.first(of)).astype(np.float64)
        values = numbers(table, self._query.summed(of)).astype(np.float64)
        present = np.isfinite(values)
        return present.astype(np.float64) if what == PRESENT else np.where(present, values, 0.0)

    def _list(self, table: pa.Table, rows: SortedRows, feature: str) -> None:
        """Appends the events of a list, and notes for each row which is its newest."""
        state = self._state
        column = _one_array(table, self._query.list(feature))
        listed = rows.with_events(rows.events & np.asarray(column.is_valid()))
        held = np.asarray(column.fill_null(0))[listed.events]
        base = self._listed[feature]
        self._listed[feature] = base + len(held)
        state.array((feature, past.LAST), np.int64)[base : base + len(held)] = held
        outcomes = state.array((feature, past.OUTCOME), np.float32)
        outcomes[base : base + len(held)] = numbers(table, "outcome")[listed.events]
        of_list = next(c for c in self._columns if of_column(c).feature == feature)
        for view in (CONFIGURED, *state.views):
            if view.as_of and not state.differs(of_list, view):
                continue
            as_of = state.as_of(of_list, view)
            chosen = rows.judged if view.as_of else np.ones(len(rows.keys), bool)
            places, keys = rows.places[chosen], rows.keys[chosen]
            times = state.state_times(as_of, of_column(of_list).delay, places, rows.times[chosen])
            end = listed.before(keys, times)
            start = listed.first(keys)
            state.array((feature, as_of, "newest"), np.int64)[places] = base + end - 1
            state.array((feature, as_of, "count"), np.int64)[places] = end - start

    def _end_of_log(self, table: pa.Table, rows: SortedRows, change: Array) -> None:
        """Notes the state of each key after the last row, where a file stores it."""
        first = np.flatnonzero(np.concatenate([[True], change[1:]]))
        keys, end = rows.keys[first], np.full(len(first), self._state.totals.end)
        entry = {KEY: _one_array(table, "key0").take(pa.array(first))}
        for column in self._stored:
            sums = self._sums(table, rows, keys, end, [of_column(column)])
            entry[column.name] = pa.array(
                statistic(of_column(column), sums, self._state.totals.means)
            )
        entry[EVENTS] = pa.array(rows.before(keys, end) - rows.first(keys))
        self._ends.append(pa.table(entry))

    def _store(self) -> None:
        """Hands on the state at the end of the log, by feature; a null key had no event."""
        kind = self._state.con.sql(f"SELECT {name(self._query.by[0])} FROM {LOG} LIMIT 0")
        nobody: dict[str, Any] = {KEY: pa.nulls(1, kind.to_arrow_table().schema.field(0).type)}
        for column in self._stored:
            of = of_column(column)
            nobody[column.name] = pa.array(statistic(of, no_event(of), self._state.totals.means))
        nobody[EVENTS] = pa.array([0], pa.int64())
        last = pa.table(nobody)
        whole = pa.concat_tables([*(table.cast(last.schema) for table in self._ends), last])
        by_feature: dict[str, list[RawColumn]] = {}
        for column in self._stored:
            by_feature.setdefault(of_column(column).feature, []).append(column)
        for feature, columns in by_feature.items():
            self._state.stored[feature] = whole.select([KEY, EVENTS, *(c.name for c in columns)])


def _add(target: Array, places: Array, values: Array, is_age: bool) -> None:
    """Adds to each row what its keys give; an age is that of the newest event of all."""
    where, number = np.unique(places, return_inverse=True)
    held = target[where]
    if not is_age:  # one by one: where chunks end changes nothing
        target[where] = np.nan_to_num(held)
        np.add.at(target, places, values)
        return
    age = np.where(np.isnan(held) | (held < 0), np.inf, held)
    np.minimum.at(age, number, np.where(values < 0, np.inf, values))
    target[where] = np.where(np.isinf(age), past.NEVER, age)


def _one_array(table: pa.Table, column: str) -> pa.Array:
    array = table.column(column).combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
