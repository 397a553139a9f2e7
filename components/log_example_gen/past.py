"""Point-in-time columns: what each row of the log may know of the rows before it.

Rows are sorted by key and time in SQL, which spills where memory is short, and pass by in chunks of
whole keys. The events before a row's state time are then a run of the sorted events, whose ends two
searches give: exact with equal times, and the same work whatever the key's share of the log. Sums
are differences of running sums; a list is kept as the place of its newest event, and read from the
sorted events when rows are written. Arrays of rows live in files of the working folder.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    LABEL,
    LOG,
    NTH,
    PREFIX,
    ROW,
    SCHEMA,
    SPLIT,
    TIME,
)
from ranklite.models import progress
from ranklite.models.features import past
from ranklite.models.features.past import Past
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted

Array = npt.NDArray[Any]
_CHUNK = 500_000  # rows
_FROZEN = "frozen"  # as of the first row of the judged split
_FIRST = np.iinfo(np.int64).min
PLACE = f"{PREFIX.strip()}_place"


@dataclasses.dataclass(frozen=True)
class View:
    """A state that the judged rows are scored with besides the configured one.

    Attributes:
      name: In the report.
      of_user: Whether it changes the user's own columns, or all others.
      as_of: What it takes in the place of their `as_of`; None is the configured one.
    """

    name: str
    of_user: bool = False
    as_of: str | None = None


CONFIGURED = View("")
VIEWS = (
    View("user_at_request", True, "second"),
    View("user_at_session_start", True, past.SESSION),
    View("items_at_request", False, "second"),
    View("items_of_last_day", False, "day"),
    View("items_frozen", False, _FROZEN),
)


def check(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Raises IngestError where a split by files has rows that are older than those trained on."""
    if not config.features.past_columns or config.split.by != "files":
        return
    spans = {
        split: (first, last)
        for split, first, last in con.execute(
            f"SELECT {SPLIT}, min({TIME}), max({TIME}) FROM {LOG} GROUP BY 1"
        ).fetchall()
    }
    for before, after in zip(config.split_names, config.split_names[1:], strict=False):
        if spans[after][0] < spans[before][1]:
            raise IngestError(
                f"the {after} split begins before the {before} split ends: features of the past "
                "would show the future of the rows that are judged; divide the files by time"
            )


