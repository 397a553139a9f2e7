"""Statistics of the past from sums over events: the same in ingestion and where events are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranklite.models.features import past
from ranklite.models.features.past import Past

EVENTS, AGE = "events", "age"  # how many; microseconds since the newest, `past.NEVER` without one
SUM, PRESENT, DISTINCT = "sum", "present", "distinct"  # of a column: `sum price`


def needed(of: Past) -> tuple[str, ...]:
    """The sums over events that a statistic is made of, by name."""
    total, present = f"{SUM} {of.of}", f"{PRESENT} {of.of}"
    return {
        "count": (EVENTS,),
        "recency": (AGE,),
        "distinct": (f"{DISTINCT} {of.of}",),
        "sum": (total,),
        "mean": (total, present),
        "rate": (total, present),
    }[of.stat]


def statistic(of: Past, sums: Mapping[str, Any], means: Mapping[str, float]) -> Any:
    """A statistic from the sums that it needs, numbers or arrays of them; NaN where they are.

    Args:
      of: Which.
      sums: By the names of `needed`.
      means: m of rates by column.

    Example:
        >>> of = Past("stats", ("item",), "label", "rate", "day", prior=10)
        >>> statistic(of, {"sum label": 5.0, "present label": 10.0}, {"label": 0.2})
        0.35
    """
    if of.stat == "recency":
        age = sums[AGE]
        return np.where(age < 0, past.NEVER, age / past.DAY)
    if of.stat in ("count", "distinct", "sum"):
        (values,) = sums.values()
        return values
    total, count = (sums[what] for what in needed(of))
    if of.stat == "rate":
        return (total + of.prior * means[of.of]) / (count + of.prior)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def no_event(of: Past) -> dict[str, Any]:
    """The sums of a key without events, [1] each."""
    return {what: np.full(1, past.NEVER if what == AGE else 0.0) for what in needed(of)}
