"""Metrics of a ranking model, in numpy.

All take labels in {0, 1} and probabilities, both of shape [R], and give NaN where they are not
defined (no rows, or one label only).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.ArrayLike
Numbers = npt.NDArray[np.float64]

EPSILON = 1e-7  # scores are clipped by it before the logarithm, as Keras does


def auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve, exactly: the share of (positive, negative) pairs in right order.

    A pair of equal scores counts one half (Mann & Whitney 1947).

    Example:
        >>> auc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
        0.75
    """
    values, _ = auc_by_group(labels, scores, np.zeros(np.size(labels), np.intp), 1)
    return float(values[0])


def losses(labels: Array, scores: Array) -> Numbers:
    """-y log p - (1 - y) log(1 - p)  of each row, in nats."""
    y = np.asarray(labels, np.float64)
    p = np.clip(np.asarray(scores, np.float64), EPSILON, 1 - EPSILON)
    result: Numbers = -(y * np.log(p) + (1 - y) * np.log1p(-p))
    return result


def log_loss(labels: Array, scores: Array) -> float:
    """Mean of `losses`."""
    values = losses(labels, scores)
    return float(values.mean()) if values.size else float("nan")


def calibration(labels: Array, scores: Array) -> float:
    """Mean score over mean label; 1 is perfect, above 1 promises too much."""
    positives = float(np.sum(labels, dtype=np.float64))
    return float(np.sum(scores, dtype=np.float64)) / positives if positives else float("nan")


def binary_metrics(labels: Array, scores: Array) -> dict[str, float]:
    """`auc`, `log_loss` and `calibration` by name.

    Example:
        >>> figures = binary_metrics([1, 0], [0.75, 0.5])
        >>> {name: round(value, 4) for name, value in figures.items()}
        {'auc': 1.0, 'log_loss': 0.4904, 'calibration': 1.25}
    """
    return {
        "auc": auc(labels, scores),
        "log_loss": log_loss(labels, scores),
        "calibration": calibration(labels, scores),
    }


def ranking_metrics(labels: Array, scores: Array, groups: Array | None = None) -> dict[str, float]:
    """`binary_metrics` and, where groups say whose row it is, `gauc` and `ndcg_at_10` by name."""
    figures = binary_metrics(labels, scores)
    if groups is not None:
        figures |= {
            "gauc": gauc(labels, scores, groups),
            "ndcg_at_10": ndcg(labels, scores, groups),
        }
    return figures


def gauc(labels: Array, scores: Array, groups: Array) -> float:
    """AUC within each user, averaged with the number of their rows as weight (Zhu et al. 2017).

    Users whose labels are all equal say nothing about an order and are left out.

    Args:
      labels: [R] of 0 and 1.
      scores: [R].
      groups: [R], who the user is (numbers or strings).

    Returns:
      The average, or NaN where no user has both labels.
    """
    group, count = _numbered(groups)
    values, rows = auc_by_group(labels, scores, group, count)
    return weighted_mean(values, rows)


def ndcg(labels: Array, scores: Array, groups: Array, k: int = 10) -> float:
    """Mean over users of NDCG@k (Jarvelin & Kekalainen 2002) with gains 0 and 1.

        DCG = sum_{r=1..k} y_(r) / log2(r + 1);   NDCG = DCG / the best possible DCG

    Tied scores share the mean of the discounts that they span (McSherry & Najork 2008), so that a
    constant score is not flattered by the order of the rows. Users without a positive are left out.

    Args:
      labels: [R] of 0 and 1.
      scores: [R].
      groups: [R], who the user is (numbers or strings).
      k: Rows of each user that count.

    Returns:
      The mean, or NaN where no user has a positive.
    """
    group, count = _numbered(groups)
    values = ndcg_by_group(labels, scores, group, count, k)
    return weighted_mean(values, np.ones(count))


def weighted_mean(values: Numbers, weights: Numbers) -> float:
    """Mean of the values that are no NaN, or NaN where none of them has weight."""
    weights = np.where(np.isnan(values), 0.0, weights)
    total = weights.sum()
    return float(np.nan_to_num(values) @ weights / total) if total else float("nan")


def ndcg_by_group(
    labels: Array, scores: Array, group: npt.NDArray[np.intp], count: int, k: int = 10
) -> Numbers:
    """NDCG@k of each group [count], as `ndcg` documents it; NaN for one without a positive."""
    y = np.asarray(labels, np.float64)

    def discounts(*keys: npt.NDArray) -> tuple[npt.NDArray[np.intp], Numbers]:
        order = np.lexsort((*keys, group))
        sizes = np.bincount(group, minlength=count)
        rank = np.arange(y.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return order, np.where(rank < k, 1 / np.log2(rank + 2.0), 0.0)

    order, discount = discounts(-np.asarray(scores))
    tie = _ties(group[order], np.asarray(scores)[order])
    shared = (np.bincount(tie, discount) / np.bincount(tie))[tie] if y.size else discount
    gained = np.bincount(group[order], y[order] * shared, count)
    order, discount = discounts(-y)
    best = np.bincount(group[order], y[order] * discount, count)
    return np.divide(gained, best, out=np.full(count, np.nan), where=best > 0)


def _numbered(groups: Array) -> tuple[npt.NDArray[np.intp], int]:
    """Numbers groups from 0: the number of each row's group, and how many groups there are."""
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    return numbers, len(names)


def _ties(*sorted_keys: npt.NDArray) -> npt.NDArray[np.intp]:
    """Numbers the runs of rows that agree in every key."""
    starts = np.zeros(sorted_keys[0].size, bool)
    for key in sorted_keys:
        starts[1:] |= key[1:] != key[:-1]
    return np.cumsum(starts)


def auc_by_group(
    labels: Array, scores: Array, group: npt.NDArray[np.intp], count: int
) -> tuple[Numbers, Numbers]:
    """AUC (NaN where undefined) and number of rows of each group, from the ranks of its positives.

    With P positives and N negatives, and ranks from 1 that ties share:

        AUC = (sum of the positives' ranks - P (P + 1) / 2) / (P N)
    """
    order = np.lexsort((np.asarray(scores), group))
    y, group = np.asarray(labels, np.float64)[order], group[order]
    rows = np.bincount(group, minlength=count).astype(np.float64)
    tie = _ties(group, np.asarray(scores)[order])
    position = np.arange(y.size, dtype=np.float64)
    mean_position = (np.bincount(tie, position) / np.bincount(tie))[tie] if y.size else position
    rank = mean_position - (np.cumsum(rows) - rows)[group] + 1
    positives = np.bincount(group, y, count)
    pairs = positives * (rows - positives)
    ordered = np.bincount(group, y * rank, count) - positives * (positives + 1) / 2
    values = np.divide(ordered, pairs, out=np.full(count, np.nan), where=pairs > 0)
    return values, rows
