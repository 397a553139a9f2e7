"""Spans: a log that grows by files, each night's named by its date or number."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable

_DATE = {"{YYYY}": r"\d{4}", "{MM}": r"\d{2}", "{DD}": r"\d{2}"}
_NUMBER = {"{SPAN}": r"\d+"}
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_ADJACENT = re.compile(r"\*?(?:\{[^{}]*\})+(?:\*(?!\*))?")  # `**` would mean any folder
_TOKEN = re.compile(r"\{[^{}]*\}|\*\*/|\*\*|\*|\?|\[[^\]]*\]|.", re.DOTALL)
_EPOCH = datetime.date(1970, 1, 1)
SHOWN = 5


def placeholders(pattern: str) -> frozenset[str]:
    """The placeholders of a glob.

    Raises:
      ValueError: There are others than `{SPAN}` alone or `{YYYY}`, `{MM}` and `{DD}` together.
    """
    result = frozenset(_PLACEHOLDER.findall(pattern))
    if result not in (frozenset(), frozenset(_DATE), frozenset(_NUMBER)):
        raise ValueError(
            f"{pattern!r} has {', '.join(sorted(result))}: a span is named by {{SPAN}}, a number, "
            "or by {YYYY}, {MM} and {DD}, a date"
        )
    return result


def as_glob(pattern: str) -> str:
    """The glob that matches all spans."""
    return _ADJACENT.sub("*", pattern)


def span_of(pattern: str, path: str) -> str | None:
    """The span that a file belongs to, `2026-11-22` or `17`, or None where it fits none.

    Args:
      pattern: Glob with placeholders.
      path: A file's path, relative to the same folder, with `/`.
    """
    match = _expression(pattern).fullmatch(path)
    if match is None:
        return None
    parts = match.groupdict()
    if "SPAN" in parts:
        return str(int(parts["SPAN"]))
    try:
        return datetime.date(*(int(parts[key]) for key in ("YYYY", "MM", "DD"))).isoformat()
    except ValueError:
        return None


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    """What a path has to look like; each placeholder is a group."""
    seen: set[str] = set()

    def expression(token: str) -> str:
        if token in _DATE or token in _NUMBER:
            name = token.strip("{}")
            if name in seen:
                return f"(?P={name})"
            seen.add(name)
            return f"(?P<{name}>{(_DATE | _NUMBER)[token]})"
        plain = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        if token in plain:
            return plain[token]
        if len(token) > 1:  # a class of characters
            return token.replace("[!", "[^", 1)
        return re.escape(token)

    return re.compile("".join(map(expression, _TOKEN.findall(pattern))))


def number(span: str) -> int:
    """The span as TFX counts it: a date is its days since 1970.

    Raises:
      ValueError: It is neither a number nor a date.
    """
    if span.isascii() and span.isdigit():
        return int(span)
    try:
        return (datetime.date.fromisoformat(span) - _EPOCH).days
    except ValueError:
        raise ValueError(
            f"span {span!r} is neither a date such as 2026-11-22 nor a number"
        ) from None


def chosen(
    available: Iterable[str], span: str | None, window: int | None, before: int | None = None
) -> tuple[list[str], list[str]]:
    """The spans before the window, and those in it, the oldest first.

    Args:
      available: Spans that there are files of.
      span: The newest to read; None takes the newest there is.
      window: How many; None takes all up to the newest.
      before: How many before these; None takes all.

    Raises:
      FileNotFoundError: There are no files of `span`.
    """
    ordered = sorted(set(available), key=number)
    if span is not None:
        newest = number(span)
        if newest not in map(number, ordered):
            shown = ", ".join(ordered[-SHOWN:]) or "none"
            raise FileNotFoundError(f"there are no files of span {span}; the newest are {shown}")
        ordered = [one for one in ordered if number(one) <= newest]
    start = max(0, len(ordered) - window) if window else 0
    first = 0 if before is None else max(0, start - before)
    return ordered[first:start], ordered[start:]
