"""Blanks beside the quotes of CSV, which DuckDB drops: ` "a"` and `"a" ` are `a` to it.

By RFC 4180 a blank is part of a value. So it is to a scorer, which takes ` "a"` for four letters
and a blank, and refuses `"a" `. A file that has such records is read from a copy, line by line the
same, in which DuckDB makes the same of them.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Iterator

from ranklite.models.serving.csv_format import CsvFormat, every_record

_BLOCK = 1 << 22
_LONGEST = 64  # bytes that are looked at across the border of two blocks
_NO_BREAK = "\u00a0"  # looks like a blank, and DuckDB refuses it behind a quote as any other letter


def with_blanks(
    path: str, form: CsvFormat, delimiter: str, folder: str, most: int | None = None
) -> str:
    """The file itself, or a copy of which DuckDB reads what stands in the file.

    Args:
      path: A plain CSV file in UTF-8, without a byte order mark.
      form: How it is written.
      delimiter: Between values.
      folder: Where a copy goes.
      most: Bytes that are looked at, and copied, up to the end of a record; None takes all.
    """
    if not form.quote or delimiter == " " or not _is_suspect(path, form.quote, delimiter, most):
        return path
    if all(text == mended for text, mended in _records(path, form, delimiter, most)):
        return path
    number = sum(1 for name in os.listdir(folder) if name.endswith(".blanks"))
    copy = os.path.join(folder, f"{number}.blanks")
    with open(copy, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        out.writelines(mended for _, mended in _records(path, form, delimiter, most))
    return copy


def _is_suspect(path: str, quote: str, delimiter: str, most: int | None) -> bool:
    """Whether a quote that may begin or end a value has a blank beside it, as in nearly no file.

    A doubled quote inside of a value is a run of an even number of them: without the pairs, only
    quotes that end or begin a value are left, but for those of an empty one.
    """
    q, begins = quote.encode(), [d.encode() for d in (delimiter, "\r", "\n")]
    before, behind, pair = b" " + q, q + b" ", q + q
    empty = [re.compile(re.escape(d) + b"(?:" + re.escape(pair) + b")+ ") for d in begins]
    last, left = b"\n\n", most
    with open(path, "rb") as file:
        while block := file.read(_BLOCK if left is None else min(_BLOCK, left)):
            joined = last + block
            # Most files have no quote at all, which is found out ten times as fast.
            if q in joined and (before in joined or behind in joined):
                looked_at = joined[1:]  # the first byte may be within a run
                if (
                    any(d + before in looked_at for d in begins)
                    or behind in looked_at.replace(pair, b"")
                    or any(each.search(looked_at) for each in empty)
                ):
                    return True
            last = joined[-_LONGEST:]
            left = None if left is None else left - len(block)
    return False


def _records(
    path: str, form: CsvFormat, delimiter: str, most: int | None
) -> Iterator[tuple[str, str]]:
    """The text of each record, and what DuckDB is to read in its place."""
    taken: list[str] = []
    size = 0
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = (taken.append(line) or line for line in file)  # type: ignore[func-returns-value]
        for _, values in every_record(lines, form, delimiter, strict=False):
            text = "".join(taken)
            taken.clear()
            yield text, _mended(text, values, form, delimiter)
            size += len(text)
            if most is not None and size >= most:
                return


def _mended(text: str, values: list[str], form: CsvFormat, delimiter: str) -> str:
    quote = form.quote
    if f" {quote}" not in text and f"{quote} " not in text:
        return text
    try:
        list(every_record(io.StringIO(text, newline=""), form, delimiter))
    except csv.Error:  # it is to be refused by DuckDB too
        return text.replace(f"{quote} ", quote + _NO_BREAK)
    if not any(value.startswith(f" {quote}") for value in values):
        return text
    end = "".join(itertools.takewhile(lambda letter: letter in "\r\n", reversed(text)))[::-1]
    return delimiter.join(_written(value, form, delimiter) for value in values) + end


def _written(value: str, form: CsvFormat, delimiter: str) -> str:
    begins = value.startswith((form.quote, f" {form.quote}"))
    if not begins and not any(letter in value for letter in (delimiter, "\r", "\n")):
        return value  # quotes inside are letters
    escape = form.escape or form.quote
    if escape != form.quote:
        value = value.replace(escape, escape * 2)
    return form.quote + value.replace(form.quote, escape + form.quote) + form.quote
