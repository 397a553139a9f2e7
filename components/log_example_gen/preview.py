"""What a run would make of a log, from its first rows, in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from ranklite.components.log_example_gen import IngestError, reader, rejects, splits
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import opened
from ranklite.components.log_example_gen.log_table import LABEL, LOADED, LOG, TIME
from ranklite.components.log_example_gen.parts.divide import keyed_tables
from ranklite.components.log_example_gen.query_types import check_keys
from ranklite.models.features.layout import MISSING_STRING
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name

ROWS = 1000  # of each file
_BAD = 0.05  # share of the first rows that no log which is read as it should be has
_SHOWN = 40  # letters
_LOOKED_AT, _EXAMPLES = 100, 3  # values of a column
_AT_ONCE = 100  # columns of a query: each reads the table's whole description


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
    with opened(config, data_root) as (con, work):
        scans = reader.load(con, config, data_root, work, first=ROWS)
        if config.source.partition_by is not None:
            check_keys(con, keyed_tables(config), of_types=False)
        bad = rejects.listed(con, scans, data_root)
        [(rows,)] = con.execute(f"SELECT count(*) FROM {LOADED}").fetchall()
        reader.keep(con, config)
        good = _count(con, "true")
        files = sum(1 for scan in scans if scan.path)
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
        columns = config.features.logged_columns
        for first in range(0, len(columns), _AT_ONCE):
            yield from _columns(con, columns[first : first + _AT_ONCE], good)


def _count(con: duckdb.DuckDBPyConnection, condition: str) -> int:
    [(rows,)] = con.execute(f"SELECT count(*) FROM {LOG} WHERE {condition}").fetchall()
    return int(rows)


def _columns(
    con: duckdb.DuckDBPyConnection, columns: Sequence[RawColumn], rows: int
) -> Iterator[str]:
    """A line a column, of one pass over the rows for all of them."""
    wanted = []
    for column in columns:
        value = name(column.name)
        present = f"len({value}) > 0" if column.is_list else f"{value} IS NOT NULL"
        texts = f"list(left({value}::VARCHAR, {_SHOWN})) FILTER (WHERE {present})"
        wanted.append(f"count(*) FILTER (WHERE {present})")
        wanted.append(f"list_sort(list_distinct(({texts})[:{_LOOKED_AT}]))[:{_EXAMPLES}]")
    result = iter(con.execute(f"SELECT {', '.join(wanted)} FROM {LOG}").fetchall()[0])
    for column, held, examples in zip(columns, result, result, strict=True):
        words = f"  {column.name}: {'lists of ' * column.is_list}{column.dtype}"
        if not held:
            yield f"{words}, missing in all {rows} rows"
            continue
        missing = f", missing in {rows - held} of {rows} rows" if held < rows else ""
        shown = ", ".join(repr(text or MISSING_STRING) for text in examples)
        yield f"{words}{missing}, such as {shown}"
