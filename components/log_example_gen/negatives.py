"""Samples negatives for a log of positives: items that the user never had.

What is drawn for a positive depends on the seed and on the number of its row, and on nothing that
was drawn before it: a log in parts has the same negatives.
"""

from __future__ import annotations

import os

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOG,
    NTH,
    ROW,
    SCHEMA,
    SPLIT,
)
from ranklite.components.log_example_gen.reader import table_column
from ranklite.models.features.sql import name, quoted

ITEMS, USERS, DRAWN = f"{SCHEMA}.items", f"{SCHEMA}.users", f"{SCHEMA}.drawn"
SCHEMA_OF_DRAWN = pa.schema([("positive", pa.int64()), ("nth", pa.int32()), ("code", pa.int64())])
_CHUNK = 200_000  # positives at a time
_TRIES = 50  # of a negative that the user has, until it is left out
_OF_TRY = 64  # a power of two above it
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

Numbers = npt.NDArray[np.int64]


def add_negatives(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, work_dir: str
) -> dict[str, int]:
    """Adds sampled negatives to the log, split by split.

    A negative is a copy of its positive with another item and that item's columns. Items are drawn
    from all splits, and never one that the user has in any of them. What is held in memory is 8
    bytes a distinct pair of user and item.

    Args:
      con: The log holds the positives, with their splits.
      config: With `negatives`.
      work_dir: A folder that the connection may read.

    Returns:
      `negatives` made and `short`: how many fewer than asked for, because a user has nearly all
      items.
    """
    user, item = name(str(config.features.user)), name(str(config.features.item))
    con.execute(f"DELETE FROM {LOG} WHERE NOT ({is_positive(config)})")
    con.execute(f"CREATE TABLE {ITEMS} AS {coded(items_sql(config))}")
    con.execute(
        f"CREATE TABLE {USERS} AS SELECT {user} AS user, row_number() OVER (ORDER BY {user}) - 1 "
        f"AS code FROM {LOG} GROUP BY {user}"
    )
    pairs = (
        f"FROM {LOG} AS log JOIN {ITEMS} AS items ON log.{item} = items.item "
        f"JOIN {USERS} AS users ON log.{user} = users.user"
    )
    draws = Draws(con, config)
    draws.own(_column(con, f"SELECT users.code * {draws.size} + items.code {pairs}"))
    chunk = os.path.join(work_dir, "drawn.parquet")
    asked = 0
    with pq.ParquetWriter(chunk, SCHEMA_OF_DRAWN) as out:
        # A connection without external access takes no Python objects, but files it may read.
        for batch in con.sql(
            f"SELECT log.{ROW}, users.code {pairs} WHERE {SPLIT} != {quoted(EARLIER)}"
        ).to_arrow_reader(_CHUNK):
            asked += batch.num_rows
            out.write_table(draws.drawn(*map(_numbers, batch.columns)))
    con.execute(f"CREATE TABLE {DRAWN} AS SELECT * FROM read_parquet({quoted(chunk)})")
    columns = [row[0] for row in con.execute(f"DESCRIBE {LOG}").fetchall()]
    con.execute(f"ALTER TABLE {LOG} ADD COLUMN {NTH} INTEGER DEFAULT -1")
    con.execute(f"INSERT INTO {LOG} {negatives_sql(config, columns, ITEMS, DRAWN)}")
    [(made,)] = con.execute(f"SELECT count(*) FROM {DRAWN}").fetchall()
    return counts(config, asked, made)


def counts(config: IngestConfig, positives: int, made: int) -> dict[str, int]:
    """What `add_negatives` returns."""
    assert config.sampled_negatives is not None
    return {
        "negatives": made,
        "short": positives * config.sampled_negatives.per_positive - made,
    }


def is_positive(config: IngestConfig) -> str:
    """SQL of whether a row is a pair of user and item."""
    keys = (config.features.user, config.features.item)
    return " AND ".join(f"{name(str(key))} IS NOT NULL" for key in keys)


def _of_item(config: IngestConfig) -> list[str]:
    assert config.sampled_negatives is not None
    columns = (table_column(config, c) for c in config.sampled_negatives.item_columns)
    return list(dict.fromkeys((str(config.features.item), *columns)))


def items_sql(config: IngestConfig) -> str:
    """SQL of the items of `LOG`: how often each was had, its first row, and its columns there."""
    held = ", ".join(f"c{k} := {name(column)}" for k, column in enumerate(_of_item(config)))
    item = name(str(config.features.item))
    return (
        f"SELECT {item} AS item, count(*) AS plays, min({ROW}) AS first_row, "
        f"arg_min(struct_pack({held}), {ROW}) AS held FROM {LOG} "
        f"WHERE {SPLIT} != {quoted(EARLIER)} AND {is_positive(config)} GROUP BY {item}"
    )


