"""Whether as many rows were read as were written: a file that was cut may read as a clean end.

`tfrecords` notes in the header of a file how many rows and bytes it has, and beside the splits of
an artifact `rows.json` has the rows of each: a file that is short is seen before it is read, one
that is gone by the split's sum, and whatever else keeps rows from a reader by what it counted. What
others wrote, such as Beam, has the split's sum alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ROWS_FILE = "rows.json"  # beside the splits of Examples: the rows of each, by its name
_GZIPPED = ".gz"
_GZIP = bytes([0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF])  # a header with a field, without a time
_FIELD = struct.Struct("<H2sHQQ")  # its size, a name, the size of its content: rows, bytes in all
_NAME = b"RL"
_LEAST = 20  # bytes of any gzip file
_SHORTEST = len(_GZIP) + _FIELD.size  # bytes: a shorter file of ours was cut
_SPLIT = "Split-"  # what the folder of a split is called before its name
_HELP = (
    "`ranklite verify` names what is damaged; rerunning the command that made the rows makes "
    "what is damaged again"
)


class RowsMissing(ValueError):
    """A reader saw another number of rows than there should be; the message names the file."""


class Header(NamedTuple):
    """What a file says of itself.

    Attributes:
      rows: How many it was written with.
      size: Bytes of the whole file.
    """

    rows: int
    size: int


class Counter:
    """Adds up what a reader of some files sees; see `counted`."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, rows: int) -> None:
        """The reader saw so many more."""
        self.rows += rows


@contextlib.contextmanager
def counted(files: Sequence[str]) -> Iterator[Counter]:
    """Holds a reader to the rows that its files should have.

    Args:
      files: All that is read, once and to the end; a reader that raises or is left is not held to
        anything.

    Raises:
      RowsMissing: A file is short, or the reader saw fewer rows than there are, or more.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "data.gz")
        ...     with open(path, "wb") as file:
        ...         _ = file.write(header_bytes(rows=3, size=32))
        ...     try:
        ...         with counted([path]) as counter:
        ...             counter.add(0)
        ...     except RowsMissing as error:
        ...         print(str(error).replace(folder, "")[:46])
        /data.gz: 0 rows were read, and it should have
    """
    rows = expected(files)
    counter = Counter()
    yield counter
    if rows is not None and counter.rows != rows:
        raise _differs(files, counter.rows, rows)


def expected(files: Sequence[str]) -> int | None:
    """How many rows some files should have.

    Args:
      files: Files of Examples.

    Returns:
      The sum of what their headers say, or, of all files of a split, of `rows.json`; None where
      neither is known, as of single files that Beam wrote.

    Raises:
      RowsMissing: A file is short, or files of the split are missing.
    """
    headers = [_header(file) for file in files]
    of_split = _rows_of_split(files)
    if not headers or None in headers:
        return of_split
    rows = sum(header.rows for header in headers if header is not None)
    if of_split is not None and rows != of_split:
        raise RowsMissing(
            f"{os.path.dirname(files[0])}: its {len(files)} files have {rows:,} rows, and "
            f"{ROWS_FILE} beside it says {of_split:,}: files are missing, or another run's. {_HELP}"
        )
    return rows


def header_bytes(rows: int, size: int) -> bytes:
    """The gzip header of a file that has so many rows, and so many bytes with this header."""
    return _GZIP + _FIELD.pack(20, _NAME, 16, rows, size)


def header_of(path: str) -> Header | None:
    """What a file says of itself; None where it says nothing, as those of other writers.

    A file that was cut before its field ends says nothing either.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(header_bytes(rows=3, size=70))
        ...     file.flush()
        ...     header_of(file.name)
        Header(rows=3, size=70)
    """
    start = _start(path)
    if len(start) < _SHORTEST or not start.startswith(_GZIP):
        return None
    _, name, length, rows, size = _FIELD.unpack(start[len(_GZIP) :])
    return Header(rows, size) if (name, length) == (_NAME, 16) else None


def _start(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_SHORTEST)


def _header(file: str) -> Header | None:
    """What a file says of itself, which its size has to be."""
    if "://" in file:
        return None
    header, size = header_of(file), os.path.getsize(file)
    none = size < _LEAST or (size < _SHORTEST and _start(file).startswith(_GZIP))
    if none and file.endswith(_GZIPPED):
        raise RowsMissing(
            f"{file}: it has {size} bytes, fewer than a file without any row: it was cut short. "
            f"{_HELP}"
        )
    if header is not None and size != header.size:
        raise RowsMissing(
            f"{file}: it has {size:,} bytes, and {header.size:,} were written, with "
            f"{header.rows:,} rows: it was cut short or damaged. {_HELP}"
        )
    return header


def _rows_of_split(files: Sequence[str]) -> int | None:
    """What `rows.json` says of the split that some files are all files of."""
    folders = {os.path.dirname(file) for file in files}
    if len(folders) != 1 or "://" in files[0]:
        return None
    folder = folders.pop()
    path = os.path.join(os.path.dirname(folder), ROWS_FILE)
    split = os.path.basename(folder)
    if not split.startswith(_SPLIT) or not os.path.isfile(path):
        return None
    if {os.path.basename(file) for file in files} != set(os.listdir(folder)):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file).get(split.removeprefix(_SPLIT))
    except (ValueError, AttributeError) as error:
        raise RowsMissing(f"{path} is damaged: {error}. {_HELP}") from error
    return None if rows is None else int(rows)


def _differs(files: Sequence[str], seen: int, rows: int) -> RowsMissing:
    """The error of a reader, about the file that is to blame where that can be told."""
    import tensorflow as tf

    for file in files:
        header = _header(file)
        if header is not None:
            read = sum(1 for _ in tf.data.TFRecordDataset(file, compression_type="GZIP"))
            if read != header.rows:
                files, seen, rows = [file], read, header.rows
                break
    what = files[0] if len(files) == 1 else f"{os.path.dirname(files[0])} ({len(files)} files)"
    more = "more were put in" if seen > rows else "the rest cannot be reached"
    return RowsMissing(
        f"{what}: {seen:,} rows were read, and it should have {rows:,}: {more}. {_HELP}"
    )
