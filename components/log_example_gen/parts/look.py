"""Whether a text file may be cut at lines, found out piece by piece.

A newline may stand inside of quotes, which only the text before it tells for sure. So a file is
cut only where every newline ends a record, whatever stands before: a quote opens a value where one
begins and closes it where it ends, in the same line, or there are none. Each task looks at a piece
and counts its lines; what they return adds up.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ranklite.components.log_example_gen.long_lines import LONGEST_LINE
from ranklite.components.log_example_gen.plain_files import without_mark

BLOCK = 1 << 22  # bytes that are looked at together
# What begins or ends with blank lines, or begins with a byte order mark, as the second of two files
# that were joined, is read in another way: none stand where a file is cut.
_BORDER = re.compile(rb"[^\r\n]\r?\n(?=[^\r\n])(?!\xef\xbb\xbf|\xff\xfe|\xfe\xff)")
_NEWLINE = ord("\n")


class Marks(NamedTuple):
    """Bytes that mean something in a CSV file, empty where there is none; of JSON Lines, none does.

    Attributes:
      quote: Around values.
      escape: Before a quote inside quotes.
      delimiter: Between values.
    """

    quote: bytes = b""
    escape: bytes = b""
    delimiter: bytes = b""


class LookTask(NamedTuple):
    """Looks at a text file from the first border behind a byte to the first one behind another.

    Attributes:
      path: The file.
      start: 0 for the beginning of the file.
      stop: Its size for the end.
      marks: Of CSV.
    """

    path: str
    start: int
    stop: int
    marks: Marks


class Looked(NamedTuple):
    """What was found.

    Attributes:
      start: The byte that the first record begins with.
      end: The byte behind the last one.
      lines: How many newlines they have.
      quotes: Whether there is a quote.
      escapes: Whether there is an escape that is no quote.
      returns: Whether lines end by a carriage return, too.
      refused: Why the file is not cut; "" where nothing is in the way.
    """

    start: int
    end: int
    lines: int = 0
    quotes: bool = False
    escapes: bool = False
    returns: bool = False
    refused: str = ""


def look(task: LookTask) -> Looked:
    """Looks at a piece of a plain UTF-8 file."""
    with (
        open(task.path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        start, end = _border(text, task.start), _border(text, task.stop)
        result, returns, pairs = Looked(start, end), 0, 0
        for block in _blocks(text, start, end):
            if len(block) > LONGEST_LINE:
                return result._replace(refused="a line is very long")
            quotes = bool(task.marks.quote) and task.marks.quote in block
            if quotes and not are_regular(block, task.marks):
                return result._replace(
                    refused="a value has a line break, or a quote that is not doubled"
                )
            returns, pairs = returns + block.count(b"\r"), pairs + block.count(b"\r\n")
            result = result._replace(
                lines=result.lines + block.count(b"\n"),
                quotes=result.quotes or quotes,
                escapes=result.escapes or _escapes(block, task.marks),
            )
    if returns and not returns == pairs == result.lines:
        return result._replace(refused="its lines do not end alike")
    return result._replace(returns=returns > 0)


def together(pieces: list[Looked]) -> str:
    """Why a file is not cut; "" where it may be.

    Args:
      pieces: All of it.
    """
    for each in pieces:
        if each.refused:
            return each.refused
    if any(each.quotes for each in pieces) and any(each.escapes for each in pieces):
        return "quotes are escaped by another letter"
    if len({each.returns for each in pieces if each.lines}) > 1:
        return "its lines do not end alike"
    return ""


def _border(text: mmap.mmap, place: int) -> int:
    """The first border behind a byte; the end of the file where there is none near."""
    if place == 0:
        return without_mark(text[:4])
    found = _BORDER.search(text, place, place + LONGEST_LINE)
    return len(text) if found is None else found.end()


def _blocks(text: mmap.mmap, start: int, end: int) -> Iterator[bytes]:
    """Whole lines; a long one by itself."""
    while start < end:
        stop = min(start + BLOCK, end)
        if stop < end:
            stop = (text.rfind(b"\n", start, stop) + 1) or (text.find(b"\n", stop, end) + 1) or end
        yield text[start : min(stop, start + LONGEST_LINE + 1)]
        start = stop


def _escapes(block: bytes, marks: Marks) -> bool:
    return marks.escape not in (b"", marks.quote) and marks.escape in block


def are_regular(block: bytes, marks: Marks) -> bool:
    """Whether each quote of some lines opens or closes a value, or is one of two that are one.

    Example:
        >>> marks = Marks(b'"', b'"', b",")
        >>> [are_regular(t, marks) for t in (b'1,"a ""b"", c"\\n', b'5" x,"y\\n', b'"a\\nb"\\n')]
        [True, False, False]
    """
    letters = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    places = np.flatnonzero(letters == ord(marks.quote))
    if len(places) % 2:
        return False
    newlines = np.flatnonzero(letters == _NEWLINE)
    if (np.searchsorted(places, newlines) % 2).any():  # one stands in quotes
        return False
    doubled = marks.quote if marks.escape == marks.quote else b""
    begins, ends = np.zeros((2, 256), bool)
    begins[list(marks.delimiter + b"\n" + doubled)] = True
    ends[list(marks.delimiter + b"\r\n" + doubled)] = True
    return bool(begins[letters[places[::2] - 1]].all() and ends[letters[places[1::2] + 1]].all())
