"""Values of a log in DuckDB's SQL: what each becomes, and what is wrong with it.

What is declared decides; what the log holds is kept as it was written, or refused:

| held            | string               | int64              | float32               |
|-----------------|----------------------|--------------------|-----------------------|
| text            | its bytes            | digits, or `7.0`   | a decimal number      |
| integer         | its digits           | itself, in 64 bits | itself                |
| float, decimal  | digits, where whole  | where whole        | itself, if it fits    |
| boolean         | `true`, `false`      | 1, 0               | 1, 0                  |
| date            | `2026-01-05`         | refused            | refused               |

"", null and, among numbers, NaN are missing. A float is whole below 2**53, from which on it does
not say which integer was meant; a decimal says so at any size. `raw_values` beside this file does
the same to what an app or `ranklite score` gives a scorer; one table of cases tests both.
"""

from __future__ import annotations

import re

from ranklite.models.features.sql import name, quoted

JSON = "JSON"
_INTEGERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_DECIMALS = re.compile(r"DECIMAL\(.*\)")
_FLOATS = re.compile(rf"FLOAT|DOUBLE|{_DECIMALS.pattern}")
_TEXTS = re.compile(r"VARCHAR|UUID|ENUM\(.*\)", re.DOTALL)
_WORDS = {
    "string": "text",
    "int64": "an integer",
    "float32": "a number",
    "float64": "a number",
}
_LISTS = {
    "string": "a list of texts",
    "int64": "a list of integers",
    "float32": "a list of numbers",
}
_WHOLE = "9007199254740992"  # 2**53
_LARGEST = "3.4028234663852886e38"  # of float32
_SHOWN = 50


_PART, _NEXT = "\x1f", "\x1e"  # between the parts of a problem, and between problems
WHOLE_ROW = _PART  # what a problem begins with that is no single column's


def problem(column: str, reason: str, value: str) -> str:
    """SQL of what is wrong with a value: column, reason and value; `problems` reads it.

    Args:
      column: Its name.
      reason: In words.
      value: SQL of the value.
    """
    shown = f"left(coalesce({value}::VARCHAR, ''), {_SHOWN})"
    shown = f"translate({shown}, {quoted(_PART + _NEXT)}, '  ')"
    return f"{quoted(column + _PART + reason + _PART)} || {shown}"


def joined(reasons: list[str]) -> str:
    """SQL of all that is wrong with a row, "" if nothing."""
    if not reasons:
        return "''"
    every = ", ".join(reasons)
    # Texts are put together for the few rows that have any.
    return (
        f"CASE WHEN coalesce({every}) IS NULL THEN '' ELSE concat_ws({quoted(_NEXT)}, {every}) END"
    )


def problems(text: str) -> list[tuple[str, str, str]]:
    """Column, reason and value of each problem of a row."""
    parts = [each.split(_PART, 2) for each in text.split(_NEXT)]
    return [(part[0], part[1], part[2]) if len(part) == 3 else ("", part[0], "") for part in parts]


class Unconvertible(ValueError):
    """A column's type in the log cannot become what is declared, whatever its values."""


def scalar(column: str, kind: str, dtype: str, held: str | None = None) -> tuple[str, str | None]:
    """SQL of a column of single values, and of what is wrong with a value, null if nothing.

    Args:
      column: Its name in the log.
      kind: DuckDB's type of it; `JSON` for a value of a JSONL line.
      dtype: What is declared: `string`, `int64` or `float32`.
      held: SQL of the column that holds the first result where the second one is evaluated, so that
        it is not computed twice; None evaluates both over the log.

    Raises:
      Unconvertible: No value of that type could be read.
    """
    source = name(column)
    value = _value(source, kind, dtype, column)
    if dtype == "string" and _TEXTS.fullmatch(kind):
        return value, None  # every text is one
    # First what is cheap and seldom true.
    wrong = f"{held or value} IS NULL AND {_present(source, kind, dtype)}"
    return value, _reason(column, wrong, source, dtype)


