"""Divides the log into splits and checks that each can be used."""

from __future__ import annotations

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import HashSplit, IngestConfig, TimeSplit
from ranklite.models.features.sql import name, quoted


def assign(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Sets the column `split` of `log`.

    By time: the newest share of the rows is the test split, the share before it the eval split;
    equal times keep the order of the log. By hash: the first 32 bits of MD5(seed, key), as a share
    of their range, so that rows of one key stay together whatever else the log holds.
    """
    split = config.split
    if isinstance(split, TimeSplit):
        con.execute(
            "CREATE TABLE shares AS SELECT row_id, row_number() OVER (ORDER BY ts, row_id) - 1 AS "
            "rank, count(*) OVER () AS rows FROM log"
        )
        held_out, test = split.eval + (split.test or 0.0), split.test or 0.0
        con.execute(
            "UPDATE log SET split = CASE "
            f"WHEN rank < rows - floor(rows * {held_out!r}) THEN 'train' "
            f"WHEN rank < rows - floor(rows * {test!r}) THEN 'eval' ELSE 'test' END "
            "FROM shares WHERE shares.row_id = log.row_id"
        )
        con.execute("DROP TABLE shares")
    elif isinstance(split, HashSplit):
        text = (
            f"concat({quoted(str(config.seed))}, ':', {name(split.key) if split.key else 'row_id'})"
        )
        share = f"('0x' || substr(md5({text}), 1, 8))::UBIGINT::DOUBLE / 4294967296.0"
        test = split.test or 0.0
        con.execute(
            f"UPDATE log SET split = CASE WHEN {share} < {test!r} THEN 'test' "
            f"WHEN {share} < {test + split.eval!r} THEN 'eval' ELSE 'train' END"
        )


def check(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> None:
    """Raises IngestError where a split is empty or the labels cannot be learned from."""
    outside = con.execute(
        "SELECT label, count(*), min(row_id) FROM log WHERE label NOT IN (0, 1) "
        "GROUP BY label ORDER BY 2 DESC LIMIT 5"
    ).fetchall()
    if outside:
        shown = ", ".join(f"{label:g} ({count} rows)" for label, count, _ in outside)
        raise IngestError(
            f"the label {config.label!r} has values other than 0 and 1: {shown}. Write it as an "
            'expression that is true for a positive, such as "rating >= 4"'
        )
    counts = {
        split: (rows, positives)
        for split, rows, positives in con.execute(
            "SELECT split, count(*), sum(label) FROM log GROUP BY split"
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
