"""Divides the log into splits and checks that each can be used."""

from __future__ import annotations

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import HashSplit, IngestConfig, TimeSplit
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOG,
    ROW,
    SCHEMA,
    SPLIT,
    TIME,
)
from ranklite.components.log_example_gen.reader import table_column
from ranklite.models.features.sql import name, quoted


def assign(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Sets the column `SPLIT` of the log.

    By time: the newest share of the rows is the test split, the share before it the eval split;
    equal times keep the order of the log. By hash: the first 32 bits of MD5(seed, key), as a share
    of their range, so that rows of one key stay together whatever else the log holds. Rows of
    `EARLIER` stay there.
    """
    split = config.split
    if isinstance(split, TimeSplit):
        shares = f"{SCHEMA}.shares"
        con.execute(
            f"CREATE TABLE {shares} AS SELECT {ROW}, "
            f"row_number() OVER (ORDER BY {TIME}, {ROW}) - 1 AS rank, "
            f"count(*) OVER () AS rows FROM {LOG} WHERE {SPLIT} != {quoted(EARLIER)}"
        )
        held_out, test = split.eval + (split.test or 0.0), split.test or 0.0
        con.execute(
            f"UPDATE {LOG} SET {SPLIT} = CASE "
            f"WHEN shares.rank < shares.rows - floor(shares.rows * {held_out!r}) THEN 'train' "
            f"WHEN shares.rank < shares.rows - floor(shares.rows * {test!r}) THEN 'eval' "
            f"ELSE 'test' END FROM {shares} AS shares WHERE shares.{ROW} = log.{ROW}"
        )
        con.execute(f"DROP TABLE {shares}")
    elif isinstance(split, HashSplit):
        key = name(table_column(config, split.key)) if split.key else ROW
        text = f"concat({quoted(str(config.seed))}, ':', {key})"
        share = f"('0x' || substr(md5({text}), 1, 8))::UBIGINT::DOUBLE / 4294967296.0"
        test = split.test or 0.0
        con.execute(
            f"UPDATE {LOG} SET {SPLIT} = CASE WHEN {share} < {test!r} THEN 'test' "
            f"WHEN {share} < {test + split.eval!r} THEN 'eval' ELSE 'train' END"
        )


def check_labels(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Raises IngestError where a label is neither 0 nor 1."""
    outside = con.execute(
        f"SELECT {LABEL}, count(*) FROM {LOG} WHERE {LABEL} NOT IN (0, 1) "
        f"GROUP BY {LABEL} ORDER BY 2 DESC LIMIT 5"
    ).fetchall()
    if outside:
        shown = ", ".join(f"{label:g} ({count} rows)" for label, count in outside)
        raise IngestError(
            f"the label {config.label!r} has values other than 0 and 1: {shown}. Write it as an "
            'expression that is true for a positive, such as "rating >= 4"'
        )


def check(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Raises IngestError where a split is empty or the labels cannot be learned from."""
    check_labels(con, config)
    counts = {
        split: (rows, positives)
        for split, rows, positives in con.execute(
            f"SELECT {SPLIT}, count(*), sum({LABEL}) FROM {LOG} "
            f"WHERE {SPLIT} != {quoted(EARLIER)} GROUP BY {SPLIT}"
        ).fetchall()
    }
    for split in config.split_names:
        rows, positives = counts.get(split, (0, 0))
        if not rows:
            raise IngestError(
                f"the {split} split has no rows: the log has {sum(r for r, _ in counts.values())} "
                "rows in all; give more of them, or change `split`"
            )
        if config.sampled_negatives is None and positives in (0, rows):
            raise IngestError(
                f"all {rows} rows of the {split} split have label {int(bool(positives))}: nothing "
                "can be learned or measured. Look at `label`, or, for a log of positives only, "
                "leave it out and give `negatives`"
            )