class PastColumns:
    """The columns of the past of all rows.

    Args:
      con: The log is loaded, split, and has its sampled negatives.
      config: Names the columns.
      work_dir: For arrays.
      judged: The split that `views` are computed for.
      means: m of rates by column; None takes those of the train split.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        config: IngestConfig,
        work_dir: str,
        judged: str,
        means: Mapping[str, float] | None = None,
    ) -> None:
        self._con, self._config, self._folder, self._judged = con, config, work_dir, judged
        self.columns = config.features.past_columns
        self._arrays: dict[Any, Array] = {}
        self._values: dict[str, pa.Array] = {}  # distinct values of listed columns
        self.stored: dict[str, pa.Table] = {}
        per_row = config.sampled_negatives.per_positive + 1 if config.sampled_negatives else 1
        self.place_sql = f"{ROW} * {per_row} + {NTH} + 1" if per_row > 1 else ROW
        rated = [self._past(c).of for c in self.columns if self._past(c).stat == "rate"]
        rated = list(dict.fromkeys([config.features.label, *rated]))
        averages = [f"avg({self.sql_of(of)}) FILTER (WHERE {SPLIT} = 'train')" for of in rated]
        [(self._size, self._end, self._frozen, *learned)] = con.execute(
            f"SELECT max({self.place_sql}) + 1, max({TIME}) + 1, "
            f"min({TIME}) FILTER (WHERE {SPLIT} = {quoted(judged)}), {', '.join(averages)} "
            f"FROM {LOG}"
        ).fetchall()
        self._means = means or {of: m or 0.0 for of, m in zip(rated, learned, strict=True)}
        self.views = [view for view in VIEWS if self._changes(view)]
        self._session = self._session_starts() if self._needs_sessions() else None
        groups = dict.fromkeys(self._past(column).by for column in self.columns)
        for number, by in enumerate(groups):
            progress.report(f"the past by {', '.join(by)}", number / len(groups))
            _Group(self, by).run()

    def about(self) -> dict[str, Any]:
        """What whoever keeps the state event by event has to know besides the columns."""
        features = self._config.features
        return {
            "label": features.label,
            "user": features.user,
            "session_gap": features.session_gap,
            "means": self._means,
            "numbers": [column.name for column in features.event_columns],
            "last_time": (self._end - 1) / past.SECOND,
        }

    # What there is

    def sql_of(self, of: str) -> str:
        """SQL of a column of numbers of an event."""
        return LABEL if of == self._config.features.label else f"{name(of)}::DOUBLE"

    def _past(self, column: RawColumn) -> Past:
        assert column.past is not None
        return column.past

    def _changes(self, view: View) -> bool:
        """Whether a view differs from what is configured."""
        return any(self._as_of(c, view) != self._past(c).as_of for c in self.columns)

    def _as_of(self, column: RawColumn, view: View) -> str:
        if view.as_of is None or self._config.features.is_of_user(column) != view.of_user:
            return self._past(column).as_of
        return view.as_of

    def differs(self, column: str, view: View) -> bool:
        """Whether a view gives a column another state."""
        return any(
            c.name == column and self._as_of(c, view) != self._past(c).as_of for c in self.columns
        )

    def _needs_sessions(self) -> bool:
        ways = {self._as_of(c, view) for c in self.columns for view in (CONFIGURED, *self.views)}
        return past.SESSION in ways and self._config.features.user is not None

    def array(self, key: Any, dtype: Any, fill: Any) -> Array:
        """An array of all rows, made at the first call."""
        if key not in self._arrays:
            path = os.path.join(self._folder, f"past-{len(self._arrays)}.bin")
            array = np.memmap(path, dtype, "w+", shape=(self._size,))
            if fill != 0:
                array[:] = fill
            self._arrays[key] = array
        return self._arrays[key]

    def _session_starts(self) -> Array:
        """Time of the first row of each row's session; of a row without a user its own time."""
        starts = self.array("session", np.int64, 0)
        user, gap = name(str(self._config.features.user)), self._config.features.session_gap
        places, times = (
            self._con.execute(f"SELECT {self.place_sql}, {TIME} FROM {LOG} WHERE {user} IS NULL")
            .fetchnumpy()
            .values()
        )
        starts[places] = times
        batches = self._con.sql(
            f"SELECT {self.place_sql} AS {PLACE}, {TIME} AS time, CASE WHEN {TIME} - "
            f"lag({TIME}) OVER w <= {round(gap * 60 * past.SECOND)} THEN 0 ELSE 1 END AS first "
            f"FROM {LOG} WHERE {user} IS NOT NULL "
            f"WINDOW w AS (PARTITION BY {user} ORDER BY {TIME}, {self.place_sql}) "
            f"ORDER BY {user}, {TIME}, {PLACE}"
        ).to_arrow_reader(_CHUNK)
        start = 0
        for batch in batches:
            time, first = _numpy(batch, "time"), _numpy(batch, "first") > 0
            opened = np.maximum.accumulate(np.where(first, np.arange(len(time)), -1))
            began = np.where(opened >= 0, time[np.maximum(opened, 0)], start)
            starts[_numpy(batch, PLACE)] = began
            start = began[-1] if len(began) else start
        return starts

    def state_times(self, as_of: str, delay: float, places: Array, times: Array) -> Array:
        """State times of some rows; see `past.state_time`."""
        if as_of == _FROZEN:
            return np.full(len(times), self._frozen)
        lag = round(delay * past.SECOND)
        if as_of == past.SESSION:
            assert self._session is not None
            return np.asarray(self._session[places]) - lag
        unit = past.UNITS[as_of]
        return (times - lag) // unit * unit

    # What is read

    def batch(self, places: Array, view: View = CONFIGURED) -> dict[str, pa.Array]:
        """The columns of some rows, by name."""
        result: dict[str, pa.Array] = {}
        for column in self.columns:
            of, as_of = self._past(column), self._as_of(column, view)
            if of.is_list:
                result[column.name] = self._lists(column, of, as_of, places)
            else:
                values = self.number(of, self._sums(of, as_of, places))
                result[column.name] = pa.array(values.astype(np.float32), from_pandas=True)
        return result

    def _sums(self, of: Past, as_of: str, places: Array) -> dict[str, Array]:
        def read(what: str) -> Array:
            key = (of.by, as_of, of.delay, of.window, what)
            return np.asarray(self.array(key, np.float64, np.nan)[places])

        return {what: read(what) for what in _needed(of)}

    def number(self, of: Past, sums: dict[str, Array]) -> Array:
        """A statistic from sums over events; NaN where the row has no key."""
        if of.stat == "recency":
            age = sums["age"]
            return np.where(age < 0, past.NEVER, age / past.DAY)
        if of.stat in ("count", "distinct", "sum"):
            (values,) = sums.values()
            return values
        total, count = (sums[what] for what in _needed(of))
        if of.stat == "rate":
            return (total + of.prior * self._means[of.of]) / (count + of.prior)
        return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)

    def _lists(self, column: RawColumn, of: Past, as_of: str, places: Array) -> pa.Array:
        """The newest events, newest first."""
        newest = np.asarray(self.array((of.feature, as_of, "newest"), np.int64, 0)[places])
        count = self.array((of.feature, as_of, "count"), np.int64, 0)[places]
        length = column.length or 0
        count = np.minimum(count, length)
        steps = np.arange(length)
        events = (newest[:, None] - steps)[steps < count[:, None]]
        offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        held = np.asarray(self.array((of.feature, of.stat), np.int64, 0)[events])
        if of.stat == past.OUTCOME:
            values = pa.array(held.astype(np.float32))
        elif of.feature in self._values:
            values = self._values[of.feature].take(pa.array(held))
        else:
            values = pa.array(held)
        return pa.ListArray.from_arrays(pa.array(offsets), values)


