"""The columns of the past of all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import LOG, PLACE, SPLIT, TIME
from ranklite.components.log_example_gen.point_in_time.keys import KeyColumns
from ranklite.components.log_example_gen.point_in_time.sorted_rows import Array
from ranklite.components.log_example_gen.point_in_time.state import Share, State, Totals, numbers
from ranklite.components.log_example_gen.point_in_time.views import CONFIGURED, View, of_column
from ranklite.models import progress
from ranklite.models.features import past
from ranklite.models.features.past import Past
from ranklite.models.features.past_statistics import needed, statistic
from ranklite.models.features.raw_column import RawColumn


class PastColumns:
    """The columns of the past of all rows, computed now.

    Args:
      con: The log is loaded, split, and has its sampled negatives.
      config: Names the columns.
      work_dir: For arrays.
      judged: The split that `views` are computed for.
      means: m of rates by column; None takes those of the train split.
      share: Where `LOG` has a share of the rows; then so has this.

    Attributes:
      place_sql: SQL of a row's place, by which its columns are read.
      views: States of the judged rows that differ from the configured one.
      stored: By feature, the state of its keys at the end of the log, for the file.

    Raises:
      IngestError: Of a split by files, one begins before the one before it ends.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        config: IngestConfig,
        work_dir: str,
        judged: str,
        means: Mapping[str, float] | None = None,
        share: Share | None = None,
    ) -> None:
        if share is None:
            _check_order(con, config)
        self._state = State(con, config, work_dir, judged, means, share)
        groups = dict.fromkeys(of_column(column).by for column in self._state.columns)
        for number, by in enumerate(groups):
            progress.report(f"the past by {', '.join(by)}", number / len(groups))
            KeyColumns(self._state, by).run()
        self.place_sql, self.views = self._state.place_sql, self._state.views
        self.stored = self._state.stored

    def about(self) -> dict[str, Any]:
        """What whoever keeps the state event by event has to know besides the columns."""
        return about(self._state.config, self._state.totals)

    def completed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows with the columns of the past in the place of the column `PLACE`."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        del columns[PLACE.strip('"')]
        columns |= self.batch(numbers(batch, PLACE))
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))

    def batch(self, places: Array, view: View = CONFIGURED) -> dict[str, pa.Array]:
        """The columns of some rows by name; of a view those that it changes."""
        result: dict[str, pa.Array] = {}
        for column in self._state.columns:
            if view.as_of and not self._state.differs(column, view):
                continue
            of, as_of = of_column(column), self._state.as_of(column, view)
            if of.is_list:
                result[column.name] = self._lists(column, of, as_of, places)
            else:
                values = statistic(of, self._sums(of, as_of, places), self._state.totals.means)
                result[column.name] = pa.array(values.astype(np.float32), from_pandas=True)
        return result

    def _sums(self, of: Past, as_of: str, places: Array) -> dict[str, Array]:
        def read(what: str) -> Array:
            key = (of.by, as_of, of.delay, of.window, what)
            return np.asarray(self._state.array(key, np.float64, np.nan)[places])

        return {what: read(what) for what in needed(of)}

    def _lists(self, column: RawColumn, of: Past, as_of: str, places: Array) -> pa.Array:
        """The newest events, newest first."""
        length = column.length or 0
        newest = np.asarray(self._state.array((of.feature, as_of, "newest"), np.int64)[places])
        count = np.asarray(self._state.array((of.feature, as_of, "count"), np.int64)[places])
        count = np.minimum(count, length)
        steps = np.arange(length)
        events = (newest[:, None] - steps)[steps < count[:, None]]
        kind = np.float32 if of.stat == past.OUTCOME else np.int64
        values = pa.array(np.asarray(self._state.array((of.feature, of.stat), kind)[events]))
        if of.stat == past.LAST and of.feature in self._state.values:
            values = self._state.values[of.feature].take(values)
        offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), values)


def about(config: IngestConfig, totals: Totals) -> dict[str, Any]:
    """As of `PastColumns.about`."""
    features = config.features
    return {
        "label": features.label,
        "user": features.user,
        "session_gap": features.session_gap,
        "means": dict(totals.means),
        "numbers": [column.name for column in features.event_columns],
        "first_time": totals.first / past.SECOND,
        "last_time": (totals.end - 1) / past.SECOND,
        "rows_before": totals.rows_before,
    }


def _check_order(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    if config.split.by == "files":
        spans = con.execute(f"SELECT {SPLIT}, min({TIME}), max({TIME}) FROM {LOG} GROUP BY 1")
        check_order({split: (first, last) for split, first, last in spans.fetchall()}, config)


def check_order(spans: Mapping[str, tuple[int, int]], config: IngestConfig) -> None:
    """Raises IngestError where a split by files has rows that are older than those trained on.

    Args:
      spans: First and last time of each split.
      config: Names the splits.
    """
    if config.split.by != "files":
        return
    for before, after in zip(config.split_names, config.split_names[1:], strict=False):
        if after in spans and before in spans and spans[after][0] < spans[before][1]:
            raise IngestError(
                f"the {after} split begins before the {before} split ends: features of the past "
                "would show the future of the rows that are judged; divide the files by time"
            )
