"""Rows of the log as they stand in its files, for the gate that scores them as an app would.

They are read a second time, by what `ranklite score` reads files with: what DuckDB made of a value
on its way to the Examples is then compared with what the scorer makes of it.
"""

from __future__ import annotations

import bisect
import contextlib
import decimal
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.lines import holds, records_of
from ranklite.components.log_example_gen.log_table import (
    FILE,
    LOG,
    NTH,
    RAW,
    RECORD,
    ROW,
    SPLIT,
    in_order,
)
from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.features.sql import quoted
from ranklite.models.serving import log_files
from ranklite.models.serving.csv_format import records

MOST = 1000  # rows
_MOST_RECORDS = 500_000  # of a file, that are parsed to come to one of them


def sample(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, scans: dict[int, Scan], split: str
) -> list[dict[str, Any]]:
    """Rows of a split, spread over it, each with its place among the split's Examples.

    Args:
      con: After the splits are assigned and negatives sampled.
      config: Whose columns are read.
      scans: What `reader.load` returned.
      split: The split that is judged.

    Returns:
      `example`, the number of the Example from 0; `file` and `line`, where the row stands; `row`,
      the values of the features' columns as JSON-ready data.
    """
    order = in_order(bool(config.sampled_negatives))
    positive = f"AND {NTH} = -1" if config.sampled_negatives else ""
    chosen = con.execute(
        f"SELECT {FILE}, {RECORD}, example, {RAW} FROM (SELECT *, row_number() OVER (ORDER BY "
        f"{order}) - 1 AS example FROM {LOG} WHERE {SPLIT} = {quoted(split)}) "
        f"WHERE ({FILE} >= 0 OR {RAW} IS NOT NULL) {positive} ORDER BY md5({ROW}::VARCHAR) "
        f"LIMIT {MOST}"
    ).fetchall()
    wanted: dict[int, dict[int, int]] = {}
    rows = []
    for number, record, example, raw in chosen:
        if number < 0:
            rows.append({"example": example, "file": "", "line": record, "row": json.loads(raw)})
        else:
            wanted.setdefault(number, {})[record] = example
    columns = [column.source for column in config.features.logged_columns]
    for number, examples in wanted.items():
        scan = scans[number]
        for record, line, values in _records(con, scan, sorted(examples)):
            row = {column: values.get(column) for column in columns}
            rows.append({"example": examples[record], "file": scan.path, "line": line, "row": row})
    return rows


def raw_sql(columns: Sequence[str]) -> str:
    """SQL of a row of a query's result as it is, of about one row in 16 and the first ones."""
    pairs = ", ".join(f'{quoted(c)}, "{c.replace(chr(34), chr(34) * 2)}"' for c in columns)
    return (
        f"CASE WHEN {RECORD} <= {MOST} OR hash({RECORD}) % 16 = 0 "
        f"THEN json_object({pairs})::VARCHAR END"
    )


def _records(
    con: duckdb.DuckDBPyConnection, scan: Scan, wanted: list[int]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Number, line and values of some records of a file."""
    if scan.kind == "parquet":
        yield from _of_parquet(scan, wanted)
        return
    rejected = _rejected(con, scan)
    whole_lines = scan.form is None or not holds(scan.plain, scan.form.quote)
    if whole_lines and not rejected and _ends_in_newline(scan.plain):
        yield from _of_lines(scan, wanted)
        return
    places, last = set(wanted), min(wanted[-1], _MOST_RECORDS)
    for record, line, content in records_of(scan, rejected):
        if record > last:
            return
        if record in places:
            with contextlib.suppress(ValueError):  # which a scorer refuses, and never changes
                yield record, line, _values(scan, content)


def _values(scan: Scan, content: Any) -> dict[str, Any]:
    """What the scorer's reader makes of a record."""
    if scan.form is None:
        return next((values for _, values in log_files.json_rows([content])), {})
    null = {"", *scan.form.null}
    row = log_files.csv_row(scan.columns, content)
    return {column: None if text in null else text for column, text in row.items()}


def _of_lines(scan: Scan, wanted: list[int]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Where a record is a line: lines are counted, and only some of them parsed."""
    header = scan.form is not None and scan.form.columns is None
    with open(scan.plain, "rb") as file:
        blank = b" \r\n" if scan.form is None else b"\r\n"
        every = enumerate(file, 1)
        lines = ((number, line) for number, line in every if line.strip(blank))
        if header:
            next(lines, None)
        place = 0
        for record in wanted:
            number, line = next(itertools.islice(lines, record - place - 1, None), (0, b""))
            if not number:
                return
            place = record
            content: Any = line.decode(errors="replace")
            if scan.form is not None:
                [(_, content)] = records([content], scan.form, str(scan.form.delimiter))
            yield record, number, _values(scan, content)


def _ends_in_newline(path: str) -> bool:
    """Whether lines end by \\n or \\r\\n, as those of all but very old files do."""
    with open(path, "rb") as file:
        return b"\r" not in file.readline().rstrip(b"\r\n")


def _of_parquet(scan: Scan, wanted: list[int]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    metadata = pq.ParquetFile(scan.path).metadata
    sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    ends = list(itertools.accumulate(sizes))
    groups = sorted({bisect.bisect_left(ends, record) for record in wanted})
    places = set(wanted)
    uuids = log_files.uuid_columns(scan.path)
    for number, values in log_files.parquet_rows(scan.path, groups[-2:]):
        if number in places:
            row = {n: _json_ready(log_files.plain(v, n in uuids)) for n, v in values.items()}
            yield number, number, row


def _json_ready(value: Any) -> Any:
    """JSON has numbers and no decimals; a fraction is of use to a number only, which is a float."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return list(map(_json_ready, value)) if isinstance(value, list) else value


def _rejected(con: duckdb.DuckDBPyConnection, scan: Scan) -> set[int]:
    """Numbers of the rows of a file that DuckDB could not read."""
    tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if "reject_errors" not in tables:
        return set()
    rows = con.execute(
        "SELECT DISTINCT line FROM reject_errors JOIN reject_scans AS scan "
        "USING (scan_id, file_id) WHERE scan.file_path = $1",
        [scan.plain],
    ).fetchall()
    return {line for (line,) in rows}
