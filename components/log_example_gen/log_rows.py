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
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.lines import holds, place, records_of
from ranklite.components.log_example_gen.log_table import (
    LOG,
    NTH,
    RAW,
    ROW,
    SPLIT,
)
from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.features.sql import name, quoted
from ranklite.models.safe_arrow import safe_parquet
from ranklite.models.serving import log_files
from ranklite.models.serving.csv_format import records

MOST = 1000  # rows
_OF_FIRST = " "  # before the JSON of a row that is kept as one of the first ones
_COUNTED = 100_000  # rows at a time
_MOST_RECORDS = 500_000  # of a file, that are parsed to come to one of them


class PieceRows(NamedTuple):
    """What decides how rows of a piece of a text file are found: the same as in all of the file.

    Attributes:
      whole_lines: Whether each record is a line, and DuckDB could read all of them.
      before: How many records come before the piece.
    """

    whole_lines: bool
    before: int


def sample(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, scans: Sequence[Scan], split: str
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
    chosen = [(row, text) for _, row, text in candidates(con, config, split)]
    example_of = examples_of(con, sorted(row for row, _ in chosen), split)
    wanted: dict[int, dict[int, int]] = {}
    rows = []
    for row, text in chosen:
        number, record = place(scans, row)
        example = example_of[row]
        if text is not None:
            rows.append(of_text(example, record, text))
        else:
            wanted.setdefault(number, {})[record] = example
    for number, examples in wanted.items():
        rows += of_file(config, scans[number], examples, unreadable(con, scans[number]))
    return rows


def candidates(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, split: str
) -> list[tuple[str, int, str | None]]:
    """Those of the rows that are chosen, or would be of more rows than these.

    Returns:
      What they are ordered by, the number of the row in the log, and JSON of a query's row.
    """
    raw = RAW if config.source.query else "NULL"
    kept = f" AND {RAW} IS NOT NULL" if config.source.query else ""
    kept += f" AND {NTH} = -1" if config.sampled_negatives else ""
    return con.execute(
        f"SELECT md5({ROW}::VARCHAR), {ROW}, {raw} FROM {LOG} WHERE {SPLIT} = {quoted(split)}{kept}"
        f" ORDER BY 1 LIMIT {MOST}"
    ).fetchall()


def of_text(example: int, record: int, text: str) -> dict[str, Any]:
    """A row of a query's result, from its JSON."""
    return {"example": example, "file": "", "line": record, "row": json.loads(text)}


def of_file(
    config: IngestConfig,
    scan: Scan,
    examples: Mapping[int, int],
    rejected: Collection[int],
    of_piece: PieceRows | None = None,
) -> list[dict[str, Any]]:
    """Rows of a file.

    Args:
      config: Whose columns are read.
      scan: The file.
      examples: The number of the Example by that of the record.
      rejected: What `unreadable` returned.
      of_piece: Of a piece of a text file, what is known of all of it.
    """
    columns = [column.source for column in config.features.logged_columns]
    return [
        {
            "example": examples[record],
            "file": scan.path,
            "line": line,
            "row": {column: values.get(column) for column in columns},
        }
        for record, line, values in _records(scan, sorted(examples), rejected, of_piece)
    ]


def examples_of(con: duckdb.DuckDBPyConnection, rows: Sequence[int], split: str) -> dict[int, int]:
    """How many Examples of a split come before some of its rows, which are in order."""
    before = np.zeros(len(rows) + 1, np.int64)
    for batch in con.sql(
        f"SELECT {ROW} FROM {LOG} WHERE {SPLIT} = {quoted(split)}"
    ).to_arrow_reader(_COUNTED):
        behind = np.searchsorted(rows, np.asarray(batch.column(0)), side="right")
        before += np.bincount(behind, minlength=len(before))
    return dict(zip(rows, np.cumsum(before).tolist(), strict=False))


def raw_sql(columns: Sequence[str], record: str) -> str:
    """SQL of a row of a query's result as it is, of the first rows and of about one in 16.

    Which ones these are what they hold decides, so that it is known of any part of the result.

    Args:
      columns: That are kept.
      record: SQL of the number of the row, from 1.
    """
    pairs = ", ".join(f"{quoted(c)}, {name(c)}" for c in columns)
    values, row = ", ".join(map(name, columns)) or "0", f"json_object({pairs})::VARCHAR"
    return (
        f"CASE WHEN hash({values}) % 16 = 0 THEN {row} "
        f"WHEN {record} <= {MOST} THEN concat({quoted(_OF_FIRST)}, {row}) END"
    )


def raw_of_part(before: int, record: str) -> str:
    """SQL of the same, of a part: as it would be where rows are numbered in all parts.

    Args:
      before: Rows of the result in the parts before it.
      record: SQL of the number of the row in the part.
    """
    is_later = f"starts_with({RAW}, {quoted(_OF_FIRST)}) AND {record} + {before} > {MOST}"
    return f"CASE WHEN {is_later} THEN NULL ELSE {RAW} END"


def _records(
    scan: Scan, wanted: list[int], rejected: Collection[int], of_piece: PieceRows | None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Number, line and values of some records of a file."""
    if scan.kind == "parquet":
        yield from _of_parquet(scan, wanted)
        return
    if of_piece is None:
        whole_lines = scan.form is None or not holds(scan.plain, scan.form.quote)
        whole_lines = whole_lines and not rejected and _ends_in_newline(scan.plain)
        of_piece = PieceRows(whole_lines, 0)
    if of_piece.whole_lines:
        yield from _of_lines(scan, wanted)
        return
    places, last = set(wanted), min(wanted[-1], _MOST_RECORDS - of_piece.before)
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
            place, number = record, scan.before + number
            content: Any = line.decode(errors="replace")
            if scan.form is not None:
                [(_, content)] = records([content], scan.form, str(scan.form.delimiter))
            yield record, number, _values(scan, content)


def _ends_in_newline(path: str) -> bool:
    """Whether lines end by \\n or \\r\\n, as those of all but very old files do."""
    with open(path, "rb") as file:
        return b"\r" not in file.readline().rstrip(b"\r\n")


def _of_parquet(scan: Scan, wanted: list[int]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    metadata = safe_parquet().read_metadata(scan.path)
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


def unreadable(con: duckdb.DuckDBPyConnection, scan: Scan) -> set[int]:
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
