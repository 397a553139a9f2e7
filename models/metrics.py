"""Metrics of a ranking model, in numpy. All take labels in {0, 1} and probabilities, both [R]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

Array = npt.NDArray[np.generic]

EPSILON = 1e-7  # scores are clipped by it before the logarithm, as Keras does


def auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve, exactly (ties count one half); NaN where one label is missing."""
    labels = np.asarray(labels)
    if labels.size == 0 or labels.min() == labels.max():
        return float("nan")
    return float(roc_auc_score(labels, scores))


def log_loss(labels: Array, scores: Array) -> float:
    """Mean of  -y log p - (1 - y) log(1 - p)."""
    y = np.asarray(labels, np.float64)
    p = np.clip(np.asarray(scores, np.float64), EPSILON, 1 - EPSILON)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))) if y.size else float("nan")


def calibration(labels: Array, scores: Array) -> float:
    """Mean score over mean label; 1 is perfect, above 1 promises too much."""
    positives = float(np.mean(np.asarray(labels, np.float64))) if np.size(labels) else 0.0
    return float(np.mean(np.asarray(scores, np.float64)) / positives) if positives else float("nan")


def binary_metrics(labels: Array, scores: Array) -> dict[str, float]:
    """`auc`, `log_loss` and `calibration` by name."""
    return {
        "auc": auc(labels, scores),
        "log_loss": log_loss(labels, scores),
        "calibration": calibration(labels, scores),
    }


def _by_group(groups: Array) -> list[npt.NDArray[np.intp]]:
    """Row numbers of each group, in the order of the rows."""
    _, inverse = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1) if order.size else []


def gauc(labels: Array, scores: Array, groups: Array) -> float:
    """AUC within each user, averaged with the number of their rows as weight (Zhu et al. 2017).

    Users whose labels are all equal say nothing about an order and are left out.

    Args:
      labels: [R] of 0 and 1.
      scores: [R].
      groups: [R], who the user is.

    Returns:
      The average, or NaN where no user has both labels.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    values, weights = [], []
    for rows in _by_group(groups):
        value = auc(labels[rows], scores[rows]) if labels[rows].any() else float("nan")
        if not np.isnan(value):
            values.append(value)
            weights.append(len(rows))
    return float(np.average(values, weights=weights)) if values else float("nan")


def ndcg(labels: Array, scores: Array, groups: Array, k: int = 10) -> float:
    """Mean over users of NDCG@k (Jarvelin & Kekalainen 2002) with gains 0 and 1.

        DCG = sum_{r=1..k} y_(r) / log2(r + 1);   NDCG = DCG / the best possible DCG

    Tied scores share the mean of the discounts that they span, so that a constant score is not
    flattered by the order of the rows. Users without a positive are left out.

    Args:
      labels: [R] of 0 and 1.
      scores: [R].
      groups: [R], who the user is.
      k: Rows of each user that count.

    Returns:
      The mean, or NaN where no user has a positive.
    """
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores)
    values = []
    for rows in _by_group(groups):
        y = labels[rows]
        if not y.any():
            continue
        discounts = 1.0 / np.log2(np.arange(2, len(rows) + 2))
        discounts[k:] = 0.0
        _, tied = np.unique(-scores[rows], return_inverse=True)
        shared = np.bincount(tied, np.sort(discounts)[::-1][_rank(tied)]) / np.bincount(tied)
        values.append(float(np.dot(y, shared[tied])) / discounts[: int(y.sum())].sum())
    return float(np.mean(values)) if values else float("nan")


def _rank(tied: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Position of each row when rows are ordered by their tie group."""
    rank = np.empty(len(tied), np.intp)
    rank[np.argsort(tied, kind="stable")] = np.arange(len(tied))
    return rank
