"""The rows of a log with what each may know of the rows before it, for scoring."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from ranklite.components.log_example_gen import reader
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import opened
from ranklite.components.log_example_gen.keyed_query import keeps_order
from ranklite.components.log_example_gen.log_table import (
    EARLIER,
    LABEL,
    LOG,
    PLACE,
    ROW,
    SPLIT,
    TIME,
)
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns
from ranklite.models.features.layout import TIMESTAMP
from ranklite.models.features.past import SECOND
from ranklite.models.features.sql import name, quoted
from ranklite.models.serving.csv_format import CsvFormat
from ranklite.models.serving.log_files import RowFile

_BATCH = 10_000


@contextlib.contextmanager
def past_rows(
    config: IngestConfig, data_root: str, means: Mapping[str, float]
) -> Iterator[RowFile]:
    """Reads a log as a run would, and computes the state of the past row by row.

    Rows that a run would reject are left out.

    Args:
      config: With features that are computed from the past.
      data_root: Folder of the log.
      means: Of the split that the model was trained on, by column: `past.means` of `model.json`.
    """
    config = config.model_copy(update={"negatives": None})  # rows to score are those of the log
    with opened(config, data_root, keeps_order(config.source)) as (con, work):
        reader.load(con, config, data_root, work)
        reader.keep(con, config)
        past = PastColumns(con, config, work, judged="", means=means)
        # By their names in the log, as a scorer looks for them.
        columns = {column.source: name(column.name) for column in config.features.logged_columns}
        columns |= {c.name: "" for c in config.features.past_columns}  # `past` brings them
        extra = {config.features.label: LABEL, TIMESTAMP: f"{TIME} / {float(SECOND)!r}"}
        columns |= {column: sql for column, sql in extra.items() if column not in columns}
        yield RowFile("the log", "query", list(columns), _rows(con, past, columns), CsvFormat())


def _rows(
    con: duckdb.DuckDBPyConnection, past: PastColumns, columns: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    select = [f"{sql} AS {name(column)}" for column, sql in columns.items() if sql]
    select.append(f"{past.place_sql} AS {PLACE}")
    batches = con.sql(
        f"SELECT {', '.join(select)} FROM {LOG} WHERE {SPLIT} != {quoted(EARLIER)} ORDER BY {ROW}"
    ).to_arrow_reader(_BATCH)
    number = itertools.count(1)
    for batch in batches:
        for row in past.completed(batch).to_pylist():
            yield next(number), {column: row[column] for column in columns}