def values(
    column: str, kind: str, dtype: str, separator: str | None, held: str | None = None
) -> tuple[str, str | None]:
    """SQL of a column as a list without blanks, and of what is wrong with its values.

    Args:
      column: Its name in the log.
      kind: DuckDB's type of it: a list, text that `separator` splits, or `JSON`, either of both.
      dtype: What is declared of a value.
      separator: Between the values of a text; None where the column is a list.
      held: As of `scalar`.

    Raises:
      Unconvertible: It is no list, and there is no separator.
    """
    source = name(column)
    split = f"string_split({{}}, {quoted(separator)})" if separator else None
    if kind == JSON:
        element = JSON
        text = f"({source}->>'$')"
        scalars = f"to_json({split.format(text)})->'$[*]'" if split else f"[{source}]"
        parts = (
            f"CASE json_type({source}) WHEN 'ARRAY' THEN {source}->'$[*]' "
            f"WHEN 'NULL' THEN [] WHEN 'VARCHAR' THEN {scalars} ELSE [{source}] END"
        )
    elif kind.endswith("[]"):
        element, parts = kind.removesuffix("[]"), source
    elif _TEXTS.fullmatch(kind) and split:
        element, parts = "VARCHAR", split.format(f"{source}::VARCHAR")
    elif _TEXTS.fullmatch(kind):
        raise Unconvertible(f"{column!r} is {kind}, not a list: give the feature a `separator`")
    else:  # a column without a single value has any type
        words = _LISTS.get(dtype, "a list of numbers")
        none = _value("NULL", '"NULL"', dtype, column)
        return f"CASE WHEN false THEN [{none}] END", _reason(
            column, f"{source} IS NOT NULL", source, dtype, words
        )
    # A value that stands alone, where lists were promised, is refused with the list that it is not.
    parts = f"list_filter({parts}, lambda x: {_present('x', element, dtype, blank=True)})"
    value = f"list_transform({parts}, lambda x: {_value('x', element, dtype, column)})"
    wrong = []
    if dtype != "string" or not _TEXTS.fullmatch(element):
        wrong.append(f"list_contains(list_transform({held or value}, lambda x: x IS NULL), true)")
    if kind == JSON:
        alone = [] if separator else ["'VARCHAR'"]
        alone += ["'BIGINT'", "'UBIGINT'", "'DOUBLE'", "'BOOLEAN'", "'OBJECT'"]
        is_alone = f"coalesce(json_type({source}) IN ({', '.join(alone)}), false)"
        wrong.append(f"({is_alone} AND {_present(source, kind, dtype)})")
    if not wrong:
        return value, None
    words = _LISTS.get(dtype, "a list of numbers")
    return value, _reason(column, " OR ".join(wrong), source, dtype, words)


def number(source: str, kind: str) -> str:
    """SQL of a value as a double, null where it is none; NaN is none."""
    return _value(source, kind, "float64", source)


def integer(source: str, kind: str) -> str:
    """SQL of a value as 64 bits, null where it is no integer."""
    return _value(source, kind, "int64", source)


def _reason(column: str, wrong: str, source: str, dtype: str, words: str = "") -> str:
    reason = f"not {words or _WORDS[dtype]}"
    return f"CASE WHEN {wrong} THEN {problem(column, reason, source)} END"


def _present(source: str, kind: str, dtype: str, blank: bool = False) -> str:
    """SQL: whether there is a value; in a list, what is blank is none."""
    if _FLOATS.fullmatch(kind):
        return f"({source} IS NOT NULL AND NOT isnan({source}::DOUBLE))"
    if kind != JSON and not _TEXTS.fullmatch(kind):
        return f"{source} IS NOT NULL"
    text = f"({source}->>'$')" if kind == JSON else f"{source}::VARCHAR"
    kept = f"trim({text}, ' ') != ''" if blank else f"{text} != ''"
    if dtype != "string":
        kept += f" AND lower({text}) != 'nan'"
    elif kind == JSON:
        kept += f" AND NOT ({text} = 'NaN' AND json_type({source}) = 'DOUBLE')"
    return f"({text} IS NOT NULL AND {kept})"


