"""What is told of the splits: rows, positives, times, and how many users and items they have."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from ranklite.components.log_example_gen import log_rows, splits
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import LABEL, LOG, SPLIT, TIME
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.parts.work import (
    PARQUET,
    Job,
    Stages,
    database,
    placed,
)
from ranklite.components.log_example_gen.point_in_time.exact_sum import ExactSum
from ranklite.components.log_example_gen.point_in_time.state import rated_sums
from ranklite.models.features.sql import name, quoted

Candidate: TypeAlias = tuple[str, int, str | None]  # as of `log_rows.candidates`


class SplitCounts(NamedTuple):
    """Of a split, in a part or in all of them; times are microseconds, None where there is none."""

    rows: int
    positives: int
    first: int | None
    last: int | None

    def plus(self, other: SplitCounts) -> SplitCounts:
        """Of both."""
        firsts = [each for each in (self.first, other.first) if each is not None]
        lasts = [each for each in (self.last, other.last) if each is not None]
        return SplitCounts(
            self.rows + other.rows,
            self.positives + other.positives,
            min(firsts, default=None),
            max(lasts, default=None),
        )


class _CountTask(NamedTuple):
    log: Log
    number: int
    final: bool


class _Counted(NamedTuple):
    splits: dict[str, SplitCounts]
    outside: int
    candidates: list[Candidate]
    rated: dict[str, ExactSum]


class DistinctTask(NamedTuple):
    """A share of the users or items of all splits.

    Attributes:
      job: What every task knows.
      role: `user` or `item`.
      folders: Of each part.
      bucket: Number of the share.
    """

    job: Job
    role: str
    folders: list[str]
    bucket: int


class Counts(NamedTuple):
    """Of a log.

    Attributes:
      by_part: Of each part, by split.
      splits: Of all parts, by split.
      candidates: Of each part, for `log_rows`.
      rated: Sums of columns over the train split, where features of the past need them.
      distinct_tasks: What finds out how many users and items there are, for `distinct`.
    """

    by_part: list[dict[str, SplitCounts]]
    splits: dict[str, SplitCounts]
    candidates: list[list[Candidate]]
    rated: dict[str, ExactSum]
    distinct_tasks: list[DistinctTask]

    def described(
        self, config: IngestConfig, distinct: Sequence[Counter[str]] = ()
    ) -> dict[str, dict[str, Any]]:
        """As of `splits.described`.

        Args:
          config: Names the splits.
          distinct: What `distinct` returned for each task.
        """
        found = {"user": Counter[str](), "item": Counter[str]()}
        for task, counts in zip(self.distinct_tasks, distinct, strict=bool(distinct)):
            found[task.role] += counts
        return {
            split: {
                "rows": each.rows,
                "positives": each.positives,
                "first_time": None if each.first is None else each.first // 1_000_000,
                "last_time": None if each.last is None else each.last // 1_000_000,
                "users": found["user"][split] if config.features.user else None,
                "items": found["item"][split] if config.features.item else None,
            }
            for split in config.split_names
            if (each := self.splits.get(split)) is not None
        }


def count(stages: Stages, log: Log, final: bool) -> Counts:
    """Counts the rows of each split.

    Args:
      stages: Runs the tasks.
      log: Its splits are assigned.
      final: Whether these are all of its rows, or negatives follow.

    Raises:
      IngestError: A label is neither 0 nor 1.
    """
    tasks = [_CountTask(log, number, final) for number in range(len(log.parts))]
    counted = stages.run(f"counts-{'all' if final else 'log'}", _count, tasks, "counting")
    if any(each.outside for each in counted):
        with log.whole() as con:
            splits.check_labels(con, log.job.config)
    total: dict[str, SplitCounts] = {}
    for part in counted:
        for split, each in part.splits.items():
            total[split] = total[split].plus(each) if split in total else each
    rated: dict[str, ExactSum] = {}
    for part in counted:
        for of, each_sum in part.rated.items():
            rated.setdefault(of, ExactSum()).merge(each_sum)
    distinct_tasks = [
        DistinctTask(log.job, role, [_folder(task, role) for task in tasks], bucket)
        for role in _columns(log.job.config)
        for bucket in range(log.job.buckets)
    ]
    by_part, candidates = [e.splits for e in counted], [e.candidates for e in counted]
    return Counts(by_part, total, candidates, rated, distinct_tasks)


def _columns(config: IngestConfig) -> dict[str, str]:
    roles = {"user": config.features.user, "item": config.features.item}
    return {role: name(column) for role, column in roles.items() if column}


def _folder(task: _CountTask, column: str) -> str:
    return task.log.job.path(f"distinct-{column}-{task.number}")


def _count(task: _CountTask) -> _Counted:
    """Counts a part, and writes the distinct users and items of its splits by their hash."""
    config = task.log.job.config
    with task.log.opened([task.number]) as (con, _):
        rows = con.execute(
            f"SELECT {SPLIT}, count(*), sum({LABEL})::BIGINT, min({TIME}), max({TIME}), "
            f"count(*) FILTER (WHERE {LABEL} NOT IN (0, 1)) FROM {LOG} GROUP BY 1"
        ).fetchall()
        of_splits = {row[0]: SplitCounts(*row[1:5]) for row in rows}
        outside = sum(row[5] for row in rows)
        if not task.final:
            return _Counted(of_splits, outside, [], {})
        for role, column in _columns(config).items():
            with placed(_folder(task, role)) as folder:
                os.makedirs(folder)
                con.execute(
                    f"COPY (SELECT {SPLIT} AS split, {column} AS value, hash({column}) % "
                    f"{task.log.job.buckets} AS bucket FROM {LOG} WHERE {column} IS NOT NULL "
                    f"GROUP BY ALL) TO {quoted(folder)} ({PARQUET}, PARTITION_BY (bucket))"
                )
        candidates = log_rows.candidates(con, config, task.log.job.judged)
        rated = rated_sums(con, config) if config.features.past_columns else {}
    return _Counted(of_splits, outside, candidates, rated)


def files_of(folders: Sequence[str], bucket: int) -> list[str]:
    """Files of a share of the rows, of what was divided by a hash into folders."""
    return [
        file
        for folder in folders
        for file in sorted(glob.glob(f"{glob.escape(folder)}/bucket={bucket}/*.parquet"))
    ]


def distinct(task: DistinctTask) -> Counter[str]:
    """How many values each split has, of those of a share."""
    files = files_of(task.folders, task.bucket)
    if not files:
        return Counter()
    with database(task.job) as (con, _):
        shown = ", ".join(map(quoted, files))
        return Counter(
            dict(
                con.execute(
                    f"SELECT split, count(DISTINCT value) FROM read_parquet([{shown}], "
                    "hive_partitioning = false) GROUP BY 1"
                ).fetchall()
            )
        )
