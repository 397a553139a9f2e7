"""Says which rows of a log cannot be read, and where they stand."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.lines import line_numbers, lines_of_rows, place
from ranklite.components.log_example_gen.log_table import LOADED, REJECTED, WRONG
from ranklite.components.log_example_gen.reader import NUMBERED
from ranklite.components.log_example_gen.scans import Scan
from ranklite.models.features.sql_values import problems
from ranklite.models.serving.csv_format import CsvWriter

SHOWN_REJECTS = 5
_UNREADABLE = "reject_errors"  # DuckDB's own
_CUT = 10_000  # letters of a line that DuckDB shows
_SHOWN = 100


@dataclasses.dataclass(frozen=True, order=True)
class Reject:
    """A row that is left out.

    Attributes:
      file: Relative to the data folder; "" for a row of a query's result.
      line: It begins in; of a Parquet file or a query's result the number of the row, from 1.
      column: Whose value is the reason; "" where it is the whole row.
      reason: In words.
      value: As far as it is shown.
    """

    file: str
    line: int
    column: str
    reason: str
    value: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file else f"row {self.line} of the result"
        column = f"{self.column}: " if self.column else ""
        value = f": {self.value!r}" if self.value else ""
        return f"{where}: {column}{self.reason}{value}"


def reject(
    con: duckdb.DuckDBPyConnection,
    config: IngestConfig,
    scans: Sequence[Scan],
    rejects_dir: str,
    data_root: str,
) -> dict[str, int]:
    """Notes bad rows in a file, and stops where there are too many; `reader.keep` drops them.

    Args:
      con: After `reader.load`.
      config: Its `source.max_bad_rows` is the limit.
      scans: What `reader.load` returned.
      rejects_dir: Folder for `rejects.csv`; it outlives a failed run.
      data_root: Files are named relative to it.

    Returns:
      Number of rejects by column, or by reason.

    Raises:
      IngestError: There are more than allowed, or no good row is left.
    """
    rejects = listed(con, scans, data_root)
    [(good,)] = con.execute(f"SELECT count(*) FROM {LOADED} WHERE {WRONG} = ''").fetchall()
    return write(rejects, good, config, rejects_dir)


def write(
    rejects: Iterable[Reject], good: int, config: IngestConfig, rejects_dir: str
) -> dict[str, int]:
    """Writes rejects, which come in their order, and returns and raises what `reject` does.

    Args:
      rejects: As of `listed`; they pass by one by one.
      good: How many rows can be read.
      config: Its `source.max_bad_rows` is the limit.
      rejects_dir: Folder for `rejects.csv`.
    """
    os.makedirs(rejects_dir, exist_ok=True)
    path = os.path.join(rejects_dir, "rejects.csv")
    counts = collections.Counter[str]()
    first_ones: list[Reject] = []
    bad, last = 0, None
    with open(path + ".tmp", "w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file)
        writer.write(["file", "line", "column", "reason", "value"])
        for each in rejects:
            reason = each.reason.strip().splitlines()[0]
            shown_file = each.file or "(row of the result)"
            writer.write([shown_file, each.line, each.column, reason, each.value])
            counts[each.column or each.reason] += 1
            first_ones += [each][len(first_ones) // SHOWN_REJECTS :]
            bad += (each.file, each.line) != last
            last = each.file, each.line
    os.replace(path + ".tmp", path)
    share = bad / max(1, good + bad)
    if share > config.source.max_bad_rows:
        shown = "\n".join(f"  {each}" for each in first_ones)
        raise IngestError(
            f"{bad} of {good + bad} rows ({share:.2%}) cannot be read, more than "
            f"source.max_bad_rows = {config.source.max_bad_rows:.2%} allows. The first ones:\n"
            f"{shown}\nAll of them are in {path}. Mend the log, or raise the limit."
        )
    if not good:
        raise IngestError("the log has no rows: its files hold a header at the most")
    return dict(counts)


def listed(
    con: duckdb.DuckDBPyConnection, scans: Sequence[Scan], data_root: str, number: str = NUMBERED
) -> list[Reject]:
    """The rejects in the order of files and lines.

    Args:
      con: After `reader.load`.
      scans: What `reader.load` returned.
      data_root: Files are named relative to it.
      number: SQL of the number of a row of `LOADED`.
    """
    return sorted(_rejects(con, scans, data_root, number))


def _rejects(
    con: duckdb.DuckDBPyConnection, scans: Sequence[Scan], data_root: str, number_sql: str
) -> Iterator[Reject]:
    by_plain = {os.path.realpath(scan.plain): scan for scan in scans}
    unreadable: dict[str, dict[int, tuple[str, str]]] = collections.defaultdict(dict)
    for path, row, reason, text in _unreadable(con):
        unreadable[by_plain[os.path.realpath(path)].path][row] = reason, text
    by_path = {scan.path: number for number, scan in enumerate(scans)}
    for path, of_rows in unreadable.items():
        scan = scans[by_path[path]]
        lines = lines_of_rows(scan, of_rows)
        for row, (reason, text) in of_rows.items():
            line, shown = lines.get(row, row), text.strip("\r\n")
            if len(text) >= _CUT and "\n" in text:
                raise IngestError(
                    f"{path}: line {line}: a quote opens a value of very many lines, and none "
                    "closes it before a delimiter: double a quote inside of a value, or say "
                    f"by `source.csv.quote` how values are quoted: {shown[:_SHOWN]!r}"
                )
            for number, one in enumerate(shown.split("\n")):
                yield Reject(_relative(path, data_root), line + number, "", reason, one[:_SHOWN])
    of_scan: dict[int, dict[int, str]] = collections.defaultdict(dict)
    for row, text in con.execute(
        f"SELECT {number_sql}, {WRONG} FROM {LOADED} WHERE {WRONG} != ''"
    ).fetchall():
        number, record = place(scans, row)
        of_scan[number][record] = text
    noted = con.execute(f"SELECT path, record, problems FROM {REJECTED}").fetchall()
    for path, record, text in noted:
        if path in by_path:
            of_scan[by_path[path]][record] = text
    for number, texts in of_scan.items():
        scan = scans[number]
        lines = line_numbers(scan, texts, unreadable[scan.path])
        for record, text in texts.items():
            for column, reason, value in problems(text):
                file = _relative(scan.path, data_root)
                yield Reject(file, lines.get(record, record), column, reason, value)


def _unreadable(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int, str, str]]:
    """Path, number, reason and text of the rows that DuckDB itself could not read."""
    tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if _UNREADABLE not in tables:
        return []
    rows: list[tuple[str, int, str, str]] = con.execute(
        "SELECT DISTINCT ON (scan.file_path, line) scan.file_path, line, error_message, "
        f"coalesce(csv_line, '') FROM {_UNREADABLE} JOIN reject_scans AS scan "
        "USING (scan_id, file_id) ORDER BY scan.file_path, line, byte_position"
    ).fetchall()
    return rows


def _relative(path: str, data_root: str) -> str:
    return os.path.relpath(path, os.path.realpath(data_root)) if path else ""
