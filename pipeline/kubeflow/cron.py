"""Cron expressions: five fields as everyone writes them, six as Kubeflow wants them."""

from __future__ import annotations

import re

_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 6),
)
_PART = re.compile(r"(\*|(?P<first>\w+)(-(?P<last>\w+))?)(/(?P<step>\d+))?")


class WrongCron(ValueError):
    """An expression that is no schedule; the message says which field and what is allowed."""


def six_fields(expression: str) -> str:
    """Turns `minute hour day month weekday` into Kubeflow's form, seconds in front.

    Fields hold `*`, numbers, ranges `1-5`, steps `*/15` and lists `1,15`; months and days of the
    week go by their English names too. Kubeflow reads them in UTC.

    Raises:
      WrongCron: It is wrong. Kubeflow itself would take it and never run.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise WrongCron(
            f"cron {expression!r} has {len(fields)} fields; write five: minute, hour, day of "
            "month, month, day of week, such as '0 2 * * *' for every night at two (UTC)"
        )
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            _check(part, expression, name, low, high)
    return " ".join(["0", *fields])


def _check(part: str, expression: str, name: str, low: int, high: int) -> None:
    def wrong(why: str) -> WrongCron:
        names = f" or {', '.join(_NAMES[name])}" if name in _NAMES else ""
        return WrongCron(
            f"cron {expression!r}: {name} {part!r} {why}; it takes {low} to {high}{names}, "
            "*, ranges, steps and lists"
        )

    match = _PART.fullmatch(part)
    if match is None:
        raise wrong("is not understood")
    ends = [_number(match[end], name) for end in ("first", "last") if match[end]]
    if any(end is None or not low <= end <= high for end in ends):
        raise wrong("is out of range")
    if len(ends) == 2 and (ends[0] or 0) > (ends[1] or 0):
        raise wrong("ends before it begins")
    if match["step"] is not None and not 1 <= int(match["step"]) <= high:
        raise wrong("has a step that is out of range")


def _number(text: str, name: str) -> int | None:
    if text.isdigit():
        return int(text)
    names = _NAMES.get(name, [])
    lowered = text.lower()
    return names.index(lowered) + (name == "month") if lowered in names else None
