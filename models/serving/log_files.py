"""Files of rows as a scorer reads them: CSV, JSON Lines and Parquet, a record at a time.

It reads what ingestion reads, and by the same rules, with nothing but Python's standard library;
Parquet needs pyarrow.
"""

from __future__ import annotations

import bz2
import contextlib
import csv
import dataclasses
import gzip
import importlib
import io
import itertools
import json
import os
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from ranklite.models.compressed import FIRST, compression
from ranklite.models.safe_arrow import safe_arrow
from ranklite.models.serving.csv_format import (
    CsvFormat,
    checked_names,
    delimiter_of,
    first_line,
    records,
)

Record = dict[str, Any]
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a letter that JSON writes as two: text needs both
_TOGETHER = 1 << 16  # rows of Parquet
_COMPRESSED = (".gz", ".bz2", ".zst")
_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(path: str, otherwise: str | None = None) -> str:
    """The format of a file by its name, compressed or not.

    Args:
      path: Its name, with a suffix.
      otherwise: What it is where the name does not tell; None stands for CSV.
    """
    stem, suffix = os.path.splitext(path.lower())
    if suffix in _COMPRESSED:
        suffix = os.path.splitext(stem)[1]
    return _FORMATS.get(suffix, otherwise or "csv")


def open_text(path: str, encoding: str) -> TextIO:
    """A text file, decompressed where its first bytes say so, without a byte order mark.

    Raises:
      ValueError: It is compressed by Zstandard, and pyarrow is not installed.
    """
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with open(path, "rb") as start:
        compressed = compression(start.read(FIRST))
    if compressed == "zstd":
        pa = _pyarrow(path, "Zstandard")
        return io.TextIOWrapper(pa.input_stream(path, compression="zstd"), codec, newline="")
    openers: dict[str | None, Any] = {"gzip": gzip.open, "bz2": bz2.open, None: open}
    file: TextIO = openers[compressed](path, "rt", encoding=codec, newline="")
    return file


@dataclasses.dataclass(frozen=True)
class RowFile:
    """An open file of rows.

    Attributes:
      path: The file.
      kind: `csv`, `jsonl` or `parquet`; `query` for the result of one.
      columns: Their names; None for JSON Lines, whose rows have keys of their own.
      rows: Each row as it stands there, with the line that it begins in; of Parquet, its number
        from 1. Reading them raises a ValueError that names the line.
      form: How a CSV file is written, its delimiter included.
      uuids: Columns of a Parquet file that hold UUIDs.
      batches: The same rows as record batches of Arrow, where the file is Parquet, with the number
        of the first one.
    """

    path: str
    kind: str
    columns: list[str] | None
    rows: Iterator[tuple[int, Record]]
    form: CsvFormat
    uuids: frozenset[str] = frozenset()
    batches: Iterator[tuple[int, Any]] | None = None

    def value(self, row: Mapping[str, Any], column: str) -> Any:
        """A value of a row; None where it is missing."""
        value = row.get(column)
        if self.kind == "parquet":
            return plain(value, column in self.uuids)
        return None if self.kind == "csv" and value in self.form.null else value


@contextlib.contextmanager
def open_rows(
    path: str, form: CsvFormat, encoding: str = "utf-8", otherwise: str | None = None
) -> Iterator[RowFile]:
    """Opens a CSV, JSON Lines or Parquet file.

    Args:
      path: The file.
      form: How CSV is written.
      encoding: Of a text file.
      otherwise: Its format where its name does not tell.

    Raises:
      ValueError: The file cannot be read; the message names it, and the line where there is one.
    """
    kind = format_of(path, otherwise)
    try:
        if kind == "parquet":
            names, uuids = _parquet_columns(path), uuid_columns(path)
            rows, batches = parquet_rows(path), parquet_batches(path)
            yield RowFile(path, kind, names, rows, form, uuids, batches)
            return
        with open_text(path, encoding) as file:
            if kind == "jsonl":
                yield RowFile(path, kind, None, _named(path, json_rows(file)), form)
            else:
                delimiter, columns, rows = csv_rows(file, form)
                known = dataclasses.replace(form, delimiter=delimiter)
                yield RowFile(path, kind, columns, _named(path, rows), known)
    except (csv.Error, UnicodeError, EOFError, zlib.error, OSError) as error:  # at once
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, and no word of a decompressor
        raise ValueError(f"{path}: {error or 'it ends early'}") from error


