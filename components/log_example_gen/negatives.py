"""Samples negatives for a log of positives: items that the user never had."""

from __future__ import annotations

import os

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.features.sql import name, quoted

_CHUNK = 200_000  # positives at a time
_TRIES = 50  # redraws of a negative that the user has


def add_negatives(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, work_dir: str
) -> dict[str, int]:
    """Adds sampled negatives to `log`, split by split.

    A negative is a copy of its positive with another item and that item's columns. Items are drawn
    from the whole log, and never one that the user has in any split. What is held in memory is 8
    bytes a distinct pair of user and item.

    Args:
      con: `log` holds the positives, with their splits.
      config: With `negatives`.
      work_dir: A folder that the connection may read.

    Returns:
      `negatives` made and `short`: how many fewer than asked for, because a user has nearly all
      items.
    """
    settings = config.sampled_negatives
    assert settings is not None
    user, item = name(str(config.features.user)), name(str(config.features.item))
    con.execute(f"DELETE FROM log WHERE {user} IS NULL OR {item} IS NULL")
    con.execute(
        f"CREATE TABLE items AS SELECT {item} AS item, row_number() OVER (ORDER BY {item}) - 1 AS "
        f"code, count(*) AS plays, min(row_id) AS first_row FROM log GROUP BY {item}"
    )
    con.execute(
        f"CREATE TABLE users AS SELECT {user} AS user, row_number() OVER (ORDER BY {user}) - 1 AS "
        f"code FROM log GROUP BY {user}"
    )
    plays = _column(con, "SELECT plays FROM items ORDER BY code")
    size = len(plays)
    weights = np.cumsum(plays if settings.by == "popularity" else np.ones(size), dtype=np.float64)
    coded = f"FROM log JOIN items ON log.{item} = items.item JOIN users ON log.{user} = users.user"
    owned = np.unique(_column(con, f"SELECT users.code * {size} + items.code {coded}"))
    con.execute("CREATE TABLE drawn (row_id BIGINT, nth INTEGER, code BIGINT)")
    chunk = os.path.join(work_dir, "drawn.parquet")
    asked = 0
    for number, split in enumerate(config.split_names):
        rng = np.random.default_rng([config.seed, number])
        rows = con.sql(
            f"SELECT log.row_id, users.code {coded} WHERE split = {quoted(split)} "
            "ORDER BY log.row_id"
        ).to_arrow_reader(_CHUNK)
        chunks = [(_numbers(b.column(0)), _numbers(b.column(1))) for b in rows]
        for row_ids, users in chunks:
            asked += len(row_ids) * settings.per_positive
            drawn = _draw(rng, users, settings.per_positive, weights, owned)
            keep = drawn >= 0
            nth = np.broadcast_to(np.arange(settings.per_positive), drawn.shape)
            table = pa.table(
                {
                    "row_id": np.broadcast_to(row_ids[:, None], drawn.shape)[keep],
                    "nth": nth[keep],
                    "code": drawn[keep],
                }
            )
            # A connection without external access takes no Python objects, but files it may read.
            pq.write_table(table, chunk)
            con.execute(f"INSERT INTO drawn SELECT * FROM read_parquet({quoted(chunk)})")
    _insert(con, config)
    [(made,)] = con.execute("SELECT count(*) FROM drawn").fetchall()
    return {"negatives": made, "short": asked - made}


def _insert(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Makes rows of the drawn items; `nth` puts each behind its positive."""
    assert config.sampled_negatives is not None
    of_item = {str(config.features.item), *config.sampled_negatives.item_columns}
    columns = [row[0] for row in con.execute("DESCRIBE log").fetchall()]
    select = ", ".join(
        "0.0 AS label"
        if column == "label"
        else f"{'source' if column in of_item else 'log'}.{name(column)}"
        for column in columns
    )
    con.execute("ALTER TABLE log ADD COLUMN nth INTEGER DEFAULT -1")
    con.execute(
        f"INSERT INTO log SELECT {select}, drawn.nth FROM drawn JOIN log USING (row_id) JOIN items "
        "ON items.code = drawn.code JOIN log AS source ON source.row_id = items.first_row"
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
