"""Pieces of DuckDB's SQL. Nothing is imported."""

from __future__ import annotations


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
