"""What a comparison is made of, whether a terminal or a browser shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under a heading; the last cell of a row is its mark, empty where nothing stands out.

    Attributes:
      head: Titles of the columns.
      rows: Cells as text.
    """

    head: list[str]
    rows: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a comparison.

    Attributes:
      title: What it is about.
      notes: What a reader has to know before the tables.
      tables: Those with no row are left out.
    """

    title: str
    notes: list[str]
    tables: list[Table]


def differ(values: Sequence[Any]) -> bool:
    """Whether not all are equal."""
    return any(value != values[0] for value in values[1:])
