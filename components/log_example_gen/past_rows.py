"""The rows of a log with what each may know of the rows before it, for scoring."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from ranklite.components.log_example_gen import reader
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import connect
from ranklite.components.log_example_gen.log_table import LABEL, LOG, ROW, TIME, WRONG
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns, without_places
from ranklite.components.log_example_gen.point_in_time.state import PLACE
from ranklite.models.features.past import SECOND
from ranklite.models.features.sql import name
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
    with (
        tempfile.TemporaryDirectory(prefix="ranklite-") as work,
        contextlib.closing(connect(data_root, work)) as con,
    ):
        reader.load(con, config, data_root, work)
        con.execute(f"DELETE FROM {LOG} WHERE {WRONG} != ''")
        past = PastColumns(con, config, work, judged="", means=means)
        logged = [column.name for column in config.features.logged_columns]
        columns = [
            *logged,
            *(c.name for c in config.features.past_columns),
            config.features.label,
            "time",
        ]
        yield RowFile("the log", "query", columns, _rows(con, config, past, logged), CsvFormat())


def _rows(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, past: PastColumns, logged: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    select = [name(column) for column in logged]
    select += [
        f"{LABEL} AS {name(config.features.label)}",
        f"{TIME} / {float(SECOND)!r} AS time",
        f"{past.place_sql} AS {PLACE}",
    ]
    batches = con.sql(f"SELECT {', '.join(select)} FROM {LOG} ORDER BY {ROW}").to_arrow_reader(
        _BATCH
    )
    for batch in batches:
        places, rows = without_places(batch)
        table = pa.Table.from_batches([rows])
        for column, values in past.batch(places).items():
            table = table.append_column(column, values)
        yield from zip(places.tolist(), table.to_pylist(), strict=True)
