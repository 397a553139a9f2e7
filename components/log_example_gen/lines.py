"""Where in its file a record stands: asked for only where something is wrong with it."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterator

from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.serving.csv_format import records


def line_numbers(scan: Scan, wanted: Collection[int], rejected: Collection[int]) -> dict[int, int]:
    """The line that each of some records begins in.

    Args:
      scan: The file; of a Parquet file or a query's result a record's number is its row's.
      wanted: Numbers of records, from 1, in the file as DuckDB read it.
      rejected: Lines that it could not read, which are no records.
    """
    if scan.kind in ("parquet", "query"):
        return {record: record for record in wanted}
    last = max(wanted, default=0)
    numbered = zip(itertools.count(1), _begun(scan, set(rejected)), strict=False)
    every = itertools.takewhile(lambda pair: pair[0] <= last, numbered)
    return {record: line for record, line in every if record in wanted}


def _begun(scan: Scan, rejected: set[int]) -> Iterator[int]:
    with open(scan.plain, encoding="utf-8", errors="replace", newline="") as file:
        if scan.form is None:
            for line, text in enumerate(file, 1):
                if text.strip(" \r\n") and line not in rejected:
                    yield line
            return
        rows = records(file, scan.form, str(scan.form.delimiter))
        if scan.form.columns is None:
            next(rows, None)
        try:
            for line, _ in rows:
                if line not in rejected:
                    yield line
        except csv.Error:  # what DuckDB refused as well
            return
