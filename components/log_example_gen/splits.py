"""Divides the log into splits and checks that each can be used."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError, reader
from ranklite.components.log_example_gen.config import HashSplit, IngestConfig, TimeSplit
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOADED,
    LOG,
    SPLIT,
    TIME,
    WRONG,
)
from ranklite.models.features.sql import name, quoted

BUCKETS = 4096  # of the time of a log


def assign(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Makes the table `LOG` of the rows that were loaded, each in its split.

    By time: the newest share of the rows is the test split, the share before it the eval split;
    equal times keep the order of the log. By hash: the first 32 bits of MD5(seed, key), as a share
    of their range, so that rows of one key stay together whatever else the log holds. Rows of
    `EARLIER` stay there.
    """
    split = config.split
    if isinstance(split, TimeSplit):
        reader.keep(con, config, _by_time(con, split))
    elif isinstance(split, HashSplit):
        reader.keep(con, config, by_hash(config, split))
    else:
        reader.keep(con, config)


def by_hash(config: IngestConfig, split: HashSplit, number: str = reader.NUMBERED) -> str:
    """SQL of the split by hash; `number` is SQL of the row's number in the log."""
    key = name(reader.table_column(config, split.key)) if split.key else f"({number})"
    digest = f"md5(concat({quoted(str(config.seed))}, ':', {key}))"
    test = split.test or 0.0
    # Digests of lower case digits are in the order of the numbers that they are.
    cases = f"WHEN {digest} < {_digits(test)} THEN 'test' " if test else ""
    cases += f"WHEN {digest} < {_digits(test + split.eval)} THEN 'eval' "
    return f"CASE {cases}ELSE 'train' END"


def _digits(share: float) -> str:
    """The 8 digits that a share of all digests is below."""
    return quoted(f"{min(math.ceil(share * 2**32), 2**32 - 1):08x}")


def _by_time(con: duckdb.DuckDBPyConnection, split: TimeSplit) -> str:
    """SQL of the split by time: what comes before the first row of eval, and that of test."""
    dated = f"{LOADED} WHERE {WRONG} = '' AND {SPLIT} != {quoted(EARLIER)}"
    [(rows, first, last)] = con.execute(
        f"SELECT count(*), min({TIME}), max({TIME}) FROM {dated}"
    ).fetchall()
    if not rows:
        return SPLIT
    # The two rows are looked for among those of their time, so that no cores sort the whole log.
    width = (last - first) // BUCKETS + 1
    bucket = f"({TIME} - {first}) // {width}"
    counts = con.execute(f"SELECT {bucket}, count(*) FROM {dated} GROUP BY 1 ORDER BY 1").fetchall()
    numbers = [number for number, _ in counts]
    until = list(itertools.accumulate(count for _, count in counts))
    starts = []
    for rank in ranks(con, rows, split):
        place = bisect.bisect_right(until, rank)
        before = until[place - 1] if place else 0
        [(time, row)] = con.execute(
            f"SELECT {TIME}, {reader.NUMBERED} FROM {dated} AND {bucket} = {numbers[place]} "
            f"ORDER BY 1, 2 LIMIT 1 OFFSET {rank - before}"
        ).fetchall()
        starts.append((time, row))
    return by_time(starts)


def ranks(con: duckdb.DuckDBPyConnection, rows: int, split: TimeSplit) -> list[int]:
    """How many rows come before eval, and before test, of all `rows`; of those that have any."""
    held_out, test = split.eval + (split.test or 0.0), split.test or 0.0
    [counts] = con.execute(
        f"SELECT (rows - floor(rows * {held_out!r}))::BIGINT, (rows - floor(rows * {test!r}))::"
        f"BIGINT FROM (SELECT {rows}::BIGINT AS rows)"
    ).fetchall()
    return list(itertools.takewhile(lambda rank: rank < rows, counts))


def by_time(starts: Sequence[tuple[int, int]], number: str = reader.NUMBERED) -> str:
    """SQL of the split by time.

    Args:
      starts: Time and number of the first row of eval, and of test, as far as they have any.
      number: SQL of the row's number in the log.
    """
    cases = "".join(
        f"WHEN {TIME} < {time} OR ({TIME} = {time} AND {number} < {row}) THEN '{part}' "
        for part, (time, row) in zip(("train", "eval"), starts, strict=False)
    )
    newest = ("train", "eval", "test")[len(starts)]
    return f"CASE WHEN {SPLIT} = {quoted(EARLIER)} THEN {SPLIT} {cases}ELSE '{newest}' END"


def check_labels(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Raises IngestError where a label is neither 0 nor 1."""
    outside = con.execute(
        f"SELECT {LABEL}, count(*) FROM {LOG} WHERE {LABEL} NOT IN (0, 1) "
        f"GROUP BY {LABEL} ORDER BY 2 DESC, 1 LIMIT 5"
    ).fetchall()
    if outside:
        shown = ", ".join(f"{label:g} ({count} rows)" for label, count in outside)
        raise IngestError(
            f"the label {config.label!r} has values other than 0 and 1: {shown}. Write it as an "
            'expression that is true for a positive, such as "rating >= 4"'
        )


def described(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> dict[str, dict[str, Any]]:
    """Rows, positives, first and last second, users and items of each split that has rows."""

    def distinct(column: str | None) -> str:
        return f"count(DISTINCT {name(column)})" if column else "NULL"

    result = con.execute(
        f"SELECT {SPLIT}, count(*), sum({LABEL})::BIGINT, floor(min({TIME}) / 1e6)::BIGINT, "
        f"floor(max({TIME}) / 1e6)::BIGINT, {distinct(config.features.user)}, "
        f"{distinct(config.features.item)} FROM {LOG} GROUP BY 1"
    ).fetchall()
    keys = ("rows", "positives", "first_time", "last_time", "users", "items")
    by_split = {row[0]: dict(zip(keys, row[1:], strict=True)) for row in result}
    return {split: by_split[split] for split in config.split_names if split in by_split}


def check(of_splits: Mapping[str, Mapping[str, Any]], config: IngestConfig) -> None:
    """Raises IngestError where a split is empty or the labels cannot be learned from.

    Args:
      of_splits: As of `described`.
      config: Names the splits.
    """
    for split in config.split_names:
        if split not in of_splits:
            every = sum(each["rows"] for each in of_splits.values())
            raise IngestError(
                f"the {split} split has no rows: the log has {every} "
                "rows in all; give more of them, or change `split`"
            )
        rows, positives = of_splits[split]["rows"], of_splits[split]["positives"]
        if config.sampled_negatives is None and positives in (0, rows):
            raise IngestError(
                f"all {rows} rows of the {split} split have label {int(bool(positives))}: nothing "
                "can be learned or measured. Look at `label`, or, for a log of positives only, "
                "leave it out and give `negatives`"
            )
