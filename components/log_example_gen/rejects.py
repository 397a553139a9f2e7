"""Takes the rows that cannot be read out of a log, and says which they are."""

from __future__ import annotations

import csv
import os
from typing import Any

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.features.sql import name

SHOWN_REJECTS = 5
_REJECTS = "reject_errors"


def reject(
    con: duckdb.DuckDBPyConnection, config: IngestConfig, rejects_dir: str, data_root: str
) -> dict[str, int]:
    """Takes bad rows out of `log`, notes them in a file, and stops where there are too many.

    Args:
      con: After `reader.load`.
      config: Its `source.max_bad_rows` is the limit.
      rejects_dir: Folder for `rejects.csv`; it outlives a failed run.
      data_root: Files are named relative to it.

    Returns:
      Number of rejects by reason.

    Raises:
      IngestError: There are more than allowed, or no good row is left.
    """
    parts = ["SELECT '' AS file, row_id AS line, '' AS column_name, bad FROM log WHERE bad != ''"]
    tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    parts += [f"SELECT * FROM {name(t)}" for t in sorted(tables) if t.startswith("bad_json_")]
    if _REJECTS in tables:
        parts.append(
            "SELECT file_path, line, coalesce(column_name, ''), error_message FROM "
            "(SELECT DISTINCT ON (scan.file_path, line) scan.file_path, line, column_name, "
            f"error_message FROM {_REJECTS} JOIN reject_scans AS scan USING (scan_id, file_id) "
            "ORDER BY scan.file_path, line)"
        )
    rejects = con.execute(
        " UNION ALL ".join(f"({part})" for part in parts) + " ORDER BY 1, 2"
    ).fetchall()
    con.execute("DELETE FROM log WHERE bad != ''")
    [(good,)] = con.execute("SELECT count(*) FROM log").fetchall()
    path = _write_rejects(rejects, rejects_dir, data_root)
    share = len(rejects) / max(1, good + len(rejects))
    if share > config.source.max_bad_rows:
        shown = "\n".join(
            f"  {os.path.relpath(f, data_root) + ':' if f else 'row '}{line}: "
            f"{column + ': ' if column else ''}{_short(reason)}"
            for f, line, column, reason in rejects[:SHOWN_REJECTS]
        )
        raise IngestError(
            f"{len(rejects)} of {good + len(rejects)} rows ({share:.2%}) cannot be read, more than "
            f"source.max_bad_rows = {config.source.max_bad_rows:.2%} allows. The first ones:\n"
            f"{shown}\nAll of them are in {path}. Mend the log, or raise the limit."
        )
    if not good:
        raise IngestError("the log has no rows: its files hold a header at the most")
    reasons: dict[str, int] = {}
    for _, _, column, reason in rejects:
        kind = column or reason.split(":")[0]
        reasons[kind] = reasons.get(kind, 0) + 1
    return reasons


def _write_rejects(rejects: list[Any], folder: str, data_root: str) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "rejects.csv")
    with open(path + ".tmp", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "column", "reason"])
        for origin, line, column, reason in rejects:
            shown = os.path.relpath(origin, data_root) if origin else "(row of the result)"
            writer.writerow([shown, line, column, _short(reason)])
    os.replace(path + ".tmp", path)
    return path


def _short(text: str) -> str:
    return text.strip().splitlines()[0][:200]
