"""Pieces of DuckDB's SQL; Python's standard library only."""

from __future__ import annotations

import collections
from collections.abc import Iterable


def quoted(text: str) -> str:
    """An SQL string.

    Example:
        >>> print(quoted("the '90s"))
        'the ''90s'
    """
    return "'" + text.replace("'", "''") + "'"


def name(column: str) -> str:
    """An SQL identifier.

    Example:
        >>> print(name("Item ID"))
        "Item ID"
    """
    return '"' + column.replace('"', '""') + '"'


def twins(names: Iterable[str]) -> list[str]:
    """Names that differ in letter case only, which SQL does not tell apart.

    Example:
        >>> twins(["Item", "user", "item"])
        ['Item', 'item']
    """
    names = list(names)
    counts = collections.Counter(name.lower() for name in names)
    return [name for name in names if counts[name.lower()] > 1]
