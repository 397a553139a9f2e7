"""What is kept of all rows while their past is computed: arrays, state times, sessions."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOG,
    NTH,
    PLACE,
    ROW,
    SPLIT,
    TIME,
)
from ranklite.components.log_example_gen.point_in_time.exact_sum import ExactSum
from ranklite.components.log_example_gen.point_in_time.sorted_rows import Array
from ranklite.components.log_example_gen.point_in_time.views import (
    FROZEN,
    View,
    as_of,
    differing,
    differs,
    of_column,
)
from ranklite.models.features import past
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted

CHUNK = 500_000  # rows


@dataclasses.dataclass(frozen=True)
class Totals:
    """What is known of all rows of a log.

    Attributes:
      first: The least time, microseconds.
      end: Behind the largest one.
      rows_before: Rows of spans before the window.
      frozen: The time of the first row that is judged.
      means: m of rates by column.
    """

    first: int
    end: int
    rows_before: int
    frozen: int | None
    means: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Share:
    """That `LOG` has a share of the rows: all those of some keys.

    Attributes:
      totals: Of the whole log.
      columns: Those of the past that are computed.
      place_sql: SQL of a row's place in the share, from 0 or 1.
      session_sql: SQL of the start of its session; None finds it, where the share has all rows of
        each of its users.
    """

    totals: Totals
    columns: tuple[RawColumn, ...]
    place_sql: str
    session_sql: str | None = None


class State:
    """Arrays of all rows, by place, and when each row looks at the past.

    Args:
      con: The log is loaded, split, and has its sampled negatives.
      config: Names the columns.
      folder: For arrays.
      judged: The split that views are computed for.
      means: m of rates by column; None takes those of the train split.
      share: Where `LOG` has a share of the rows.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        config: IngestConfig,
        folder: str,
        judged: str,
        means: Mapping[str, float] | None,
        share: Share | None = None,
    ) -> None:
        self.con, self.config, self.judged, self._folder = con, config, judged, folder
        self.columns = share.columns if share else tuple(config.features.past_columns)
        self.values: dict[str, pa.Array] = {}  # by feature: the distinct values that it lists
        self.stored: dict[str, pa.Table] = {}  # by feature: the state at the end of the log
        self._arrays: dict[Any, Array] = {}
        self.place_sql = share.place_sql if share else place_sql(config)
        self.totals = share.totals if share else _totals(con, config, judged, means)
        [(self._size,)] = con.execute(f"SELECT max({self.place_sql}) + 1 FROM {LOG}").fetchall()
        of_views = differing(config.features, self.columns)
        self.views = list(dict.fromkeys(view for view, _ in of_views))
        self._session = None
        if past.SESSION in ways(config, self.columns):
            self._session = self._session_starts(share.session_sql if share else None)

    def number_sql(self, of: str) -> str:
        """SQL of a column of numbers of an event."""
        return number_sql(self.config, of)

    def as_of(self, column: RawColumn, view: View) -> str:
        """How fresh a column is in a view."""
        return as_of(self.config.features, column, view)

    def differs(self, column: RawColumn, view: View) -> bool:
        """Whether a view gives a column another state than the configured one."""
        return differs(self.config.features, column, view)

    def array(self, key: Any, dtype: Any, fill: Any = 0) -> Array:
        """An array of all rows, in a file; made at the first call."""
        if key not in self._arrays:
            path = os.path.join(self._folder, f"past-{len(self._arrays)}.bin")
            array = np.memmap(path, dtype, "w+", shape=(self._size,))
            if fill != 0:
                array[:] = fill
            self._arrays[key] = array
        return self._arrays[key]

    def state_times(self, as_of: str, delay: float, places: Array, times: Array) -> Array:
        """State times of some rows; see `past.state_time`."""
        if as_of == FROZEN:
            return np.full(len(times), self.totals.frozen)
        lag = round(delay * past.SECOND)
        if as_of == past.SESSION:
            assert self._session is not None
            return np.asarray(self._session[places]) - lag
        unit = past.UNITS[as_of]
        return (times - lag) // unit * unit

    def _session_starts(self, known: str | None) -> Array:
        """Time of the first row of each row's session; of a row without a user its own time."""
        starts = self.array("session", np.int64)
        if known is not None:
            for batch in self.con.sql(
                f"SELECT {self.place_sql} AS {PLACE}, {known} AS start FROM {LOG}"
            ).to_arrow_reader(CHUNK):
                starts[numbers(batch, PLACE)] = numbers(batch, "start")
            return starts
        for places, began in session_rows(self.con, self.config, self.place_sql):
            starts[places] = began
        return starts


