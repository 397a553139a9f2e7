"""What a person is told where the share of positives differs from split to split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

TRAIN = "train"
# Beyond chance, and large enough to matter. Rows of one user are alike, which makes chance larger
# than z says: hence 4 and not 2. A tenth is what calibration on the later split is off by at least.
LEAST_Z = 4.0
LEAST_RATIO = 1.1


def warnings(ingest: Mapping[str, Any]) -> list[str]:
    """A sentence where a split's label has another rate than in training.

    Args:
      ingest: `report.json` of LogExampleGen; empty where there is none.

    Example:
        >>> split = {"rows": 10_000, "positives": 1_200, "first_time": 0.0, "last_time": 9.0}
        >>> late = {"rows": 2_000, "positives": 160, "first_time": 9.0, "last_time": 12.0}
        >>> warnings({"splits": {"train": split, "test": late}})[0].partition(": ")[2][:49]
        'train 12.0 %, test 8.0 %; scores keep the rate of'
    """
    splits: dict[str, Mapping[str, Any]] = ingest.get("splits", {})
    train = splits.get(TRAIN)
    if train is None:
        return []
    drifted = [split for name, split in splits.items() if name != TRAIN and _differs(train, split)]
    if not drifted:
        return []
    rates = ", ".join(f"{name} {_rate(split):.1%}" for name, split in splits.items())
    follows = (
        "scores keep the rate of the rows that they were learned from, and calibration on later "
        "ones is off by as much; train more often, or on a shorter window"
        if all(_is_later(split, train) for split in drifted)
        else "the splits are not cut by time, so what they are drawn by tells of the label, or few "
        "users have many of the rows"
    )
    return [f"the share of positives drifts: {rates.replace('%', ' %')}; {follows}"]


def _rate(split: Mapping[str, Any]) -> float:
    return float(split["positives"]) / max(1, split["rows"])


def _differs(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    r"""Whether two splits' rates differ by more than noise, and enough to matter.

        z = (p_1 - p_2) / sqrt(p (1 - p) (1 / n_1 + 1 / n_2)),    p of both together

    Rates are compared by the rarer label: from 90 to 95 % negatives halve, as positives do from 10
    to 5 %.
    """
    rows = one["rows"], two["rows"]
    both = (one["positives"] + two["positives"]) / max(1, sum(rows))
    if not all(rows) or both in (0, 1):
        return False
    rates = _rate(one), _rate(two)
    error = math.sqrt(both * (1 - both) * sum(1 / count for count in rows))
    low, high = sorted(rates if both < 0.5 else [1 - rate for rate in rates])
    return abs(rates[0] - rates[1]) > LEAST_Z * error and high > LEAST_RATIO * low


def _is_later(split: Mapping[str, Any], train: Mapping[str, Any]) -> bool:
    times = split["first_time"], train["last_time"]
    return None not in times and times[0] >= times[1]
