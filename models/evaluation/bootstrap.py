"""How sure a metric is: intervals by resampling users (Efron 1979)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models import progress
from ranklite.models.evaluation.metrics import EPSILON, auc_by_group, ndcg_by_group, weighted_mean

Array = npt.NDArray[Any]
Interval = tuple[float, float]
Draws = dict[str, Array]  # values [replicates] by metric
REPLICATES = 200
COVERAGE = 0.95


class _Ranked:
    """AUC of one column of scores under any weights of the rows, without sorting again."""

    def __init__(self, labels: Array, scores: Array) -> None:
        self._order = np.argsort(scores, kind="stable")
        ascending = np.asarray(scores)[self._order]
        self._starts = np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]])
        self._labels = np.asarray(labels, np.float64)[self._order]

    def auc(self, weights: Array) -> float:
        weights = weights[self._order]
        positive = np.add.reduceat(weights * self._labels, self._starts)
        negative = np.add.reduceat(weights, self._starts) - positive
        below = np.cumsum(negative) - negative / 2  # of equal scores, half count
        pairs = positive.sum() * negative.sum()
        return float(positive @ below / pairs) if pairs else float("nan")


class _Column:
    """All metrics of one column of scores, each user drawn any number of times."""

    def __init__(self, labels: Array, scores: Array, user: Array, count: int, by_user: bool):
        self._ranked, self._user, self._by_user = _Ranked(labels, scores), user, by_user
        scores = np.asarray(scores, np.float64)
        sums = (np.ones(len(labels)), labels, scores, _losses(labels, scores))
        self._sums = np.stack([np.bincount(user, values, count) for values in sums])
        if by_user:
            self._auc, self._rows = auc_by_group(labels, scores, user, count)
            self._ndcg = ndcg_by_group(labels, scores, user, count)

    def figures(self, times: Array) -> dict[str, float]:
        """Metrics where user u is in the sample `times[u]` times with all of its rows."""
        rows, positives, scores, losses = map(float, self._sums @ times)
        result = {
            "auc": self._ranked.auc(times[self._user]),
            "log_loss": losses / rows,
            "calibration": scores / positives if positives else math.nan,
        }
        if self._by_user:
            result["gauc"] = weighted_mean(self._auc, self._rows * times)
            result["ndcg_at_10"] = weighted_mean(self._ndcg, times)
        return result


def draws(
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    *,
    replicates: int = REPLICATES,
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
    drawn: dict[str, list[dict[str, float]]] = {stage: [] for stage in scores}
    for draw in range(replicates):
        progress.report(f"intervals, draw {draw + 1}/{replicates}", draw / replicates)
        times = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        for stage, column in columns.items():
            drawn[stage].append(column.figures(times))
    return {
        stage: {name: np.array([figures[name] for figures in result]) for name in result[0]}
        for stage, result in drawn.items()
    }


def intervals(
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    *,
    against: str,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """95 % percentile intervals of each metric, and of its change against one stage.

    The interval of a change is that of paired differences, much narrower than the two intervals
    suggest. The arguments are those of `draws`.

    Args:
      labels: [R] of 0 and 1.
      scores: Probabilities [R] by stage.
      users: [R], whose row it is; None draws rows.
      against: The stage that changes are taken against.
      replicates: How many draws.
      seed: Of the draws.

    Returns:
      By stage: the metrics of `draws`, and but for `against` itself `<metric>_change` of each, all
      (low, high); NaN where a metric is not defined.
    """
    drawn = draws(labels, scores, users, replicates=replicates, seed=seed)
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


def _losses(labels: Array, scores: Array) -> Array:
    p = np.clip(scores, EPSILON, 1 - EPSILON)
    losses: Array = -(labels * np.log(p) + (1 - labels) * np.log1p(-p))
    return losses
