"""Takes the rows that cannot be read out of a log, and says which they are."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterator, Mapping

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.lines import line_numbers, lines_of_rows
from ranklite.components.log_example_gen.log_table import FILE, LOG, RECORD, REJECTED, WRONG
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
    scans: Mapping[int, Scan],
    rejects_dir: str,
    data_root: str,
) -> dict[str, int]:
    """Takes bad rows out of the log, notes them in a file, and stops where there are too many.

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
    con.execute(f"DELETE FROM {LOG} WHERE {WRONG} != ''")
    [(good,)] = con.execute(f"SELECT count(*) FROM {LOG}").fetchall()
    path = _write_rejects(rejects, rejects_dir)
    bad = len({(each.file, each.line) for each in rejects})
    share = bad / max(1, good + bad)
    if share > config.source.max_bad_rows:
        shown = "\n".join(f"  {each}" for each in rejects[:SHOWN_REJECTS])
        raise IngestError(
            f"{bad} of {good + bad} rows ({share:.2%}) cannot be read, more than "
            f"source.max_bad_rows = {config.source.max_bad_rows:.2%} allows. The first ones:\n"
            f"{shown}\nAll of them are in {path}. Mend the log, or raise the limit."
        )
    if not good:
        raise IngestError("the log has no rows: its files hold a header at the most")
    return dict(collections.Counter(each.column or each.reason for each in rejects))


def listed(
    con: duckdb.DuckDBPyConnection, scans: Mapping[int, Scan], data_root: str
) -> list[Reject]:
    """The rejects in the order of files and lines; arguments as for `reject`."""
    return sorted(_rejects(con, scans, data_root))


def _rejects(
    con: duckdb.DuckDBPyConnection, scans: Mapping[int, Scan], data_root: str
) -> Iterator[Reject]:
    by_plain = {os.path.realpath(scan.plain): scan for scan in scans.values()}
    unreadable: dict[str, dict[int, tuple[str, str]]] = collections.defaultdict(dict)
    for path, row, reason, text in _unreadable(con):
        unreadable[by_plain[os.path.realpath(path)].path][row] = reason, text
    by_path = {scan.path: number for number, scan in scans.items()}
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
    rows = con.execute(
        f"SELECT {FILE}, {RECORD}, {WRONG} FROM {LOG} WHERE {WRONG} != ''"
    ).fetchall()
    noted = con.execute(f"SELECT path, record, problems FROM {REJECTED}").fetchall()
    rows += [(by_path[path], record, text) for path, record, text in noted if path in by_path]
    of_scan: dict[int, dict[int, str]] = collections.defaultdict(dict)
    for number, record, text in rows:
        of_scan[number][record] = text
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


def _write_rejects(rejects: list[Reject], folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "rejects.csv")
    with open(path + ".tmp", "w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file)
        writer.write(["file", "line", "column", "reason", "value"])
        for each in rejects:
            reason = each.reason.strip().splitlines()[0]
            shown = each.file or "(row of the result)"
            writer.write([shown, each.line, each.column, reason, each.value])
    os.replace(path + ".tmp", path)
    return path
