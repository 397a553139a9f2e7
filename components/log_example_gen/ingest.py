"""From logs to examples: read, reject, split, sample, write, report. No TFX in here."""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ranklite.components.engines.engine import Engine
from ranklite.components.engines.local import Local
from ranklite.components.log_example_gen import (
    limits,
    log_rows,
    negatives,
    newest_span,
    reader,
    rejects,
    splits,
    writer,
)
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import MEGABYTES, connect, is_wide
from ranklite.components.log_example_gen.input_files import file_digests
from ranklite.components.log_example_gen.item_labels import item_labels as item_labels_of
from ranklite.components.log_example_gen.keyed_query import keeps_order
from ranklite.components.log_example_gen.parts import run
from ranklite.components.log_example_gen.point_in_time.columns import PastColumns
from ranklite.models import progress
from ranklite.models.environment import cores
from ranklite.models.features.past import VIEWS_FILE

_WORK = ".work-"  # what the name of a folder beside the rejects begins with, while it reads

_log = logging.getLogger(__name__)


def ingest(
    config: IngestConfig,
    data_root: str,
    rejects_dir: str,
    folder_of: Callable[[str], str],
    item_labels: str | None = None,
    log_rows_file: str | None = None,
    state_dir: str | None = None,
    engine: Engine | None = None,
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
      engine: Works on the log in parts, with the same results; None reads it in this process.

    Returns:
      A report: rows, positives, users, items and time range by split; rejects by reason; files
      with their size and digest; seconds.

    Raises:
      IngestError: The log is of no use; nothing was written that a later stage reads.
      FileNotFoundError: A glob matches no file.
    """
    with limits.told():
        newest_span.check_rows(config, data_root)
        if engine is None and config.source.partition_by is not None:
            engine = Local(workers=1)  # the same tasks, one by one in this process
        if engine is None:
            return _here(
                config, data_root, rejects_dir, folder_of, item_labels, log_rows_file, state_dir
            )
        outputs = run.Outputs(rejects_dir, folder_of, item_labels, log_rows_file, state_dir)
        return _on_engine(engine, config, data_root, outputs)


def _here(config: IngestConfig, *rest: Any) -> dict[str, Any]:
    """In this process, with as little memory as will do."""
    few = _few_megabytes(config)
    if few < MEGABYTES:
        try:
            return _ingest(few, config, *rest)
        except duckdb.OutOfMemoryException as error:  # of rows that are very long
            _log.warning("%s: once more with %d MB", error, MEGABYTES)
    return _ingest(MEGABYTES, config, *rest)


def _few_megabytes(config: IngestConfig) -> int:
    """What DuckDB needs: little, where rows only pass by, however many there are.

    Cores that add rows beside each other need more: with less they wait for each other, busily.
    """
    if config.source.query or config.sampled_negatives or config.features.past_columns:
        return MEGABYTES
    if is_wide(config):
        return MEGABYTES
    return min(MEGABYTES, 128 + (64 * cores() if cores() > 1 else 0))


def _ingest(
    megabytes: int,
    config: IngestConfig,
    data_root: str,
    rejects_dir: str,
    folder_of: Callable[[str], str],
    item_labels: str | None,
    log_rows_file: str | None,
    state_dir: str | None,
) -> dict[str, Any]:
    started = time.monotonic()
    os.makedirs(rejects_dir, exist_ok=True)
    for left in glob.glob(os.path.join(glob.escape(rejects_dir), f"{_WORK}*")):
        shutil.rmtree(left)  # of one that was killed, with a copy of the log
    with (
        tempfile.TemporaryDirectory(dir=rejects_dir, prefix=_WORK) as work,
        contextlib.closing(
            connect(config, data_root, work, megabytes, in_order=keeps_order(config.source))
        ) as con,
    ):
        _announce(config, data_root)
        scans = reader.load(con, config, data_root, work)
        rejected = rejects.reject(con, config, scans, rejects_dir, data_root)
        splits.assign(con, config)
        splits.check_labels(con, config)
        described = splits.described(con, config)
        splits.check(described, config)
        if config.item_label and item_labels:  # before negatives take over their positives' names
            pq.write_table(item_labels_of(con, config), item_labels)
        sampled = {}
        if config.sampled_negatives:
            sampled = negatives.add_negatives(con, config, work)
            described = splits.described(con, config)
        judged = config.split_names[-1]
        if log_rows_file:
            rows_of_log = log_rows.sample(con, config, scans, judged)
            _write_lines(log_rows_file, rows_of_log, data_root)
        past = None
        if config.features.past_columns:
            past = PastColumns(con, config, work, judged)
        written = progress.Rows("writing", sum(each["rows"] for each in described.values()))
        rows_of = {split: each["rows"] for split, each in described.items()}
        for split, rows in writer.write_splits(
            con, config, folder_of, rows_of, written.add, past
        ).items():
            _log.info("%s: %d rows", split, rows)
        if past is not None and state_dir:
            writer.write_views(con, judged, os.path.join(state_dir, VIEWS_FILE), past)
            writer.write_states(past.stored, state_dir)
    results = run.Results(described, rejected, sampled, past.about() if past is not None else None)
    return _report(config, data_root, results, time.monotonic() - started)


def _on_engine(
    engine: Engine, config: IngestConfig, data_root: str, outputs: run.Outputs
) -> dict[str, Any]:
    started = time.monotonic()
    _announce(config, data_root)
    results = run.ingest(config, data_root, outputs, engine)
    if outputs.log_rows_file:
        _write_lines(outputs.log_rows_file, results.rows_of_log, data_root)
    return _report(config, data_root, results, time.monotonic() - started)


def _report(
    config: IngestConfig, data_root: str, results: run.Results, seconds: float
) -> dict[str, Any]:
    rows = sum(split["rows"] for split in results.splits.values())
    progress.report(figures={"rows": rows})
    return {
        "splits": results.splits,
        "rejected": results.rejected,
        "sampled": results.sampled,
        "past": results.past,
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