def _named(path: str, rows: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """The rows, with the file's name in what goes wrong."""
    try:
        yield from rows
    except (csv.Error, UnicodeError, EOFError, zlib.error, OSError) as error:
        raise ValueError(f"{path}: {error or 'it ends early'}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def csv_rows(
    lines: Iterable[str], form: CsvFormat
) -> tuple[str, list[str], Iterator[tuple[int, Record]]]:
    """The delimiter, the columns and the rows of CSV text.

    Raises:
      ValueError: The header names a column twice; while reading, a row has more or fewer fields
        than there are columns.
    """
    rest = iter(lines)
    blank, first = first_line(rest)
    delimiter = form.delimiter or delimiter_of(first, form.quote)
    every = records(itertools.chain(["\n"] * blank, [first], rest), form, delimiter)
    names = form.columns if form.columns is not None else next(every, (1, []))[1]
    columns = checked_names(list(names))

    def rows() -> Iterator[tuple[int, Record]]:
        for line, values in every:
            try:
                yield line, csv_row(columns, values)
            except ValueError as error:
                raise ValueError(f"line {line} {error}") from None

    return delimiter, columns, rows()


def csv_row(names: Sequence[str], values: Sequence[str]) -> Record:
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
    return dict(zip(names, values, strict=True))


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
            if _HALF.search(text):
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {line} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {line} is no JSON object: {text[:100]!r}")  # noqa: TRY004
        yield line, row


def _parquet_columns(path: str) -> list[str]:
    names: list[str] = _parquet_file(path).schema_arrow.names
    return names


def _parquet_file(path: str) -> Any:
    pa = _pyarrow(path, "Parquet")
    pq = importlib.import_module("pyarrow.parquet")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _pyarrow(path: str, what: str) -> Any:
    try:
        return safe_arrow()
    except ModuleNotFoundError:
        raise ValueError(
            f"{path}: reading {what} needs pyarrow: pip install pyarrow, or write plain CSV"
        ) from None
    except ImportError as error:
        raise ValueError(f"{path}: {error}") from error


def parquet_rows(path: str, groups: Iterable[int] | None = None) -> Iterator[tuple[int, Record]]:
    """The rows of a Parquet file, or of some of its row groups; `plain` reads their values.

    Raises:
      ValueError: pyarrow is not installed, or cannot read the file.
    """
    for first, batch in parquet_batches(path, groups):
        try:
            rows = batch.to_pylist()
        except (ArithmeticError, ValueError) as error:
            raise ValueError(f"{path}: rows from {first} on: {error}") from error
        yield from enumerate(rows, first)


def parquet_batches(path: str, groups: Iterable[int] | None = None) -> Iterator[tuple[int, Any]]:
    """The record batches of a Parquet file, or of some of its row groups, with the number of the
    first row.

    Raises:
      ValueError: pyarrow is not installed, or cannot read the file.
    """
    file = _parquet_file(path)
    sizes = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
    starts = [0, *itertools.accumulate(sizes)]
    for group in groups if groups is not None else range(len(sizes)):
        number = starts[group] + 1
        try:
            batches = file.read_row_group(group).to_batches(_TOGETHER)
        except (ArithmeticError, OSError, ValueError) as error:  # pyarrow's are these
            raise ValueError(f"{path}: row group {group}: {error}") from error
        for batch in batches:
            yield number, batch
            number += batch.num_rows


def uuid_columns(path: str) -> frozenset[str]:
    """Columns of a Parquet file of UUIDs, or of lists of them, which pyarrow takes for 16 bytes."""
    file = _parquet_file(path)
    schema = file.schema
    leaves = (schema.column(number) for number in range(len(schema)))
    paths = {leaf.path for leaf in leaves if leaf.logical_type.type == "UUID"}
    names = file.schema_arrow.names
    return frozenset(n for n in names if any(f"{leaf}.".startswith(f"{n}.") for leaf in paths))


def plain(value: Any, is_uuid: bool) -> Any:
    """A value of a Parquet file as text, number or list of them, where it is one.

    Args:
      value: As pyarrow gives it; bytes are text.
      is_uuid: Whether it is one of `uuid_columns`.
    """
    if isinstance(value, bytes):
        if is_uuid:
            return str(uuid.UUID(bytes=value))
        return value.decode(errors="surrogateescape")
    return [plain(each, is_uuid) for each in value] if isinstance(value, list) else value
