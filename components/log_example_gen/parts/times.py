"""The first row of eval and of test, of a split by time: exact, of counts that add up.

Each part counts its times in buckets of a power of two, as few as show its range; those of all
parts are made equally wide and added up. The bucket that has a row is divided again while it has
many, and then its rows are looked at.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from ranklite.components.log_example_gen.config import TimeSplit
from ranklite.components.log_example_gen.log_table import EARLIER, LOG, ROW, SPLIT, TIME
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.parts.work import Stages
from ranklite.components.log_example_gen.splits import ranks
from ranklite.models.features.sql import quoted

BUCKETS = 1 << 12  # that show a range
LOOKED_AT = 100_000  # rows of a bucket, at the most
_OF_WINDOW = f"{SPLIT} != {quoted(EARLIER)}"


class TimeCounts(NamedTuple):
    """How many rows are in each bucket of times.

    Attributes:
      power: A bucket has 2 to the power of it microseconds; bucket 0 begins with 1970.
      rows: By bucket.
    """

    power: int
    rows: dict[int, int]

    def at(self, power: int) -> Counter[int]:
        """Rows by buckets that are as wide, or wider."""
        result = Counter[int]()
        for bucket, rows in self.rows.items():
            result[bucket >> (power - self.power)] += rows
        return result


def bucket_sql(power: int) -> str:
    """SQL of the bucket of a time, before 1970 too."""
    width = 1 << power
    return f"(({TIME} - (({TIME} % {width}) + {width}) % {width}) // {width})"


def count(con: duckdb.DuckDBPyConnection, table: str, first: int, last: int) -> TimeCounts:
    """Counts the times of a table, from the first one to the last."""
    power = ((last - first) // BUCKETS).bit_length()
    counted = con.execute(f"SELECT {bucket_sql(power)}, count(*) FROM {table} GROUP BY 1")
    return TimeCounts(power, dict(counted.fetchall()))


class _Bucket(NamedTuple):
    """A bucket, and how many of its rows come before the one that is looked for."""

    power: int
    number: int
    rank: int
    rows: int

    @property
    def sql(self) -> str:
        """Whether a row is in it."""
        first = self.number << self.power
        return f"{_OF_WINDOW} AND {TIME} >= {first} AND {TIME} < {first + (1 << self.power)}"

    @property
    def finer(self) -> int:
        """The power of the buckets that it is divided into."""
        return max(0, self.power - BUCKETS.bit_length() + 1)


class _Task(NamedTuple):
    log: Log
    number: int
    buckets: tuple[_Bucket, ...]


def starts(stages: Stages, log: Log, counts: Sequence[TimeCounts]) -> list[tuple[int, int]]:
    """Time and number of the first row of eval, and of test, as far as they have any.

    Args:
      stages: Runs what is asked of parts.
      log: Its splits are not assigned.
      counts: Of each part that has a time.
    """
    split = log.job.config.split
    assert isinstance(split, TimeSplit)
    power = max((each.power for each in counts), default=0)
    total = sum((each.at(power) for each in counts), Counter[int]())
    with log.opened([]) as (con, _):
        wanted = ranks(con, sum(total.values()), split)
    found = [_bucket(total, power, rank) for rank in wanted]
    for number in itertools.count():
        if all(each.rows <= LOOKED_AT or not each.power for each in found):
            break
        parts = _asked(stages, f"times-{number}", log, found)
        found = [
            _bucket(sum((part[k] for part in parts), Counter[int]()), each.finer, each.rank)
            for k, each in enumerate(found)
        ]
    few = [each for each in found if each.rows <= LOOKED_AT]
    [looked_at] = stages.together("times", ("time-rows", _rows, _tasks(log, few)))
    result = {}
    for k, each in enumerate(few):  # in the order of the log, which is that of the parts
        rows = [row for part in looked_at for row in part[k]]
        result[each] = sorted(rows, key=lambda row: row[0])[each.rank]
    for each in set(found).difference(few):  # of one time
        parts, rank = _asked(stages, f"time-{each.number}", log, [each]), each.rank
        for number, part in enumerate(parts):
            if rank < part[0][each.number]:
                task = _Task(log, number, (each._replace(rank=rank),))
                [result[each]] = stages.run(
                    f"time-row-{each.number}-{each.rank}", _row, [task], "times"
                )
                break
            rank -= part[0][each.number]
    return [result[each] for each in found]


def _tasks(log: Log, buckets: Sequence[_Bucket]) -> list[_Task]:
    return [_Task(log, part, tuple(buckets)) for part in range(len(log.parts)) if buckets]


def _asked(
    stages: Stages, name: str, log: Log, buckets: Sequence[_Bucket]
) -> list[list[Counter[int]]]:
    return stages.run(name, _divided, _tasks(log, buckets), "times")


def _bucket(counts: Counter[int], power: int, rank: int) -> _Bucket:
    """The bucket that has the row of a rank."""
    for number in sorted(counts):
        if rank < counts[number]:
            return _Bucket(power, number, rank, counts[number])
        rank -= counts[number]
    raise AssertionError("the counts of all parts hold every rank")


def _divided(task: _Task) -> list[Counter[int]]:
    """Rows of a part by the finer buckets of some."""
    with task.log.opened([task.number]) as (con, _):
        return [
            Counter(
                dict(
                    con.execute(
                        f"SELECT {bucket_sql(each.finer)}, count(*) FROM {LOG} WHERE {each.sql} "
                        "GROUP BY 1"
                    ).fetchall()
                )
            )
            for each in task.buckets
        ]


def _rows(task: _Task) -> list[list[tuple[int, int]]]:
    """Time and number of the rows of a part that are in some buckets."""
    with task.log.opened([task.number]) as (con, _):
        return [
            con.execute(f"SELECT {TIME}, {ROW} FROM {LOG} WHERE {each.sql} ORDER BY 2").fetchall()
            for each in task.buckets
        ]


def _row(task: _Task) -> tuple[int, int]:
    """Time and number of the row of a rank, of those of one bucket."""
    [each] = task.buckets
    with task.log.opened([task.number]) as (con, _):
        rows = f"SELECT {TIME}, {ROW} FROM {LOG} WHERE {each.sql}"
        row: tuple[int, int] = con.execute(
            f"{rows} ORDER BY 2 LIMIT 1 OFFSET {each.rank}"
        ).fetchall()[0]
    return row
