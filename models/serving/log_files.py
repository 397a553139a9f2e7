"""Files of rows as a scorer reads them: CSV, JSON Lines and Parquet, a record at a time.

It reads what ingestion reads, and by the same rules, with nothing but Python's standard library;
Parquet needs pyarrow.
"""

from __future__ import annotations

import bz2
import csv
import decimal
import gzip
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from ranklite.models.serving.csv_format import CsvFormat, delimiter_of, first_line, records

Record = dict[str, Any]
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(path: str) -> str:
    """The format of a file by its name, compressed or not; CSV where the name does not tell."""
    stem, suffix = os.path.splitext(path)
    if suffix in _OPENERS:
        suffix = os.path.splitext(stem)[1]
    return _FORMATS.get(suffix.lower(), "csv")


def open_text(path: str, encoding: str) -> TextIO:
    """A text file, decompressed by its name, without a byte order mark."""
    opener = _OPENERS.get(os.path.splitext(path)[1], open)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    file: TextIO = opener(path, "rt", encoding=codec, newline="")
    return file


def rows_of(path: str, form: CsvFormat, encoding: str = "utf-8") -> Iterator[tuple[int, Record]]:
    """The rows of a file, each with the line that it begins in; of Parquet, its number from 1.

    Args:
      path: A CSV, JSON Lines or Parquet file.
      form: How CSV is written.
      encoding: Of a text file.

    Raises:
      ValueError: The file cannot be read; the message names file and line.
    """
    kind = format_of(path)
    if kind == "parquet":
        yield from parquet_rows(path)
        return
    with open_text(path, encoding) as file:
        try:
            yield from csv_rows(file, form) if kind == "csv" else json_rows(file)
        except (csv.Error, UnicodeError, EOFError, OSError) as error:
            raise ValueError(f"{path}: {error or 'it ends early'}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def csv_rows(lines: Iterable[str], form: CsvFormat) -> Iterator[tuple[int, Record]]:
    """The rows of CSV text; what `form.null` names, and an empty field, is None.

    Raises:
      ValueError: A row has more or fewer fields than there are columns.
    """
    rest = iter(lines)
    blank, first = first_line(rest)
    delimiter = form.delimiter or delimiter_of(first, form.quote)
    every = records(itertools.chain(["\n"] * blank, [first], rest), form, delimiter)
    names = list(form.columns) if form.columns is not None else next(every, (1, []))[1]
    for line, values in every:
        try:
            yield line, csv_row(names, values, form)
        except ValueError as error:
            raise ValueError(f"line {line} {error}") from None


def csv_row(names: Sequence[str], values: Sequence[str], form: CsvFormat) -> Record:
    """A row by the names of its columns; a delimiter behind its last field is no field.

    Raises:
      ValueError: It has more or fewer fields than there are columns.
    """
    if len(values) == len(names) + 1 and not values[-1]:
        values = values[:-1]
    if len(values) != len(names):
        raise ValueError(
            f"has {len(values)} fields, and there are {len(names)} columns: {list(values)}"
        )
    null = {"", *form.null}
    return {n: None if v in null else v for n, v in zip(names, values, strict=True)}


def json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Record]]:
    """The objects of JSON Lines; of a key that stands twice in one, the first counts.

    Raises:
      ValueError: A line is no JSON object.
    """
    for line, text in enumerate(lines, 1):
        if not text.strip(" \r\n"):
            continue
        try:
            row = json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {line} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {line} is no JSON object: {text[:100]!r}")  # noqa: TRY004
        yield line, row


def parquet_rows(path: str, groups: Iterable[int] | None = None) -> Iterator[tuple[int, Record]]:
    """The rows of a Parquet file, or of some of its row groups; binary values are text.

    Raises:
      ValueError: pyarrow is not installed, or cannot read the file.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(
            f"{path}: reading Parquet needs pyarrow: pip install pyarrow, or write CSV"
        ) from None
    try:
        file = pq.ParquetFile(path)
        number = 1
        starts = [0, *itertools.accumulate(
            file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)
        )]  # fmt: skip
        for group in groups if groups is not None else range(file.metadata.num_row_groups):
            number = starts[group] + 1
            for batch in file.read_row_group(group).to_batches():
                for row in batch.to_pylist():
                    yield number, {name: _plain(value) for name, value in row.items()}
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: {error}") from error


def _plain(value: Any) -> Any:
    """A value as text, number or list of them, where it is one."""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return list(map(_plain, value)) if isinstance(value, list) else value
