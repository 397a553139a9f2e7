"""The outcome of a gate: passed, failed, or undecided where the data cannot tell."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from ranklite.models.evaluation.bootstrap import Interval

Outcome = Literal["passed", "failed", "undecided"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome of one gate.

    Attributes:
      name: What was looked at.
      passed: Whether the model may be pushed for all that this gate says.
      value: What was measured.
      threshold: The bound, or None for a plain yes or no.
      at_least: Whether the bound is a lower one.
      detail: What a person should know besides.
      interval: The 95 % interval of the value; None where it is exact, or where there is none.
      undecided: Whether the data cannot tell on which side of the bound the value lies.
      key: The setting with the bound; empty where none has it.
    """

    name: str
    passed: bool
    value: float
    threshold: float | None = None
    at_least: bool = False
    detail: str = ""
    interval: Interval | None = None
    undecided: bool = False
    key: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return dataclasses.asdict(self)


def decide(interval: Interval, threshold: float, *, at_least: bool) -> Outcome:
    """Where an interval lies: within the bound, beyond it, or on both sides.

    The bound itself is within. An interval with NaN decides nothing.

    Example:
        >>> decide((0.0002, 0.0009), 0.0005, at_least=False)
        'undecided'
        >>> decide((0.0002, 0.0005), 0.0005, at_least=False)
        'passed'
        >>> decide((0.61, 0.64), 0.65, at_least=True)
        'failed'
    """
    low, high = interval
    if not low <= high:
        return "undecided"
    if at_least:
        return "passed" if low >= threshold else "failed" if high < threshold else "undecided"
    return "passed" if high <= threshold else "failed" if low > threshold else "undecided"


def at_most(name: str, value: float, threshold: float | None, key: str = "") -> list[Verdict]:
    """The verdict on an exact figure's upper bound; none where it is off. NaN never passes.

    Example:
        >>> [verdict] = at_most("bytes", 70_000, 65_536)
        >>> verdict.passed, verdict.threshold
        (False, 65536)
        >>> at_most("bytes", 70_000, None)
        []
    """
    if threshold is None:
        return []
    return [Verdict(name, bool(value <= threshold), float(value), threshold, key=key)]


def at_least(name: str, value: float, threshold: float | None, key: str = "") -> list[Verdict]:
    """The verdict on an exact figure's lower bound; none where it is off. NaN never passes."""
    if threshold is None:
        return []
    passed = bool(value >= threshold)
    return [Verdict(name, passed, float(value), threshold, at_least=True, key=key)]
