"""What a run would make of a log, from its first rows, in seconds."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from ranklite.components.log_example_gen import IngestError, reader, rejects, splits
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import opened
from ranklite.components.log_example_gen.log_table import LABEL, LOG, TIME, WRONG
from ranklite.models.features.layout import MISSING_STRING
from ranklite.models.features.sql import name

ROWS = 1000  # of each file
_BAD = 0.05  # share of the first rows that no log which is read as it should be has
_SHOWN = 40  # letters


def preview(config: IngestConfig, data_root: str) -> Iterator[str]:
    """Lines for a person: what was read, and of each column its type, gaps and first values.

    Args:
      config: What a run would read.
      data_root: Folder of the log.

    Raises:
      IngestError: A run would stop: a column is absent or of a type that cannot be read, the query
        fails, labels are not 0 and 1, or many rows cannot be read.
      FileNotFoundError: A glob matches no file.
    """
    with opened(data_root) as (con, work):
        scans = reader.load(con, config, data_root, work, first=ROWS)
        bad = rejects.listed(con, scans, data_root)
        rows = _count(con, "true")
        con.execute(f"DELETE FROM {LOG} WHERE {WRONG} != ''")
        good = _count(con, "true")
        files = sum(1 for scan in scans.values() if scan.path)
        yield f"{data_root}: {rows} first rows of {files} file{'s'[: files != 1]} read"
        if bad:
            yield from (f"  left out: {each}" for each in bad[: rejects.SHOWN_REJECTS])
        if len(bad) > _BAD * max(1, good + len(bad)):
            raise IngestError(
                f"{len(bad)} of {good + len(bad)} rows cannot be read: see the first ones above; "
                "mend the log, or what the configuration says of it"
            )
        if not good:
            raise IngestError("the log has no rows: its files hold a header at the most")
        splits.check_labels(con, config)
        positives = _count(con, f"{LABEL} = 1")
        yield f"  label: {positives} of {good} rows are positive"
        if config.timestamp:
            ends = (f"make_timestamp({which}({TIME}))::VARCHAR" for which in ("min", "max"))
            [(first, last)] = con.execute(f"SELECT {', '.join(ends)} FROM {LOG}").fetchall()
            yield f"  {config.timestamp}: {first} to {last} UTC"
        for column in config.features.logged_columns:
            yield _column(con, column.name, column.dtype, column.is_list, good)


def _count(con: duckdb.DuckDBPyConnection, condition: str) -> int:
    [(rows,)] = con.execute(f"SELECT count(*) FROM {LOG} WHERE {condition}").fetchall()
    return int(rows)


def _column(
    con: duckdb.DuckDBPyConnection, column: str, dtype: str, is_list: bool, rows: int
) -> str:
    value = name(column)
    present = f"len({value}) > 0" if is_list else f"{value} IS NOT NULL"
    held = _count(con, present)
    examples = con.execute(
        f"SELECT DISTINCT left({value}::VARCHAR, {_SHOWN}) AS shown FROM "
        f"(SELECT {value} FROM {LOG} WHERE {present} LIMIT 100) ORDER BY 1 LIMIT 3"
    ).fetchall()
    shown = ", ".join(repr(text or MISSING_STRING) for (text,) in examples)
    words = f"{'lists of ' * is_list}{dtype}"
    if not held:
        return f"  {column}: {words}, missing in all {rows} rows"
    missing = f", missing in {rows - held} of {rows} rows" if held < rows else ""
    return f"  {column}: {words}{missing}, such as {shown}"