def merged(items: str) -> str:
    """SQL of the items of several parts, each of them once."""
    return (
        "SELECT item, sum(plays)::BIGINT AS plays, min(first_row) AS first_row, "
        f"arg_min(held, first_row) AS held FROM ({items}) GROUP BY item"
    )


def coded(items: str) -> str:
    """SQL of items with their codes, from 0."""
    return f"SELECT row_number() OVER (ORDER BY item) - 1 AS code, * FROM ({items}) ORDER BY code"


def negatives_sql(config: IngestConfig, columns: list[str], items: str, drawn: str) -> str:
    """SQL of the rows of drawn items; `NTH` puts each behind its positive.

    Args:
      config: With `negatives`.
      columns: Of `LOG`.
      items: SQL of the table of items.
      drawn: SQL of the table of what was drawn.
    """
    held = {column: f"items.held.c{k}" for k, column in enumerate(_of_item(config))}
    select = ", ".join(
        f"0.0 AS {LABEL}"
        if name(column) == LABEL
        else f"{held.get(column, f'log.{name(column)}')} AS {name(column)}"
        for column in columns
    )
    return (
        f"SELECT {select}, drawn.nth AS {NTH} FROM {drawn} AS drawn JOIN {LOG} AS log ON "
        f"log.{ROW} = drawn.positive JOIN {items} AS items ON items.code = drawn.code"
    )


class Draws:
    """Draws items.

    Args:
      con: With the items.
      config: With `negatives`.
      items: SQL of their table.

    Attributes:
      size: How many items there are.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, config: IngestConfig, items: str = ITEMS
    ) -> None:
        assert config.sampled_negatives is not None
        self._per_positive, self._seed = config.sampled_negatives.per_positive, config.seed
        plays = _column(con, f"SELECT plays FROM {items} ORDER BY code")
        self.size = len(plays)
        if config.sampled_negatives.by != "popularity":
            plays = np.ones_like(plays)
        self._weights = np.cumsum(plays, dtype=np.float64)
        self._owned = np.empty(0, np.int64)

    def own(self, pairs: Numbers) -> None:
        """Says which items are never drawn: codes of users times `size`, and of items."""
        self._owned = np.unique(pairs)

    def drawn(self, rows: Numbers, users: Numbers) -> pa.Table:
        """What is drawn for some positives; those that no item was found for are left out.

        Args:
          rows: Numbers of their rows [R].
          users: Codes of their users [R].
        """
        positive = np.repeat(rows, self._per_positive)
        whose = np.repeat(users, self._per_positive)
        nth = np.tile(np.arange(self._per_positive), len(rows))
        code = np.zeros(len(positive), np.int64)
        left = np.arange(len(positive))
        for attempt in range(_TRIES):
            share = uniform(self._seed, positive[left], nth[left] * _OF_TRY + attempt)
            code[left] = np.searchsorted(self._weights, share * self._weights[-1], side="right")
            pairs = whose[left] * self.size + code[left]
            place = np.minimum(np.searchsorted(self._owned, pairs), len(self._owned) - 1)
            left = left[self._owned[place] == pairs]
            if not len(left):
                break
        keep = np.ones(len(positive), bool)
        keep[left] = False
        columns = [positive[keep], nth[keep].astype(np.int32), code[keep]]
        return pa.table(columns, schema=SCHEMA_OF_DRAWN)


def uniform(seed: int, rows: Numbers, nth: Numbers) -> npt.NDArray[np.float64]:
    """Numbers from 0 to 1 that look random, and depend on the arguments alone (SplitMix64).

    Example:
        >>> uniform(42, np.array([1, 1, 2]), np.array([0, 1, 0])).round(3).tolist()
        [0.577, 0.34, 0.025]
    """
    key = np.full(len(rows), seed % 2**64, np.uint64)
    for part in (rows, nth):
        key = _mixed(key) ^ part.astype(np.uint64)
    return (_mixed(key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    key = key + np.uint64(_GOLDEN)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(_FIRST)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(_SECOND)
    return key ^ (key >> np.uint64(31))


def _column(con: duckdb.DuckDBPyConnection, query: str) -> Numbers:
    return con.execute(query).fetchnumpy().popitem()[1].astype(np.int64)


def _numbers(column: pa.Array) -> Numbers:
    return column.to_numpy(zero_copy_only=False).astype(np.int64)
