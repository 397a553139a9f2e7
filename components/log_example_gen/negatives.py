"""Samples negatives for a log of positives: items that the user never had."""

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
_CHUNK = 200_000  # positives at a time
_TRIES = 50  # redraws of a negative that the user has


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
    settings = config.sampled_negatives
    assert settings is not None
    user, item = name(str(config.features.user)), name(str(config.features.item))
    con.execute(f"DELETE FROM {LOG} WHERE {user} IS NULL OR {item} IS NULL")
    con.execute(
        f"CREATE TABLE {ITEMS} AS SELECT {item} AS item, row_number() OVER (ORDER BY {item}) - 1 "
        f"AS code, count(*) AS plays, min({ROW}) AS first_row FROM {LOG} "
        f"WHERE {SPLIT} != {quoted(EARLIER)} GROUP BY {item}"
    )
    con.execute(
        f"CREATE TABLE {USERS} AS SELECT {user} AS user, row_number() OVER (ORDER BY {user}) - 1 "
        f"AS code FROM {LOG} GROUP BY {user}"
    )
    plays = _column(con, f"SELECT plays FROM {ITEMS} ORDER BY code")
    size = len(plays)
    weights = np.cumsum(plays if settings.by == "popularity" else np.ones(size), dtype=np.float64)
    coded = (
        f"FROM {LOG} AS log JOIN {ITEMS} AS items ON log.{item} = items.item "
        f"JOIN {USERS} AS users ON log.{user} = users.user"
    )
    owned = np.unique(_column(con, f"SELECT users.code * {size} + items.code {coded}"))
    con.execute(f"CREATE TABLE {DRAWN} (positive BIGINT, nth INTEGER, code BIGINT)")
    chunk = os.path.join(work_dir, "drawn.parquet")
    asked = 0
    for number, split in enumerate(config.split_names):
        rng = np.random.default_rng([config.seed, number])
        rows = con.sql(
            f"SELECT log.{ROW}, users.code {coded} WHERE {SPLIT} = {quoted(split)} "
            f"ORDER BY log.{ROW}"
        ).to_arrow_reader(_CHUNK)
        chunks = [(_numbers(b.column(0)), _numbers(b.column(1))) for b in rows]
        for row_ids, users in chunks:
            asked += len(row_ids) * settings.per_positive
            drawn = _draw(rng, users, settings.per_positive, weights, owned)
            keep = drawn >= 0
            nth = np.broadcast_to(np.arange(settings.per_positive), drawn.shape)
            table = pa.table(
                {
                    "positive": np.broadcast_to(row_ids[:, None], drawn.shape)[keep],
                    "nth": nth[keep],
                    "code": drawn[keep],
                }
            )
            # A connection without external access takes no Python objects, but files it may read.
            pq.write_table(table, chunk)
            con.execute(f"INSERT INTO {DRAWN} SELECT * FROM read_parquet({quoted(chunk)})")
    _insert(con, config)
    [(made,)] = con.execute(f"SELECT count(*) FROM {DRAWN}").fetchall()
    return {"negatives": made, "short": asked - made}


def _insert(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Makes rows of the drawn items; `NTH` puts each behind its positive."""
    assert config.sampled_negatives is not None
    columns = config.sampled_negatives.item_columns
    of_item = {str(config.features.item), *(table_column(config, column) for column in columns)}
    select = ", ".join(
        f"0.0 AS {LABEL}"
        if name(column) == LABEL
        else f"{'source' if column in of_item else 'log'}.{name(column)}"
        for column, *_ in con.execute(f"DESCRIBE {LOG}").fetchall()
    )
    con.execute(f"ALTER TABLE {LOG} ADD COLUMN {NTH} INTEGER DEFAULT -1")
    con.execute(
        f"INSERT INTO {LOG} SELECT {select}, drawn.nth FROM {DRAWN} AS drawn JOIN {LOG} AS log ON "
        f"log.{ROW} = drawn.positive JOIN {ITEMS} AS items ON items.code = drawn.code "
        f"JOIN {LOG} AS source ON source.{ROW} = items.first_row"
    )


def _draw(
    rng: np.random.Generator,
    users: npt.NDArray[np.int64],
    count: int,
    weights: npt.NDArray[np.float64],
    owned: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Items [len(users), count] that the users do not have; -1 where none was found."""
    size = len(weights)

    def sample(n: int) -> npt.NDArray[np.int64]:
        return np.searchsorted(weights, rng.random(n) * weights[-1], side="right").astype(np.int64)

    drawn = sample(len(users) * count)
    whose = np.repeat(users, count)
    for _ in range(_TRIES):
        pairs = whose * size + drawn
        taken = owned[np.minimum(np.searchsorted(owned, pairs), len(owned) - 1)] == pairs
        if not taken.any():
            return drawn.reshape(-1, count)
        drawn[taken] = sample(int(taken.sum()))
    pairs = whose * size + drawn
    drawn[np.isin(pairs, owned)] = -1
    return drawn.reshape(-1, count)


def _column(con: duckdb.DuckDBPyConnection, query: str) -> npt.NDArray[np.int64]:
    return con.execute(query).fetchnumpy().popitem()[1].astype(np.int64)


def _numbers(column: pa.Array) -> npt.NDArray[np.int64]:
    return column.to_numpy(zero_copy_only=False).astype(np.int64)
