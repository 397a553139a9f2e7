"""What is kept of all rows while their past is computed: arrays, state times, sessions."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
from ranklite.components.log_example_gen.point_in_time.sorted_rows import Array
from ranklite.components.log_example_gen.point_in_time.views import (
    CONFIGURED,
    FROZEN,
    VIEWS,
    View,
)
from ranklite.models.features import past
from ranklite.models.features.past import Past
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted

CHUNK = 500_000  # rows


class State:
    """Arrays of all rows, by place, and when each row looks at the past.

    Args:
      con: The log is loaded, split, and has its sampled negatives.
      config: Names the columns.
      folder: For arrays.
      judged: The split that views are computed for.
      means: m of rates by column; None takes those of the train split.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        config: IngestConfig,
        folder: str,
        judged: str,
        means: Mapping[str, float] | None,
    ) -> None:
        self.con, self.config, self.judged, self._folder = con, config, judged, folder
        self.columns = config.features.past_columns
        self.values: dict[str, pa.Array] = {}  # by feature: the distinct values that it lists
        self.stored: dict[str, pa.Table] = {}  # by feature: the state at the end of the log
        self._arrays: dict[Any, Array] = {}
        per_row = config.sampled_negatives.per_positive + 1 if config.sampled_negatives else 1
        self.place_sql = f"{ROW} * {per_row} + {NTH} + 1" if per_row > 1 else ROW
        rated = [of_column(c).of for c in self.columns if of_column(c).stat == "rate"]
        rated = list(dict.fromkeys([config.features.label, *rated]))
        averages = [f"avg({self.number_sql(of)}) FILTER (WHERE {SPLIT} = 'train')" for of in rated]
        [(self._size, self.first, self.end, self.rows_before, self._frozen, *learned)] = (
            con.execute(
                f"SELECT max({self.place_sql}) + 1, min({TIME}), max({TIME}) + 1, "
                f"count(*) FILTER (WHERE {SPLIT} = {quoted(EARLIER)}), "
                f"min({TIME}) FILTER (WHERE {SPLIT} = {quoted(judged)}), {', '.join(averages)} "
                f"FROM {LOG}"
            ).fetchall()
        )
        self.means = means or {of: m or 0.0 for of, m in zip(rated, learned, strict=True)}
        self.views = [v for v in VIEWS if any(self.differs(c, v) for c in self.columns)]
        ways = {self.as_of(c, view) for c in self.columns for view in (CONFIGURED, *self.views)}
        self._session = self._session_starts() if past.SESSION in ways else None

    def number_sql(self, of: str) -> str:
        """SQL of a column of numbers of an event."""
        return LABEL if of == self.config.features.label else f"{name(of)}::DOUBLE"

    def as_of(self, column: RawColumn, view: View) -> str:
        """How fresh a column is in a view."""
        if view.as_of and self.config.features.is_of_user(column) == view.of_user:
            return view.as_of
        return of_column(column).as_of

    def differs(self, column: RawColumn, view: View) -> bool:
        """Whether a view gives a column another state than the configured one."""
        if view.as_of == past.SESSION and self.config.features.user is None:
            return False
        return self.as_of(column, view) != of_column(column).as_of

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
            return np.full(len(times), self._frozen)
        lag = round(delay * past.SECOND)
        if as_of == past.SESSION:
            assert self._session is not None
            return np.asarray(self._session[places]) - lag
        unit = past.UNITS[as_of]
        return (times - lag) // unit * unit

    def _session_starts(self) -> Array:
        """Time of the first row of each row's session; of a row without a user its own time."""
        starts = self.array("session", np.int64)
        user, gap = name(str(self.config.features.user)), self.config.features.session_gap
        alone = self.con.execute(
            f"SELECT {self.place_sql} AS {PLACE}, {TIME} AS time FROM {LOG} WHERE {user} IS NULL"
        ).fetchnumpy()
        starts[alone[PLACE.strip('"')]] = alone["time"]
        batches = self.con.sql(
            f"SELECT {self.place_sql} AS {PLACE}, {TIME} AS time, CASE WHEN {TIME} - "
            f"lag({TIME}) OVER w <= {round(gap * 60 * past.SECOND)} THEN 0 ELSE 1 END AS first "
            f"FROM {LOG} WHERE {user} IS NOT NULL "
            f"WINDOW w AS (PARTITION BY {user} ORDER BY {TIME}, {self.place_sql}) "
            f"ORDER BY {user}, {TIME}, {PLACE}"
        ).to_arrow_reader(CHUNK)
        start = 0
        for batch in batches:
            time, first = numbers(batch, "time"), numbers(batch, "first") > 0
            opened = np.maximum.accumulate(np.where(first, np.arange(len(time)), -1))
            began = np.where(opened >= 0, time[np.maximum(opened, 0)], start)
            starts[numbers(batch, PLACE)] = began
            start = began[-1] if len(began) else start
        return starts


def of_column(column: RawColumn) -> Past:
    """How a column of the past is computed."""
    assert column.past is not None
    return column.past


def numbers(table: pa.Table | pa.RecordBatch, column: str) -> Array:
    """A column, by its name in SQL, as numpy has it; NaN where a number is missing."""
    return np.asarray(table.column(table.schema.get_field_index(column.strip('"'))))