def _value(source: str, kind: str, dtype: str, column: str) -> str:
    """SQL of a value as it is declared, null where it is missing or is not that."""
    if kind == JSON:
        return _json(source, dtype, column)
    if _TEXTS.fullmatch(kind):
        return _text(f"{source}::VARCHAR" if kind != "VARCHAR" else source, dtype)
    if _INTEGERS.fullmatch(kind):
        cast = {"string": "VARCHAR", "int64": "BIGINT"}.get(dtype, "DOUBLE")
        return _unreserved(f"TRY_CAST({source} AS {cast})", dtype)
    if _DECIMALS.fullmatch(kind) and dtype in ("string", "int64"):
        whole = f"CASE WHEN trunc({source}) = {source} THEN TRY_CAST({source} AS HUGEINT) END"
        cast = "VARCHAR" if dtype == "string" else "BIGINT"
        return _unreserved(f"TRY_CAST({whole} AS {cast})", dtype)
    if _DECIMALS.fullmatch(kind):  # DuckDB divides by a power of ten, which rounds twice
        return _float(f"{source}::VARCHAR::DOUBLE", dtype)
    if _FLOATS.fullmatch(kind):
        return _float(f"{source}::DOUBLE", dtype)
    if kind == "BOOLEAN":
        cast = {"string": "VARCHAR", "int64": "BIGINT"}.get(dtype, "DOUBLE")
        return f"CAST({source} AS {cast})" if cast != "DOUBLE" else f"{source}::INTEGER::DOUBLE"
    if kind == "DATE" and dtype == "string":
        return f"{source}::VARCHAR"
    if kind == '"NULL"':
        return f"{source}::{ {'string': 'VARCHAR', 'int64': 'BIGINT'}.get(dtype, 'DOUBLE') }"
    advice = "cast it in `source.query`, or write it in another way"
    raise Unconvertible(f"{column!r} is {kind}, which is not {_WORDS[dtype]}: {advice}")


def _text(text: str, dtype: str) -> str:
    if dtype == "string":
        return f"nullif({text}, '')"
    if dtype == "int64":
        cast = f"TRY_CAST({text} AS BIGINT)"
        whole = f"regexp_full_match({text}, ' *[+-]?[0-9]+([.]0*)? *')"
        # Nearly all are written as DuckDB would write them: the expression is for the others.
        plain = f"CASE WHEN {cast}::VARCHAR = {text} OR {whole} THEN {cast} END"
        return _unreserved(plain, dtype)
    # DuckDB reads 1_000 as a number, and what does not fit as infinity.
    odd = f"contains({text}, '_') OR contains({text}, '+-')"  # DuckDB takes 1_000, and +-5 for -5
    return _float(f"CASE WHEN NOT ({odd}) THEN TRY_CAST({text} AS DOUBLE) END", dtype)


def _float(number: str, dtype: str) -> str:
    # To compare NaN is not enough: DuckDB 2 believes a Parquet file's minimum and maximum, which
    # leave NaN out, and takes a comparison that they decide for true.
    finite = f"isfinite({number})"
    if dtype == "float64":
        return f"CASE WHEN {finite} THEN {number} END"
    if dtype == "float32":
        return f"CASE WHEN {finite} AND abs({number}) <= {_LARGEST} THEN {number} END"
    whole = f"{finite} AND abs({number}) < {_WHOLE} AND trunc({number}) = {number}"
    # DuckDB 2 casts a CASE branch by branch, and what no branch takes as well.
    whole = f"TRY_CAST(CASE WHEN {whole} THEN {number} END AS BIGINT)"
    return whole + ("::VARCHAR" if dtype == "string" else "")


def _unreserved(integer: str, dtype: str) -> str:
    """Without -2**63, which stands for a missing value."""
    return f"nullif({integer}, (-9223372036854775808)::BIGINT)" if dtype == "int64" else integer


def _json(source: str, dtype: str, column: str) -> str:
    text = f"({source}->>'$')"
    if dtype == "string":
        whole = _float(f"TRY_CAST({text} AS DOUBLE)", dtype)
        # DuckDB keeps the digits of an integer of more than 64 bits, and calls it a double.
        digits = f"regexp_full_match({text}, '-?[0-9]+')"
        return (
            f"CASE json_type({source}) WHEN 'DOUBLE' THEN CASE WHEN {digits} THEN {text} ELSE "
            f"{whole} END WHEN 'ARRAY' THEN NULL "
            f"WHEN 'OBJECT' THEN NULL ELSE {_text(text, dtype)} END"
        )
    one, zero = ("1::BIGINT", "0::BIGINT") if dtype == "int64" else ("1.0::DOUBLE", "0.0::DOUBLE")
    parsed = _text(text, dtype)
    whole = _float(f"TRY_CAST({text} AS DOUBLE)", dtype) if dtype == "int64" else parsed
    return (
        f"CASE json_type({source}) WHEN 'BOOLEAN' THEN CASE {text} WHEN 'true' THEN {one} ELSE "
        f"{zero} END WHEN 'DOUBLE' THEN {whole} ELSE {parsed} END"
    )
