"""Writes scored rows in the format of the file that they came from, whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ranklite.models.serving.csv_format import CsvWriter
from ranklite.models.serving.log_files import RowFile

Scored = tuple[Mapping[str, Any], float]
_BATCH = 10_000  # rows of Parquet that are written together


def write(
    path: str, source: RowFile, rows: Iterator[tuple[Mapping[str, Any], float]], column: str
) -> int:
    """Writes the rows of a file with their scores.

    Args:
      path: The output; it takes its place once it is whole, and leaves nothing where it fails.
      source: Where the rows are from: the output has its format, columns and delimiter.
      rows: Rows, and their scores.
      column: Of the scores, behind all others.

    Returns:
      Number of rows.
    """
    writer = {"query": _csv, "csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[source.kind]
    with _replaced(path) as temporary:
        return writer(temporary, source, rows, column)


def _csv(path: str, source: RowFile, rows: Iterator[Scored], column: str) -> int:
    count = 0
    delimiter = source.form.delimiter or ","
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file, delimiter)
        writer.write([*(source.columns or ()), column])
        for row, score in rows:
            writer.write([*row.values(), f"{score:.9g}"])
            count += 1
    return count


def _jsonl(path: str, source: RowFile, rows: Iterator[Scored], column: str) -> int:
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for row, score in rows:
            file.write(json.dumps({**row, column: score}, ensure_ascii=False) + "\n")
            count += 1
    return count


def _parquet(path: str, source: RowFile, rows: Iterator[Scored], column: str) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(source.path)
    schema = schema.append(pa.field(column, pa.float32()))
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(itertools.islice(rows, _BATCH)):
            table = [{**row, column: score} for row, score in batch]
            writer.write_table(pa.Table.from_pylist(table, schema=schema))
            count += len(batch)
    return count


@contextlib.contextmanager
def _replaced(path: str) -> Iterator[str]:
    """A temporary file beside a path, which it replaces at the end."""
    folder, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    os.close(descriptor)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