def session_rows(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, place: str
) -> Iterator[tuple[Array, Array]]:
    """Places of all rows, and the time of the first row of each one's session.

    Args:
      con: `LOG` has all rows of each of its users.
      config: Says how long a gap ends a session.
      place: SQL of a row's place.
    """
    user, gap = name(str(config.features.user)), config.features.session_gap
    alone = con.execute(
        f"SELECT {place} AS {PLACE}, {TIME} AS time FROM {LOG} WHERE {user} IS NULL"
    ).fetchnumpy()
    yield alone[PLACE.strip('"')], alone["time"]
    batches = con.sql(
        f"SELECT {place} AS {PLACE}, {TIME} AS time, CASE WHEN {TIME} - "
        f"lag({TIME}) OVER w <= {round(gap * 60 * past.SECOND)} THEN 0 ELSE 1 END AS first "
        f"FROM {LOG} WHERE {user} IS NOT NULL "
        f"WINDOW w AS (PARTITION BY {user} ORDER BY {TIME}, {place}) "
        f"ORDER BY {user}, {TIME}, {PLACE}"
    ).to_arrow_reader(CHUNK)
    start = 0
    for batch in batches:
        time, first = numbers(batch, "time"), numbers(batch, "first") > 0
        opened = np.maximum.accumulate(np.where(first, np.arange(len(time)), -1))
        began = np.where(opened >= 0, time[np.maximum(opened, 0)], start)
        yield numbers(batch, PLACE), began
        start = began[-1] if len(began) else start


def place_sql(config: IngestConfig) -> str:
    """SQL of the number of a row among all, negatives included."""
    sampled = config.sampled_negatives
    return f"{ROW} * {sampled.per_positive + 1} + {NTH} + 1" if sampled else ROW


def number_sql(config: IngestConfig, of: str) -> str:
    """SQL of a column of numbers of an event."""
    return LABEL if of == config.features.label else f"{name(of)}::DOUBLE"


def ways(config: IngestConfig, columns: Iterable[RawColumn]) -> set[str]:
    """How fresh some columns are, in all views."""
    of_views = {as_of(config.features, c, v) for v, c in differing(config.features, columns)}
    return of_views | {of_column(column).as_of for column in columns}


def rated_sums(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> dict[str, ExactSum]:
    """Of each column that has a rate, and of the label: the sum over the train split."""
    of_columns = map(of_column, config.features.past_columns)
    rated = [config.features.label, *(each.of for each in of_columns if each.stat == "rate")]
    sums = {of: ExactSum() for of in rated}
    select = ", ".join(f"{number_sql(config, of)} AS {name(of)}" for of in sums)
    for batch in con.sql(f"SELECT {select} FROM {LOG} WHERE {SPLIT} = 'train'").to_arrow_reader(
        CHUNK
    ):
        for total, values in zip(sums.values(), batch.columns, strict=True):
            total.add(np.asarray(values, np.float64))
    return sums


def _totals(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    judged: str,
    means: Mapping[str, float] | None,
) -> Totals:
    [(first, end, before, frozen)] = con.execute(
        f"SELECT min({TIME}), max({TIME}) + 1, count(*) FILTER (WHERE {SPLIT} = {quoted(EARLIER)}),"
        f" min({TIME}) FILTER (WHERE {SPLIT} = {quoted(judged)}) FROM {LOG}"
    ).fetchall()
    if means is None:
        means = {of: total.mean() for of, total in rated_sums(con, config).items()}
    return Totals(first, end, before, frozen, means)


def numbers(table: pa.Table | pa.RecordBatch, column: str) -> Array:
    """A column, by its name in SQL, as numpy has it; NaN where a number is missing."""
    return np.asarray(table.column(table.schema.get_field_index(column.strip('"'))))
