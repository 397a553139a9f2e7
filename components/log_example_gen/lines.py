"""The records of a text file with their lines, as DuckDB counts the ones and people the others."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.serving.csv_format import every_record

_BLOCK = 1 << 22


def place(scans: Sequence[Scan], row: int) -> tuple[int, int]:
    """Which scan a row of the log is of, and which of its rows, from 1.

    Args:
      scans: In the order of their rows; those that the log has nothing of come first.
      row: Its number in the log, from 1.
    """
    unread = sum(1 for each in scans if each.after is None)
    starts = [each.after for each in scans[unread:] if each.after is not None]
    number = bisect.bisect_left(starts, row) - 1
    return unread + number, row - starts[number]


def line_numbers(scan: Scan, wanted: Collection[int], rejected: Collection[int]) -> dict[int, int]:
    """The line that each of some records begins in.

    Args:
      scan: The file; of a Parquet file or a query's result a record's number is its row's.
      wanted: Numbers of records, from 1, in what DuckDB read of the file.
      rejected: Numbers of the rows that DuckDB could not read, which are no records.
    """
    if scan.kind in ("parquet", "query"):
        return {record: scan.before + record for record in wanted}
    last, result = max(wanted, default=0), {}
    for record, line, _ in records_of(scan, rejected):
        if record > last:
            break
        if record in wanted:
            result[record] = line
    return result


def lines_of_rows(scan: Scan, wanted: Collection[int]) -> dict[int, int]:
    """The line that each of some rows begins in.

    Args:
      scan: A text file.
      wanted: Numbers of rows as DuckDB reports them: blank lines and what it could not read count,
        a value of several lines does not.
    """
    last, result = max(wanted, default=0), {}
    for row, line, _ in _rows(scan):
        if row > last:
            break
        if row in wanted:
            result[row] = line
    return result


def records_of(scan: Scan, rejected: Collection[int]) -> Iterator[tuple[int, int, Any]]:
    """Number, line and content of each record that DuckDB read: fields of CSV, or a line of JSON.

    Args:
      scan: A text file.
      rejected: Numbers of the rows that DuckDB could not read.
    """
    record = 0
    header = scan.form is not None and scan.form.columns is None
    for row, line, content in _rows(scan):
        if not content or (isinstance(content, str) and not content.strip(" \r\n")):
            continue
        if header:
            header = False
        elif row not in rejected:
            record += 1
            yield record, line, content


def holds(path: str, text: str) -> bool:
    """Whether a file has a text anywhere."""
    if not text:
        return False
    with open(path, "rb") as file:
        return any(text.encode() in block for block in iter(lambda: file.read(_BLOCK), b""))


def _rows(scan: Scan) -> Iterator[tuple[int, int, Any]]:
    with open(scan.plain, encoding="utf-8", errors="replace", newline="") as file:
        if scan.form is None:
            yield from ((n, scan.before + n, text) for n, text in enumerate(file, 1))
            return
        rows = every_record(file, scan.form, str(scan.form.delimiter), strict=False)
        yield from ((row, scan.before + line, v) for row, (line, v) in enumerate(rows, 1))
