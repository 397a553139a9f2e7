"""Pieces of DuckDB's SQL, and the values of raw columns in it. Nothing is imported."""

from __future__ import annotations


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def name(column: str) -> str:
    """An SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def text(column: str) -> tuple[str, str | None]:
    """SQL of a column as text, null where it is empty; and of what is wrong with it: nothing."""
    return f"nullif({name(column)}::VARCHAR, '')", None


def number(column: str, target: str) -> tuple[str, str | None]:
    """SQL of a column as `DOUBLE` or `BIGINT`, and of what is wrong with a value, null if nothing.

    Args:
      column: Its name.
      target: The type.
    """
    source = name(column)
    cast = f"TRY_CAST({source} AS {target})"
    word = "a number" if target == "DOUBLE" else "an integer"
    return cast, (
        f"CASE WHEN {source} IS NOT NULL AND {source}::VARCHAR != '' AND {cast} IS NULL "
        f"THEN {quoted(column)} || ': not {word}: ' || left({source}::VARCHAR, 50) END"
    )


def values(column: str, kind: str, target: str, separator: str | None) -> tuple[str, str | None]:
    """SQL of a column as a list without blanks, and of what is wrong with its values.

    Args:
      column: Its name.
      kind: Its type in the log: a list, or what `separator` splits.
      target: `VARCHAR`, `BIGINT` or `DOUBLE`.
      separator: Between the values of a text; None where the column is a list.

    Raises:
      ValueError: The column is no list, and there is no separator.
    """
    texts = name(column)
    if not kind.endswith("[]"):
        if separator is None:
            raise ValueError(f"{column!r} is {kind}, not a list: give the feature a `separator`")
        texts = f"string_split({texts}::VARCHAR, {quoted(separator)})"
    texts = f"list_filter({texts}::VARCHAR[], lambda x: x IS NOT NULL AND trim(x) != '')"
    if target == "VARCHAR":
        return texts, None
    numbers = f"list_transform({texts}, lambda x: TRY_CAST(x AS {target}))"
    wrong = f"list_contains(list_transform({numbers}, lambda x: x IS NULL), true)"
    word = "numbers" if target == "DOUBLE" else "integers"
    return numbers, f"CASE WHEN {wrong} THEN {quoted(column)} || ': not {word}' END"