class _Group:
    """All columns with one key.

    Args:
      whole: Where results go.
      by: Columns of the key.
    """

    def __init__(self, whole: PastColumns, by: tuple[str, ...]) -> None:
        self.whole, self.by = whole, by
        self.columns = [c for c in whole.columns if whole._past(c).by == by]
        lists = {c.name for c in whole._config.features.logged_columns if c.is_list}
        self.unnested = [key for key in by if key in lists]
        self.listed = {  # by feature: what it lists
            whole._past(c).feature: whole._past(c).of
            for c in self.columns
            if whole._past(c).stat == past.LAST
        }
        self.events = dict.fromkeys(self.listed, 0)  # events of the chunks before
        self.numbers = {  # columns of numbers that are summed
            whole._past(c).of
            for c in self.columns
            if whole._past(c).stat in ("sum", "mean", "rate")
        }
        self.distinct = {
            whole._past(c).of for c in self.columns if whole._past(c).stat == "distinct"
        }
        self.ends: list[dict[str, Any]] = []

    def run(self) -> None:
        """Fills the arrays."""
        carry: pa.Table | None = None
        for batch in self._rows():
            table = pa.Table.from_batches([batch])
            table = table if carry is None else pa.concat_tables([carry, table])
            change = self._changes(table)
            whole_keys = int(np.flatnonzero(change)[-1]) if change.any() else 0
            if whole_keys:
                self._chunk(table.slice(0, whole_keys), change[:whole_keys])
            carry = table.slice(whole_keys)
        if carry is not None and carry.num_rows:
            self._chunk(carry, self._changes(carry))
        self._finish()

    def _rows(self) -> Iterable[pa.RecordBatch]:
        con, config = self.whole._con, self.whole._config
        is_event = f"{NTH} = -1" if config.sampled_negatives else "true"
        select = [
            f"{self.whole.place_sql} AS {PLACE}",
            f"{TIME} AS time",
            f"{is_event} AS event",
            f"{SPLIT} = {quoted(self.whole._judged)} AS judged",
            f"{LABEL} AS outcome",
        ]
        keys = []
        for number, key in enumerate(self.by):
            source = name(key)
            if key in self.unnested:
                source = f"unnest(list_distinct({source}))"
            select.append(f"{source} AS key{number}")
            keys.append(f"key{number}")
        select += [f"{self.whole.sql_of(of)} AS {self._number(of)}" for of in sorted(self.numbers)]
        select += [f"{name(of)} AS {self._value(of)}" for of in sorted(self.distinct)]
        source = f"{LOG} AS log"
        for number, (feature, of) in enumerate(self.listed.items()):
            kind = con.sql(f"SELECT {name(of)} FROM {LOG} LIMIT 0").types[0]
            if str(kind) == "BIGINT":
                select.append(f"{name(of)} AS {self._list(feature)}")
                continue
            table = f"{SCHEMA}.listed{len(self.whole._values)}"
            con.execute(
                f"CREATE TABLE {table} AS SELECT value, row_number() OVER (ORDER BY value) - 1 AS "
                f"code FROM (SELECT DISTINCT {name(of)} AS value FROM {LOG} "
                f"WHERE {name(of)} IS NOT NULL)"
            )
            self.whole._values[feature] = (
                con.sql(f"SELECT value FROM {table} ORDER BY code").to_arrow_table().column(0)
            ).combine_chunks()
            source += f" LEFT JOIN {table} AS l{number} ON log.{name(of)} = l{number}.value"
            select.append(f"l{number}.code AS {self._list(feature)}")
        order = f"{', '.join(keys)}, time, {PLACE}"
        present = " AND ".join(f"{key} IS NOT NULL" for key in keys)
        firsts = [
            f"row_number() OVER (PARTITION BY {', '.join(keys)}, event, {self._value(of)} "
            f"ORDER BY time, {PLACE}) = 1 AND event AND {self._value(of)} IS NOT NULL "
            f"AS {self._first(of)}"
            for of in sorted(self.distinct)
        ]
        return con.sql(
            f"SELECT {', '.join(['*', *firsts])} FROM (SELECT {', '.join(select)} FROM {source}) "
            f"WHERE {present} ORDER BY {order}"
        ).to_arrow_reader(_CHUNK)

    def _number(self, of: str) -> str:
        return f"number{sorted(self.numbers).index(of)}"

    def _value(self, of: str) -> str:
        return f"value{sorted(self.distinct).index(of)}"

    def _first(self, of: str) -> str:
        return f"first{sorted(self.distinct).index(of)}"

    def _list(self, feature: str) -> str:
        return f"list{list(self.listed).index(feature)}"

    def _changes(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Where a key begins, the first row apart."""
        change = np.zeros(table.num_rows, bool)
        for number in range(len(self.by)):
            key = table.column(f"key{number}").combine_chunks()
            key = key.combine_chunks() if isinstance(key, pa.ChunkedArray) else key
            change[1:] |= np.asarray(pc.not_equal(key[1:], key[:-1]))
        return change

    def _chunk(self, table: pa.Table, change: npt.NDArray[np.bool_]) -> None:
        """The rows of some whole keys."""
        key = np.cumsum(change)
        sorted_rows = _Rows(
            key,
            _numpy(table, "time"),
            _numpy(table, "event"),
            _numpy(table, PLACE),
            _numpy(table, "judged"),
        )
        for view in (CONFIGURED, *self.whole.views):
            chosen = sorted_rows.judged if view.as_of else np.ones(len(key), bool)
            ways: dict[tuple[str, float, float | None], list[Past]] = {}
            for column in self.columns:
                of, as_of = self.whole._past(column), self.whole._as_of(column, view)
                if not of.is_list and (not view.as_of or as_of != of.as_of):
                    ways.setdefault((as_of, of.delay, of.window), []).append(of)
            for (as_of, delay, window), wanted in ways.items():
                self._aggregate(table, sorted_rows, chosen, as_of, delay, window, wanted)
        for feature in self.listed:
            self._list_events(table, sorted_rows, feature)
        self._end_of_log(table, sorted_rows, change)

    def _aggregate(
        self,
        table: pa.Table,
        rows: _Rows,
        chosen: npt.NDArray[np.bool_],
        as_of: str,
        delay: float,
        window: float | None,
        wanted: Sequence[Past],
    ) -> None:
        places = rows.places[chosen]
        state = self.whole.state_times(as_of, delay, places, rows.times[chosen])
        sums = self._sums(table, rows, rows.keys[chosen], state, window, wanted)
        for what, values in sums.items():
            key = (self.by, as_of, delay, window, what)
            target = self.whole.array(key, np.float64, np.nan)
            if not self.unnested:
                target[places] = values
                continue
            where, number = np.unique(places, return_inverse=True)
            held = target[where]
            if what == "age":  # of the key whose event is the newest
                age = np.where(np.isnan(held) | (held < 0), np.inf, held)
                np.minimum.at(age, number, np.where(values < 0, np.inf, values))
                target[where] = np.where(np.isinf(age), past.NEVER, age)
            else:
                target[where] = np.nan_to_num(held) + np.bincount(number, values, len(where))

    def _sums(
        self,
        table: pa.Table,
        rows: _Rows,
        keys: Array,
        state: Array,
        window: float | None,
        wanted: Iterable[Past],
    ) -> dict[str, Array]:
        """Sums over the events of each of `keys` before its state time."""
        end = rows.before(keys, state)
        start = rows.before(
            keys,
            np.full(len(keys), _FIRST) if window is None else state - round(window * past.DAY),
        )
        result: dict[str, Array] = {}
        for what in dict.fromkeys(w for of in wanted for w in _needed(of)):
            if what == "events":
                result[what] = (end - start).astype(np.float64)
            elif what == "age":
                newest = rows.event_times[np.maximum(end - 1, 0)] if len(rows.event_times) else 0
                result[what] = np.where(end > start, state - newest, past.NEVER)
            else:
                kind, of = what.split(" ", 1)
                running = rows.running(self._summed(table, kind, of))
                result[what] = running[end] - running[start]
        return result

    def _summed(self, table: pa.Table, kind: str, of: str) -> Array:
        """What each row adds to a sum."""
        if kind == "distinct":
            return _numpy(table, self._first(of)).astype(np.float64)
        values = _numpy(table, self._number(of)).astype(np.float64)
        present = np.isfinite(values)
        return present.astype(np.float64) if kind == "present" else np.where(present, values, 0.0)

    def _list_events(self, table: pa.Table, rows: _Rows, feature: str) -> None:
        """Appends the events of a list, and notes for each row which is its newest."""
        column = table.column(self._list(feature)).combine_chunks()
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        listed = rows.with_events(rows.events & np.asarray(column.is_valid()))
        held = np.asarray(column.fill_null(0))[listed.events]
        base = self.events[feature]
        values = self.whole.array((feature, past.LAST), np.int64, 0)
        values[base : base + len(held)] = held
        outcomes = self.whole.array((feature, past.OUTCOME), np.float32, 0)
        outcomes[base : base + len(held)] = _numpy(table, "outcome")[listed.events]
        self.events[feature] = base + len(held)
        (of, *_) = [
            self.whole._past(c) for c in self.columns if self.whole._past(c).feature == feature
        ]
        column_of = next(c for c in self.columns if self.whole._past(c) is of)
        for view in (CONFIGURED, *self.whole.views):
            as_of = self.whole._as_of(column_of, view)
            if view.as_of and as_of == of.as_of:
                continue
            chosen = rows.judged if view.as_of else np.ones(len(rows.keys), bool)
            places, keys = rows.places[chosen], rows.keys[chosen]
            state = self.whole.state_times(as_of, of.delay, places, rows.times[chosen])
            end = listed.before(keys, state)
            start = listed.before(keys, np.full(len(keys), _FIRST))
            self.whole.array((feature, as_of, "newest"), np.int64, 0)[places] = base + end - 1
            self.whole.array((feature, as_of, "count"), np.int64, 0)[places] = end - start

    def _end_of_log(self, table: pa.Table, rows: _Rows, change: npt.NDArray[np.bool_]) -> None:
        """Notes the state of each key after the last row, where a file stores it."""
        stored = [c for c in self.columns if c.stored]
        if not stored:
            return
        first = np.flatnonzero(np.concatenate([[True], change[1:]]))
        keys = rows.keys[first]
        end = np.full(len(keys), self.whole._end)
        entry: dict[str, Any] = {"key": table.column("key0").take(pa.array(first))}
        for column in stored:
            of = self.whole._past(column)
            sums = self._sums(table, rows, keys, end, of.window, [of])
            entry[column.name] = self.whole.number(of, sums)
        self.ends.append(entry)

    def _finish(self) -> None:
        stored = [c for c in self.columns if c.stored]
        if not stored:
            return
        kind = self.whole._con.sql(f"SELECT {name(self.by[0])} FROM {LOG} LIMIT 0")
        nothing = {
            c.name: self.whole.number(self.whole._past(c), _no_event(self.whole._past(c)))
            for c in stored
        }
        none = {"key": pa.nulls(1, kind.to_arrow_table().schema.field(0).type), **nothing}
        tables = [pa.table(entry) for entry in [*self.ends, none]]
        schema = tables[-1].schema
        whole = pa.concat_tables([t.cast(schema) for t in tables])
        for feature in dict.fromkeys(self.whole._past(c).feature for c in stored):
            names = [c.name for c in stored if self.whole._past(c).feature == feature]
            self.whole.stored[feature] = whole.select(["key", *names])


class _Rows:
    """Rows sorted by key and time, and the events among them.

    Args:
      keys: Number of the key [R], ascending.
      times: Microseconds [R], ascending within a key.
      events: Which rows are events.
      places: Number of each row in the log.
      judged: Which rows are judged.
    """

    def __init__(
        self, keys: Array, times: Array, events: Array, places: Array, judged: Array
    ) -> None:
        self.keys, self.times, self.places = keys, times, places
        self.events, self.judged = events.astype(bool), judged.astype(bool)
        self.event_times = times[self.events]
        self._moments = np.unique(self.event_times)
        self._span = len(self._moments) + 1
        moment = np.searchsorted(self._moments, self.event_times)
        self._codes = keys[self.events] * self._span + moment

    def with_events(self, events: npt.NDArray[np.bool_]) -> _Rows:
        """The same rows with other events."""
        return _Rows(self.keys, self.times, events, self.places, self.judged)

    def before(self, keys: Array, times: Array) -> npt.NDArray[np.int64]:
        """How many events have a smaller key, or the same and a time before the given one."""
        moment = np.searchsorted(self._moments, times, side="left")
        return np.searchsorted(self._codes, keys * self._span + moment, side="left")

    def running(self, values: Array) -> Array:
        """Running sums [E + 1] over the events of what each row adds."""
        return np.concatenate([[0.0], np.cumsum(values[self.events])])


def _needed(of: Past) -> tuple[str, ...]:
    """The sums that a statistic is made of."""
    return {
        "count": ("events",),
        "recency": ("age",),
        "distinct": (f"distinct {of.of}",),
        "sum": (f"sum {of.of}",),
        "mean": (f"sum {of.of}", f"present {of.of}"),
        "rate": (f"sum {of.of}", f"present {of.of}"),
    }[of.stat]


def _no_event(of: Past) -> dict[str, Array]:
    return {w: np.full(1, past.NEVER if w == "age" else 0.0) for w in _needed(of)}


def _numpy(table: pa.Table | pa.RecordBatch, column: str) -> Array:
    return (
        table.column(column).to_numpy()
        if isinstance(table, pa.Table)
        else np.asarray(table.column(table.schema.get_field_index(column)))
    )


def without_places(batch: pa.RecordBatch) -> tuple[Array, pa.RecordBatch]:
    """The places of rows, and the rows without them."""
    index = batch.schema.get_field_index(PLACE)
    keep = [k for k in range(batch.num_columns) if k != index]
    names = [batch.schema.names[k] for k in keep]
    rows = pa.RecordBatch.from_arrays([batch.column(k) for k in keep], names)
    return np.asarray(batch.column(index)), rows
