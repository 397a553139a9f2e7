"""Sampled negatives of a log in parts: items are counted together, and a user is of one share."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow.parquet as pq

from ranklite.components.log_example_gen import negatives
from ranklite.components.log_example_gen.log_table import EARLIER, LOG, NTH, ROW, SPLIT
from ranklite.components.log_example_gen.parts.counts import files_of
from ranklite.components.log_example_gen.parts.log import Log, LogPart, PartTask
from ranklite.components.log_example_gen.parts.shares import parquet
from ranklite.components.log_example_gen.parts.work import (
    PARQUET,
    Job,
    Stages,
    database,
    placed,
)
from ranklite.models.features.sql import name, quoted

_CHUNK = 200_000  # positives at a time
_ITEMS = "items.parquet"


class _Divided(NamedTuple):
    """A part: a file of its items, and a folder of its pairs by the hash of the user."""

    items: str
    pairs: str


class _ItemsTask(NamedTuple):
    job: Job
    files: list[str]


class _DrawTask(NamedTuple):
    job: Job
    folders: list[str]
    bucket: int


class _Drawn(NamedTuple):
    file: str
    positives: int
    made: int


class _AddTask(NamedTuple):
    log: Log
    number: int
    files: list[str]


def add(stages: Stages, log: Log) -> tuple[Log, dict[str, int]]:
    """The log with sampled negatives, and what `negatives.add_negatives` returns.

    Args:
      stages: Runs the tasks.
      log: Its splits are assigned.
    """
    job, shown = log.job, "sampling negatives"
    divided = stages.run("pairs", _divide, PartTask.every(log), shown)
    stages.run("items", _items, [_ItemsTask(job, [each.items for each in divided])], shown)
    folders = [each.pairs for each in divided]
    tasks = [_DrawTask(job, folders, bucket) for bucket in range(job.buckets)]
    drawn = [each for each in stages.run("drawn", _draw, tasks, shown) if each is not None]
    files = [each.file for each in drawn]
    added = [_AddTask(log, number, files) for number, _ in enumerate(log.parts)]
    parts = stages.run("negatives", _add, added, shown)
    positives, made = sum(each.positives for each in drawn), sum(each.made for each in drawn)
    return Log(job, tuple(parts)), negatives.counts(job.config, positives, made)


def _divide(task: PartTask) -> _Divided:
    job, config = task.log.job, task.log.job.config
    items, pairs = (job.path(f"{what}-{task.number}") for what in ("items", "pairs"))
    user, item = (name(str(key)) for key in (config.features.user, config.features.item))
    with task.log.opened([task.number]) as (con, _):
        with placed(items) as made:
            con.execute(f"COPY ({negatives.items_sql(config)}) TO {quoted(made)} ({PARQUET})")
        with placed(pairs) as made:
            os.makedirs(made)
            con.execute(
                f"COPY (SELECT {ROW} AS row, {user} AS user, {item} AS item, {SPLIT} != "
                f"{quoted(EARLIER)} AS drawn, hash({user}) % {job.buckets} AS bucket FROM {LOG} "
                f"WHERE {negatives.is_positive(config)}) TO {quoted(made)} "
                f"({PARQUET}, PARTITION_BY (bucket))"
            )
    return _Divided(items, pairs)


def _items(task: _ItemsTask) -> None:
    """Writes all items with their codes."""
    with database(task.job) as (con, _), placed(task.job.path(_ITEMS)) as made:
        items = negatives.coded(negatives.merged(f"SELECT * FROM {parquet(task.files)}"))
        con.execute(f"COPY ({items}) TO {quoted(made)} ({PARQUET})")


def _draw(task: _DrawTask) -> _Drawn | None:
    """Draws for the positives of a share of the users."""
    job, files = task.job, files_of(task.folders, task.bucket)
    if not files:
        return None
    path, positives, made_ones = job.path(f"drawn-{task.bucket}.parquet"), 0, 0
    with database(job) as (con, _):
        items = parquet([job.path(_ITEMS)])
        con.execute(
            "CREATE TABLE pairs AS SELECT row, drawn, dense_rank() OVER (ORDER BY user) - 1 AS "
            f"user, items.code AS item FROM {parquet(files)} JOIN (SELECT item, code FROM {items}) "
            "AS items USING (item)"
        )
        draws = negatives.Draws(con, job.config, items)
        owned = con.execute(f"SELECT DISTINCT user * {draws.size} + item AS pair FROM pairs")
        draws.own(owned.fetchnumpy()["pair"])
        with placed(path) as made, pq.ParquetWriter(made, negatives.SCHEMA_OF_DRAWN) as out:
            for batch in con.sql(
                "SELECT row, user FROM pairs WHERE drawn ORDER BY row"
            ).to_arrow_reader(_CHUNK):
                table = draws.drawn(*(column.to_numpy() for column in batch.columns))
                positives += batch.num_rows
                made_ones += table.num_rows
                out.write_table(table)
    return _Drawn(path, positives, made_ones)


def _add(task: _AddTask) -> LogPart:
    """Writes the rows of a part, each with its negatives behind it."""
    log, config = task.log, task.log.job.config
    path = log.job.path(f"sampled-{task.number}.parquet")
    with log.opened([task.number]) as (con, _), placed(path) as made:
        columns = [row[0] for row in con.execute(f"DESCRIBE {LOG}").fetchall()]
        [(first, last)] = con.execute(f"SELECT min({ROW}), max({ROW}) FROM {LOG}").fetchall()
        drawn = _within(task.files, first, last)
        rows = negatives.negatives_sql(config, columns, parquet([log.job.path(_ITEMS)]), drawn)
        con.execute(
            f"COPY (SELECT * FROM (SELECT {', '.join(map(name, columns))}, -1 AS {NTH} FROM {LOG} "
            f"WHERE {negatives.is_positive(config)} UNION ALL {rows}) ORDER BY {ROW}, {NTH}) "
            f"TO {quoted(made)} ({PARQUET})"
        )
    return dataclasses.replace(log.parts[task.number], files=(path,), complete=True)


def _within(files: Sequence[str], first: int | None, last: int | None) -> str:
    """SQL of what was drawn for the rows of a part, which may have none."""
    rows = f"{first} AND {last}" if first is not None else "1 AND 0"
    return f"(SELECT * FROM {parquet(files)} WHERE positive BETWEEN {rows})"
