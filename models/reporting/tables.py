"""Tables and sections of text, as a terminal shows them, and how numbers are written in them."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
from collections.abc import Sequence

DASH = "-"  # where there is nothing to show
WIDEST = 44  # characters of a cell in the terminal; the page shows all


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under a heading; the last cell of a row is its mark, empty where nothing stands out.

    Attributes:
      head: Titles of the columns.
      rows: Cells as text.
      widest: Characters of a cell in the terminal.
    """

    head: list[str]
    rows: list[list[str]]
    widest: int = WIDEST


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report that is shown in a terminal and in a browser.

    Attributes:
      title: What it is about.
      notes: What a reader has to know before the tables.
      tables: Those with no row are left out.
    """

    title: str
    notes: list[str]
    tables: list[Table]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Rows in aligned columns, the first one to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *rows]
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def render(sections: Sequence[Section]) -> str:
    """Sections for the terminal."""
    lines = []
    for section in sections:
        lines += ["", section.title, *section.notes]
        for shown in section.tables:
            if shown.rows:
                lines += [
                    "",
                    table(shown.head, [_shortened(row, shown.widest) for row in shown.rows]),
                ]
        lines += [""]
    return "\n".join(lines)


def _shortened(row: Sequence[str], widest: int) -> list[str]:
    """Cells cut to what a terminal shows, long ones from shortly before they differ."""
    long = {cell for cell in row if len(cell) > widest}
    columns = zip(*long, strict=False)
    alike = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    skipped = alike - widest // 2 if len(long) > 1 else 0
    cells = (f"...{cell[skipped:]}" if cell in long and skipped > 0 else cell for cell in row)
    return [_cut(cell, widest) for cell in cells]


def _cut(cell: str, widest: int) -> str:
    return cell if len(cell) <= widest else f"{cell[: widest - 3]}..."


def number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None or math.isnan(value) else form.format(value)


def interval(bounds: Sequence[float] | None, form: str = "{:.4f}") -> str:
    """` [low, high]`, or nothing where there is none."""
    if not bounds or any(math.isnan(bound) for bound in bounds):
        return ""
    return f" [{', '.join(form.format(bound) for bound in bounds)}]"


def utc_time(seconds: float | None) -> str:
    """Seconds of the epoch as a date and a time in UTC."""
    if seconds is None:
        return DASH
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc):%Y-%m-%d %H:%M}"
