"""How sure a metric is: intervals by resampling users (Efron 1979)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models import progress
from ranklite.models.evaluation.metrics import auc_by_group, losses, ndcg_by_group

Array = npt.NDArray[Any]
Interval = tuple[float, float]
Draws = dict[str, Array]  # values [replicates] by metric
REPLICATES = (200, 1000)  # at least and at most
ROWS_DRAWN = 100_000_000  # in between, so many rows in all: some seconds a stage
COVERAGE = 0.95
_BLOCK = 1 << 16  # rows of several draws that are looked at together: they stay in the cache


class _Ranked:
    """AUC of one column of scores where units are drawn any number of times; sorts once."""

    def __init__(self, labels: Array, scores: Array, unit: Array) -> None:
        order = np.argsort(scores, kind="stable")
        ascending, positive = np.asarray(scores)[order], np.asarray(labels)[order] > 0
        self._positive, self._negative = unit[order][positive], unit[order][~positive]
        # How many negatives score less than each positive, and how many no more.
        negatives = ascending[~positive]
        self._less, self._no_more = (
            np.searchsorted(negatives, ascending[positive], side) for side in ("left", "right")
        )

    def auc(self, times: Array) -> Array:
        """AUC [B] where unit u is in sample b `times[b, u]` times; NaN without both labels."""
        positives = times.take(self._positive, axis=1)
        below = np.zeros((len(times), len(self._negative) + 1))
        np.cumsum(times.take(self._negative, axis=1), axis=1, out=below[:, 1:])
        # Of equal scores, half count.
        ordered = np.einsum("bp,bp->b", positives, below.take(self._less, axis=1))
        ordered += np.einsum("bp,bp->b", positives, below.take(self._no_more, axis=1))
        pairs = positives.sum(axis=1) * below[:, -1]
        return np.divide(ordered / 2, pairs, out=np.full(len(times), np.nan), where=pairs > 0)


class _Column:
    """All metrics of one column of scores, each user drawn any number of times."""

    def __init__(self, labels: Array, scores: Array, user: Array, count: int, by_user: bool):
        self._ranked = _Ranked(labels, scores, user)
        scores = np.asarray(scores, np.float64)
        ones = np.ones(len(labels))
        sums = [(losses(labels, scores), ones), (scores, labels)]
        ratios = [tuple(np.bincount(user, part, count) for part in pair) for pair in sums]
        names = ["log_loss", "calibration"]
        if by_user:
            auc, rows = auc_by_group(labels, scores, user, count)
            ndcg = ndcg_by_group(labels, scores, user, count)
            ratios += [_mean(auc, rows), _mean(ndcg, np.ones(count))]
            names += ["gauc", "ndcg_at_10"]
        self._ratios = dict(zip(names, ratios, strict=True))

    def figures(self, times: Array) -> Draws:
        """Metrics [B] where user u is in sample b `times[b, u]` times with all of its rows."""
        result = {"auc": self._ranked.auc(times)}
        for name, (above, below) in self._ratios.items():
            total = times @ below
            missing = np.full(len(times), np.nan)
            result[name] = np.divide(times @ above, total, out=missing, where=total > 0)
        return result


def _mean(values: Array, weights: Array) -> tuple[Array, Array]:
    """Numerator and denominator of a weighted mean, by unit; NaN has no part in it."""
    weights = np.where(np.isnan(values), 0.0, weights)
    return np.nan_to_num(values) * weights, weights


def replicates(rows: int) -> int:
    """How many draws to take: 1,000, fewer of more than 100,000 rows."""
    least, most = REPLICATES
    return max(least, min(most, ROWS_DRAWN // max(1, rows)))


def draws(
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    *,
    replicates: int = REPLICATES[0],
    seed: int = 0,
) -> dict[str, Draws]:
    """Metrics of each stage on samples of the users.

    A replicate draws as many users as there are, with replacement, and takes all of their rows:
    the rows of one user are not independent, and drawing rows alone would claim more certainty
    than there is. All stages see the same draws, and so do two calls with the same users, rows in
    the same order and seed: their values can be taken as pairs.

    Args:
      labels: [R] of 0 and 1.
      scores: Probabilities [R] by stage.
      users: [R], whose row it is; None draws rows.
      replicates: How many draws.
      seed: Of the draws.

    Returns:
      By stage `auc`, `log_loss`, `calibration`, and where users are known `gauc` and `ndcg_at_10`,
      each [replicates]; NaN where a metric is not defined.
    """
    labels = np.asarray(labels, np.float64)
    count, user = len(labels), np.arange(len(labels))
    if users is not None:
        names, user = np.unique(users, return_inverse=True)
        count = len(names)
    columns = {
        stage: _Column(labels, np.asarray(values), user, count, users is not None)
        for stage, values in scores.items()
    }
    random = np.random.default_rng(seed)
    drawn: dict[str, list[Draws]] = {stage: [] for stage in scores}
    block = max(1, _BLOCK // max(1, len(labels)))
    for first in range(0, replicates, block):
        progress.report(f"intervals, draw {first + 1}/{replicates}", first / replicates)
        samples = [random.integers(0, count, count) for _ in range(first, replicates)[:block]]
        times = np.stack([np.bincount(one, minlength=count) for one in samples]).astype(np.float64)
        for stage, column in columns.items():
            drawn[stage].append(column.figures(times))
    return {
        stage: {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for stage, parts in drawn.items()
    }


def intervals(drawn: Mapping[str, Draws], *, against: str) -> dict[str, dict[str, Interval]]:
    """95 % percentile intervals of each metric, and of its change against one stage.

    The interval of a change is that of paired differences, much narrower than the two intervals
    suggest.

    Args:
      drawn: What `draws` gives.
      against: The stage that changes are taken against.

    Returns:
      By stage: the metrics of `draws`, and but for `against` itself `<metric>_change` of each, all
      (low, high); NaN where a metric is not defined.
    """
    result = {}
    for stage, values in drawn.items():
        result[stage] = {name: interval(sample) for name, sample in values.items()}
        if stage != against:
            changes = change(drawn[against], values)
            result[stage] |= {f"{name}_change": bounds for name, bounds in changes.items()}
    return result


def change(before: Draws, after: Draws) -> dict[str, Interval]:
    """Intervals of `after` less `before`, of each metric that both have.

    They are paired where both come from the same draws, else (other rows, another seed) those of a
    difference between independent samples.
    """
    return {
        name: interval(after[name] - values) for name, values in before.items() if name in after
    }


def independent_change(
    before: float, before_bounds: Interval, after: float, after_bounds: Interval
) -> Interval:
    """Interval of `after` less `before` from the interval of each, as if they were independent.

        low  = d - sqrt((after - low_a)^2 + (high_b - before)^2)
        high = d + sqrt((high_a - after)^2 + (before - low_b)^2),   d = after - before

    (Zou & Donner 2008). On the same rows it is too wide, never too narrow, as long as the two
    models err alike.
    """
    difference = after - before
    return (
        difference - math.hypot(after - after_bounds[0], before_bounds[1] - before),
        difference + math.hypot(after_bounds[1] - after, before - before_bounds[0]),
    )


def interval(values: npt.ArrayLike) -> Interval:
    """The central 95 % of some draws; NaN where none is defined."""
    values = np.asarray(values)
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    edge = 50 * (1 - COVERAGE)
    low, high = np.percentile(defined, [edge, 100 - edge])
    return float(low), float(high)
