"""The query that sorts the rows of a key by time."""

from __future__ import annotations

import pyarrow as pa

from ranklite.components.log_example_gen.log_table import (
    LABEL,
    LOG,
    NTH,
    PLACE,
    SCHEMA,
    SPLIT,
    TIME,
)
from ranklite.components.log_example_gen.point_in_time.state import CHUNK, State
from ranklite.components.log_example_gen.point_in_time.views import of_column
from ranklite.models.features import past
from ranklite.models.features.sql import name, quoted


class KeyQuery:
    """The rows by key and time, with what their columns are made of.

    Args:
      state: Of all rows.
      by: Columns of the key.

    Attributes:
      unnested: Whether a row may have several keys, since one column is a list.
      listed: By feature, the column whose values it lists.
    """

    def __init__(self, state: State, by: tuple[str, ...]) -> None:
        self._state, self.by = state, by
        lists = {c.name for c in state.config.features.logged_columns if c.is_list}
        self._lists = lists.intersection(by)
        self.unnested = bool(self._lists)
        of = [of_column(c) for c in state.columns if of_column(c).by == by]
        self.listed = {each.feature: each.of for each in of if each.stat == past.LAST}
        self._summed = sorted({each.of for each in of if each.stat in past.SUMS})
        self._distinct = sorted({each.of for each in of if each.stat == "distinct"})

    def summed(self, of: str) -> str:
        """The result's column of a column of numbers."""
        return f"number{self._summed.index(of)}"

    def first(self, of: str) -> str:
        """That of whether a value is the first of its kind with its key."""
        return f"first{self._distinct.index(of)}"

    def list(self, feature: str) -> str:
        """That of what a feature lists: a value, or the number of one."""
        return f"list{list(self.listed).index(feature)}"

    def rows(self) -> pa.RecordBatchReader:
        """Place, time, whether a row is an event and is judged, its label, keys and values."""
        state = self._state
        is_event = f"{NTH} = -1" if state.config.sampled_negatives else "true"
        select = [
            f"{state.place_sql} AS {PLACE}",
            f"{TIME} AS time",
            f"{is_event} AS event",
            f"{SPLIT} IS NOT DISTINCT FROM {quoted(state.judged)} AS judged",
            f"{LABEL} AS outcome",
        ]
        keys = [f"key{number}" for number in range(len(self.by))]
        for key, column in zip(keys, self.by, strict=True):
            each = f"unnest(list_distinct({name(column)}))"
            select.append(f"{each if column in self._lists else name(column)} AS {key}")
        select += [f"{state.number_sql(of)} AS {self.summed(of)}" for of in self._summed]
        select += [f"{name(of)} AS value{k}" for k, of in enumerate(self._distinct)]
        source = f"{LOG} AS log"
        for feature, of in self.listed.items():
            value, join = self._numbered(feature, of)
            select.append(f"{value} AS {self.list(feature)}")
            source += join
        firsts = [
            f"row_number() OVER (PARTITION BY {', '.join(keys)}, event, value{k} "
            f"ORDER BY time, {PLACE}) = 1 AND event AND value{k} IS NOT NULL AS {self.first(of)}"
            for k, of in enumerate(self._distinct)
        ]
        present = " AND ".join(f"{key} IS NOT NULL" for key in keys)
        return state.con.sql(
            f"SELECT {', '.join(['*', *firsts])} FROM (SELECT {', '.join(select)} FROM {source}) "
            f"WHERE {present} ORDER BY {', '.join(keys)}, time, {PLACE}"
        ).to_arrow_reader(CHUNK)

    def _numbered(self, feature: str, of: str) -> tuple[str, str]:
        """SQL of a listed value as an integer, and of the join that numbers texts."""
        con = self._state.con
        if str(con.sql(f"SELECT {name(of)} FROM {LOG} LIMIT 0").types[0]) == "BIGINT":
            return name(of), ""
        number = len(self._state.values)
        table = f"{SCHEMA}.listed{number}"
        con.execute(
            f"CREATE TABLE {table} AS SELECT value, row_number() OVER (ORDER BY value) - 1 AS code "
            f"FROM (SELECT DISTINCT {name(of)} AS value FROM {LOG} WHERE {name(of)} IS NOT NULL)"
        )
        values = con.sql(f"SELECT value FROM {table} ORDER BY code").to_arrow_table().column(0)
        self._state.values[feature] = values.combine_chunks()
        alias = f"values{number}"
        return f"{alias}.code", f" LEFT JOIN {table} AS {alias} ON log.{name(of)} = {alias}.value"
