"""The rows of the configuration's query, for scoring: those that training saw, label and all."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import opened
from ranklite.components.log_example_gen.limits import QueryLimit
from ranklite.components.log_example_gen.query import query_scan
from ranklite.components.log_example_gen.reader import told_of
from ranklite.components.log_example_gen.scans import Scan, scan
from ranklite.components.log_example_gen.source import SourceConfig
from ranklite.models.serving.csv_format import CsvFormat
from ranklite.models.serving.log_files import RowFile

_BATCH = 10_000


@contextlib.contextmanager
def query_rows(config: IngestConfig, data_root: str) -> Iterator[RowFile]:
    """Runs the query over the files of a folder.

    Args:
      config: With a query.
      data_root: Folder of the tables' files.

    Raises:
      IngestError: There is no query, a file cannot be read, or the query fails.
    """
    if not config.source.query:
        raise IngestError(
            f"{data_root} is a folder, and the configuration has no query that reads its files: "
            "name one file"
        )
    with opened(config, data_root) as (con, work):
        tables: dict[str, list[Scan]] = {}
        for (_, table), paths in config.matching_files(data_root).items():
            settings = config.source.table(table)
            for path in paths:
                kind = config.file_format(path, table)
                tables.setdefault(table, []).append(scan(con, path, kind, settings, work, None))
        result = query_scan(con, config.source, tables)
        columns = list(result.types)
        rows = _rows(con, config.source, result, columns)
        yield RowFile("source.query", "query", columns, rows, CsvFormat())


def _rows(
    con: duckdb.DuckDBPyConnection, source: SourceConfig, result: Scan, columns: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    limit = QueryLimit(con, source)  # of what the query takes, and not of who scores its rows
    with limit.counting(), told_of(result):
        cursor = con.execute(result.sql)
    number = itertools.count(1)
    while True:
        with limit.counting(), told_of(result):
            batch = cursor.fetchmany(_BATCH)
        if not batch:
            return
        for values in batch:
            yield next(number), dict(zip(columns, values, strict=True))
