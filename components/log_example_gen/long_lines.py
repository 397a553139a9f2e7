"""How much of a text file DuckDB is to read at once, so that no line is longer than that.

Of a line that is longer than its buffer DuckDB says nothing at all. By itself it takes 256 MB, of
which it gives a quarter to each core: a file of 60 MB keeps one of them busy.
"""

from __future__ import annotations

import mmap
import os

from ranklite.components.log_example_gen import IngestError

LONGEST_LINE = 16 * 2**20  # bytes of a row; a longer one is rejected with its number
USUAL = LONGEST_LINE + 2**20
LARGE = 16 * LONGEST_LINE
_NEW_LINES = (b"\n", b"\r")


def buffer_size(path: str, shown: str, quote: str = "", escape: str = "") -> int:
    """Bytes of the buffer that a file needs.

    Args:
      path: A plain text file.
      shown: Its name for a person.
      quote: What values of several lines stand between; "" where there are none.
      escape: What stands before a quote in such a value.

    Raises:
      IngestError: A line is longer than the largest buffer.
    """
    if os.path.getsize(path) <= LONGEST_LINE:
        return USUAL
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if escape not in ("", quote) and text.find(escape.encode()) >= 0:
            return LARGE  # which of the quotes are escaped is not worth finding out
        mark = quote.encode() if quote and text.find(quote.encode()) >= 0 else b""
        start, result = 0, USUAL
        while len(text) - start > LONGEST_LINE:
            end = _end_of_a_row(text[start : start + LONGEST_LINE], mark)
            if end < 0:
                result = LARGE
                end = _end_of_this_line(text, start, shown) - start
            start += end
        return result


def _end_of_a_row(text: bytes, quote: bytes) -> int:
    """Where the last row ends that ends in a text, which begins with one; -1 where none does."""
    end, quotes = len(text), text.count(quote) if quote else 0
    while True:
        place = max(text.rfind(new_line, 0, end) for new_line in _NEW_LINES)
        if place < 0:
            return -1
        if quote:
            quotes -= text.count(quote, place, end)
        if quotes % 2 == 0:
            return place + 1
        end = place


def _end_of_this_line(text: mmap.mmap, start: int, shown: str) -> int:
    """Where the line ends that begins at a place, or one that the row there goes on with."""
    most = start + LARGE - 2**20
    for first in range(start, most, LONGEST_LINE):
        after = text[first : min(first + LONGEST_LINE, most)]
        places = [place for mark in _NEW_LINES if (place := after.find(mark)) >= 0]
        if places:
            return first + min(places) + 1
    if most >= len(text):
        return len(text)
    number = sum(
        text[k : min(k + LONGEST_LINE, start)].count(b"\n") for k in range(0, start, LONGEST_LINE)
    )
    raise IngestError(
        f"{shown}:{number + 1}: the line has more than {LARGE - 2**20} bytes: take it out, or look "
        "whether lines end as they should"
    )
