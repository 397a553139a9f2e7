"""How a CSV file is written, for ingestion and for scoring: Python's standard library only."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from ranklite.models.repeats import twice

_DELIMITERS = (",", "\t", ";", "|")
# Python's csv refuses NUL before 3.11: half of a pair of surrogates, which no text has, carries it.
NUL, NO_NUL = "\0", "\ud800"
csv.field_size_limit(sys.maxsize)  # a field is as long as it is


@dataclasses.dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
      delimiter: Between values; None takes what is most frequent in the first line among `,`, tab,
        `;` and `|`.
      quote: Around values that hold a delimiter, a quote or a line break; "" where there is none.
      escape: Before a quote inside quotes.
      null: Texts that mean a missing value.
      columns: Names of the columns, where the file does not begin with them.
    """

    delimiter: str | None = None
    quote: str = '"'
    escape: str = '"'
    null: tuple[str, ...] = ("",)
    columns: tuple[str, ...] | None = None

    def entry(self) -> dict[str, Any]:
        """JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> CsvFormat:
        """Reads what `entry` wrote."""
        columns = entry.get("columns")
        return cls(
            entry.get("delimiter"),
            entry.get("quote", '"'),
            entry.get("escape", '"'),
            tuple(entry.get("null", ("",))),
            tuple(columns) if columns is not None else None,
        )


def header_of(path: str, form: CsvFormat) -> tuple[int, str, list[str]]:
    """Blank lines ahead, the delimiter, and the names of the columns of a UTF-8 file.

    Raises:
      ValueError: The header names a column twice, or is no text.
    """
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        blank, first = first_line(file)
        delimiter = form.delimiter or delimiter_of(first, form.quote)
        if form.columns is not None:
            return blank, delimiter, list(form.columns)
        _, names = next(records(itertools.chain([first], file), form, delimiter), (0, []))
    return blank, delimiter, checked_names(names)


def first_line(lines: Iterator[str]) -> tuple[int, str]:
    """The number of blank lines ahead of the first one that is not, and that one."""
    for blank, line in enumerate(lines):
        if line.strip("\r\n"):
            return blank, line
    return 0, ""


def delimiter_of(line: str, quote: str) -> str:
    """What stands between the values of a line: what is most frequent outside of quotes.

    Example:
        >>> delimiter_of('user;"a,b,c,d";item', '"')
        ';'
    """
    outside = "".join(line.split(quote)[::2]) if quote else line
    return max(_DELIMITERS, key=lambda d: (outside.count(d), -_DELIMITERS.index(d)))


def records(
    lines: Iterable[str], form: CsvFormat, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """The records of a file with the number of the line that each begins in, from 1.

    Raises:
      csv.Error: Quotes that do not fit.
    """
    return (each for each in every_record(lines, form, delimiter) if each[1])


def every_record(
    lines: Iterable[str], form: CsvFormat, delimiter: str, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """The same with blank lines, which have no values.

    Args:
      lines: Of the file.
      form: How it is written.
      delimiter: Between values.
      strict: Whether quotes have to fit.
    """
    doubled = form.escape in ("", form.quote)
    kept = (line.replace(NUL, NO_NUL) if NUL in line else line for line in lines)
    reader = csv.reader(
        kept if doubled or not form.quote else _escaped(kept, form),
        delimiter=delimiter,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=None if doubled or not form.quote else form.escape,
        strict=strict,
    )
    begun = 1
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise csv.Error(f"line {begun}: {error}") from error
        if values is None:
            return
        yield begun, [v.replace(NO_NUL, NUL) if NO_NUL in v else v for v in values]
        begun = reader.line_num + 1


class CsvWriter:
    """Writes records as CSV, NUL in a value or not.

    Args:
      file: Where they go.
      delimiter: Between values.
    """

    def __init__(self, file: TextIO, delimiter: str = ",") -> None:
        self._lines = io.StringIO()
        # Before Python 3.13 it puts into quotes no more line breaks than it ends lines by.
        self._writer = csv.writer(self._lines, delimiter=delimiter, lineterminator="\r\n")
        self._file = file

    def write(self, values: Iterable[Any]) -> None:
        """Writes a record."""
        kept = (v.replace(NUL, NO_NUL) if isinstance(v, str) and NUL in v else v for v in values)
        self._writer.writerow(kept)
        line = self._lines.getvalue().removesuffix("\r\n")
        self._file.write(line.replace(NO_NUL, NUL) + "\n")
        self._lines.seek(0)
        self._lines.truncate()


def _escaped(lines: Iterable[str], form: CsvFormat) -> Iterator[str]:
    """Lines with the escapes outside of quotes doubled: there they escape nothing."""
    inside = False
    for line in lines:
        if form.escape not in line:
            inside ^= bool(line.count(form.quote) % 2)
            yield line
            continue
        letters = iter(line)
        kept = []
        for letter in letters:
            inside ^= letter == form.quote
            kept.append(letter)
            if letter == form.escape:
                kept.append(next(letters, "") if inside else letter)
        yield "".join(kept)


def checked_names(names: list[str]) -> list[str]:
    """Names of columns; one that has none is called by its place.

    Raises:
      ValueError: Two are the same, or one is no text.
    """
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        raise ValueError("the header is not UTF-8; `source.encoding` says what it is")
    # As a data frame's index, which is written without a name.
    names = [name or f"column{number}" for number, name in enumerate(names)]
    if same := twice(names):
        raise ValueError(f"the header names {', '.join(same)} twice")
    return names
