"""Times of a log as microseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ranklite.models.features.sql import name, quoted
from ranklite.models.features.sql_values import JSON, integer, number, problem

UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1, "nanoseconds": 0.001}
_FIRST, _LAST = 315_532_800, 4_102_444_800  # 1980 and 2100, in seconds
_ISO = (
    r" *[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)? *(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)? *"
)
_LONGEST = 9e18  # microseconds in 64 bits


class TimeSql(NamedTuple):
    """How a time is read, in three steps, each over the columns of the one before it.

    Attributes:
      number: SQL of the time as a number, which becomes the column `<own>number`.
      value: SQL of microseconds, null where there is no time, which becomes `<own>time`.
      reason: SQL of what is wrong with it, null if nothing.
    """

    number: str
    value: str
    reason: str


def microseconds(column: str, kind: str, formats: Sequence[str], own: str) -> TimeSql:
    """How a column of times is read.

    A number is seconds, milliseconds, microseconds or nanoseconds, whichever makes it a time from
    1980 to 2100: their ranges lie apart. A text is such a number, or ISO 8601; without an offset it
    is UTC. Any other form, as `1/5/2026`, is read where `formats` says how.

    Args:
      column: Its name in the log.
      kind: DuckDB's type of it; JSON for a value of a JSONL line.
      formats: Units or strptime forms; a number in a unit that stands here may be of any year.
      own: What the names of columns begin with that are not the log's.
    """
    source = name(column)
    text = f"({source}->>'$')" if kind == JSON else f"{source}::VARCHAR"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        numbered, value = "NULL", f"epoch_us({source})"
    else:
        numbered = number(source, kind if kind != "BOOLEAN" else "VARCHAR")
        value = _of_text(source, text, kind, formats, name(f"{own}number"))
    reason, held = f"not a time{_hint(formats)}", name(f"{own}time")
    return TimeSql(
        numbered, value, f"CASE WHEN {held} IS NULL THEN {problem(column, reason, text)} END"
    )


def _hint(formats: Sequence[str]) -> str:
    if formats:
        return f" by timestamp_format {', '.join(formats)}"
    return " from 1980 to 2100, in ISO 8601 or since 1970: `timestamp_format` says others"


def _of_text(source: str, text: str, kind: str, formats: Sequence[str], value: str) -> str:
    if kind == "BOOLEAN":
        return "NULL::BIGINT"
    units = [form for form in formats if form in UNITS]
    forms = [form for form in formats if form not in UNITS]
    ways = []
    if units:
        bound = f"abs({value} * {UNITS[units[0]]}) < {_LONGEST}"
        ways.append(f"CASE WHEN {bound} THEN {_scaled(value, units[0], source, kind)} END")
    if forms:
        shown = "[" + ", ".join(map(quoted, forms)) + "]"
        ways.append(f"epoch_us(try_strptime(trim({text}), {shown}))")
    if not formats:
        cases = " ".join(
            f"WHEN {value} BETWEEN {_FIRST * 1_000_000 / unit!r} AND {_LAST * 1_000_000 / unit!r} "
            f"THEN {_scaled(value, form, source, kind)}"
            for form, unit in UNITS.items()
        )
        ways.append(f"CASE {cases} END")
        if kind in ("VARCHAR", JSON):
            moment = f"epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))"
            bounds = f"BETWEEN {_FIRST * 1_000_000} AND {_LAST * 1_000_000}"
            ways.append(
                f"CASE WHEN regexp_full_match({text}, {quoted(_ISO)}) AND {moment} {bounds} "
                f"THEN {moment} END"
            )
    return f"coalesce({', '.join(ways)})" if len(ways) > 1 else ways[0]


def _scaled(value: str, unit: str, source: str, kind: str) -> str:
    """A number in a unit as microseconds; nanoseconds are integers that a double cannot hold."""
    scaled = f"floor({value} * {UNITS[unit]})::BIGINT"
    if unit != "nanoseconds":
        return scaled
    return f"coalesce({integer(source, kind)} // 1000, {scaled})"
