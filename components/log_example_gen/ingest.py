"""From logs to examples: read, reject, split, sample, write, report. No TFX in here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.components.log_example_gen import (
    log_rows,
    negatives,
    reader,
    rejects,
    splits,
    writer,
)
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import connect
from ranklite.components.log_example_gen.log_table import LABEL, LOG, ROW, SPLIT, TIME
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns
from ranklite.models import progress
from ranklite.models.features.past import VIEWS_FILE, file_of
from ranklite.models.features.sql import name

_log = logging.getLogger(__name__)


def ingest(
    config: IngestConfig,
    data_root: str,
    rejects_dir: str,
    folder_of: Callable[[str], str],
    item_labels: str | None = None,
    log_rows_file: str | None = None,
    state_dir: str | None = None,
) -> dict[str, Any]:
    """Turns a log into examples.

    Args:
      config: What to read and how.
      data_root: Folder that the configuration's file names are relative to.
      rejects_dir: Receives `rejects.csv`; it outlives a failed run.
      folder_of: Where the file of a split goes.
      log_rows_file: JSON Lines file for rows of the last split as they stand in the log.
      item_labels: Parquet file for the items' names, written where the configuration has them.
      state_dir: Folder for what a file stores of the past, and for other states of the judged rows.

    Returns:
      A report: rows, positives, users, items and time range by split; rejects by reason; files
      with their size and digest; seconds.

    Raises:
      IngestError: The log is of no use; nothing was written that a later stage reads.
      FileNotFoundError: A glob matches no file.
    """
    started = time.monotonic()
    os.makedirs(rejects_dir, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=rejects_dir, prefix=".work-") as work,
        contextlib.closing(connect(data_root, work)) as con,
    ):
        _announce(config, data_root)
        scans = reader.load(con, config, data_root, work)
        rejected = rejects.reject(con, config, scans, rejects_dir, data_root)
        splits.assign(con, config)
        splits.check(con, config)
        if config.item_label and item_labels:  # before negatives take over their positives' names
            pq.write_table(_item_labels(con, config), item_labels)
        sampled = negatives.add_negatives(con, config, work) if config.sampled_negatives else {}
        judged = config.split_names[-1]
        if log_rows_file:
            rows_of_log = log_rows.sample(con, config, scans, judged)
            _write_lines(log_rows_file, rows_of_log, data_root)
        past = None
        if config.features.past_columns:
            past = PastColumns(con, config, work, judged)
        written = progress.Rows("writing", _count(con))
        for split in config.split_names:
            rows = writer.write_split(con, config, split, folder_of(split), written.add, past)
            _log.info("%s: %d rows", split, rows)
        if past is not None and state_dir:
            writer.write_views(con, judged, os.path.join(state_dir, VIEWS_FILE), past)
            for feature, table in past.stored.items():
                pq.write_table(table, os.path.join(state_dir, file_of(feature)))
        described = _describe(con, config)
    seconds = time.monotonic() - started
    rows = sum(split["rows"] for split in described.values())
    progress.report(figures={"rows": rows})
    return {
        "splits": described,
        "rejected": rejected,
        "sampled": sampled,
        "past": past.about() if past is not None else None,
        "files": file_digests(config, data_root),
        "spans": config.spans_read(data_root),
        "earlier_spans": config.earlier_spans(data_root),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds),
    }


def _write_lines(path: str, rows: list[dict[str, Any]], data_root: str) -> None:
    root = os.path.realpath(data_root)
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            name = os.path.relpath(row["file"], root) if row["file"] else ""
            file.write(json.dumps(row | {"file": name}, default=str) + "\n")


def _announce(config: IngestConfig, data_root: str) -> None:
    """DuckDB reads in one query, and how far that is it only guesses: what it reads is all."""
    paths = [path for files in config.matching_files(data_root).values() for path in files]
    megabytes = sum(map(os.path.getsize, paths)) / 1e6
    progress.report(f"reading {len(paths)} file{'s'[: len(paths) > 1]}, {megabytes:,.1f} MB")


def _count(con: duckdb.DuckDBPyConnection) -> int:
    [(rows,)] = con.execute(f"SELECT count(*) FROM {LOG}").fetchall()
    return int(rows)


def _describe(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> dict[str, dict[str, Any]]:
    def distinct(column: str | None) -> str:
        return f"count(DISTINCT {name(column)})" if column else "NULL"

    result = con.execute(
        f"SELECT {SPLIT}, count(*), sum({LABEL})::BIGINT, floor(min({TIME}) / 1e6)::BIGINT, "
        f"floor(max({TIME}) / 1e6)::BIGINT, {distinct(config.features.user)}, "
        f"{distinct(config.features.item)} FROM {LOG} GROUP BY 1"
    ).fetchall()
    keys = ("rows", "positives", "first_time", "last_time", "users", "items")
    by_split = {row[0]: dict(zip(keys, row[1:], strict=True)) for row in result}
    return {split: by_split[split] for split in config.split_names}


def _item_labels(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> pa.Table:
    """`item` and `label` as strings, an item a row; of several names the last in the log."""
    item = name(str(config.features.item))
    label = name(reader.table_column(config, str(config.item_label)))
    return con.sql(
        f"SELECT {item}::VARCHAR AS item, arg_max({label}, {ROW})::VARCHAR AS label FROM {LOG} "
        f"WHERE {item} IS NOT NULL AND {label} IS NOT NULL GROUP BY {item} ORDER BY 1"
    ).to_arrow_table()


def file_digests(config: IngestConfig, data_root: str) -> list[dict[str, Any]]:
    """Name relative to the data folder, bytes and SHA-256 of every file that the log is made of."""
    root = os.path.realpath(data_root)
    paths = sorted({p for files in config.matching_files(data_root).values() for p in files})
    return [
        {
            "name": os.path.relpath(path, root),
            "bytes": os.path.getsize(path),
            "sha256": _sha256(path),
        }
        for path in paths
    ]


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def input_digest(config: IngestConfig, data_root: str) -> str:
    """One digest over the names and contents of all files: what decides whether they changed."""
    digest = hashlib.sha256()
    for file in file_digests(config, data_root):
        digest.update(f"{file['name']}:{file['sha256']}\n".encode())
    return digest.hexdigest()
