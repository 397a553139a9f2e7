"""How sure a metric is: intervals by resampling users (Efron 1979)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models import progress
from models.metrics import EPSILON

Array = npt.NDArray[Any]
Interval = tuple[float, float]
REPLICATES = 200
COVERAGE = 0.95


class _Ranked:
    """AUC of one column of scores under any weights of the rows, without sorting again."""

    def __init__(self, labels: Array, scores: Array) -> None:
        _, self._rank = np.unique(scores, return_inverse=True)
        self._labels = labels

    def auc(self, weights: Array) -> float:
        positive = np.bincount(self._rank, weights * self._labels)
        negative = np.bincount(self._rank, weights * (1 - self._labels))
        below = np.cumsum(negative) - negative / 2  # of equal scores, half count
        pairs = positive.sum() * negative.sum()
        return float(positive @ below / pairs) if pairs else float("nan")


def intervals(
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    *,
    against: str,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """95 % percentile intervals of AUC and log loss, and of their change against one stage.

    A replicate draws as many users as there are, with replacement, and takes all of their rows:
    the rows of one user are not independent, and drawing rows alone would claim more certainty
    than there is. All stages see the same draws, so the interval of a change is that of paired
    differences, much narrower than the two intervals suggest.

    Args:
      labels: [R] of 0 and 1.
      scores: Probabilities [R] by stage.
      users: [R], whose row it is; None draws rows.
      against: The stage that changes are taken against.
      replicates: How many draws.
      seed: Of the draws.

    Returns:
      By stage: `auc`, `log_loss`, and but for `against` itself `auc_change` and
      `log_loss_change`, each (low, high); NaN where a metric is not defined.
    """
    labels = np.asarray(labels, np.float64)
    count, user = len(labels), np.arange(len(labels))
    if users is not None:
        names, user = np.unique(users, return_inverse=True)
        count = len(names)
    ranked = {stage: _Ranked(labels, values) for stage, values in scores.items()}
    losses = {stage: _losses(labels, np.asarray(values)) for stage, values in scores.items()}
    random = np.random.default_rng(seed)
    drawn: dict[str, dict[str, list[float]]] = {
        stage: {"auc": [], "log_loss": []} for stage in scores
    }
    for draw in range(replicates):
        progress.report(f"intervals, draw {draw + 1}/{replicates}", draw / replicates)
        weights = np.bincount(random.integers(0, count, count), minlength=count)[user]
        for stage, figures in drawn.items():
            figures["auc"].append(ranked[stage].auc(weights))
            figures["log_loss"].append(float(np.average(losses[stage], weights=weights)))
    found = {}
    for stage, figures in drawn.items():
        found[stage] = {name: _interval(values) for name, values in figures.items()}
        if stage != against:
            for name, values in figures.items():
                change = np.subtract(values, drawn[against][name])
                found[stage][f"{name}_change"] = _interval(change)
    return found


def _losses(labels: Array, scores: Array) -> Array:
    p = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
    losses: Array = -(labels * np.log(p) + (1 - labels) * np.log1p(-p))
    return losses


def _interval(values: npt.ArrayLike) -> Interval:
    defined = np.asarray(values)[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    edge = 50 * (1 - COVERAGE)
    low, high = np.percentile(defined, [edge, 100 - edge])
    return float(low), float(high)
