"""Writes scored rows in the format of the file that they came from, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ranklite.models.files import replaced
from ranklite.models.serving.csv_format import CsvWriter
from ranklite.models.serving.log_files import RowFile

Scored = tuple[Mapping[str, Any], float]


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
    writer = {"query": _csv, "csv": _csv, "jsonl": _jsonl}[source.kind]
    with replaced(path) as temporary:
        return writer(temporary, source, rows, column)


def write_tables(path: str, source: RowFile, tables: Iterator[tuple[Any, Any]], column: str) -> int:
    """Writes the record batches of a Parquet file with their scores, as `write` does.

    Args:
      path: The output.
      source: Where they are from.
      tables: Record batches, and an array with the scores of each.
      column: Of the scores.

    Returns:
      Number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    field = pa.field(column, pa.float32())
    count = 0
    schema = pq.read_schema(source.path).append(field)
    with replaced(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch, scores in tables:
            table = pa.Table.from_batches([batch])
            writer.write_table(table.append_column(field, pa.array(scores)))
            count += batch.num_rows
    return count


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
