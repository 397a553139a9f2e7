"""Curves of a ranking model, thinned out to what a picture can show.

Scores that are no numbers have none: `x` and `y` are empty, and the gates say why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_curve

Array = npt.NDArray[Any]
POINTS = 200
BINS = 15
PAIRS = 1500

Curve = dict[str, list[float]]


def roc(labels: Array, scores: Array) -> Curve:
    """`x` false positive rate, `y` true positive rate."""
    if not _are_numbers(scores):
        return {"x": [], "y": []}
    false, true, _ = roc_curve(labels, scores)
    return _thinned(false, true)


def precision_recall(labels: Array, scores: Array) -> Curve:
    """`x` recall, `y` precision."""
    if not _are_numbers(scores):
        return {"x": [], "y": []}
    precision, recall, _ = precision_recall_curve(labels, scores)
    return _thinned(recall[::-1], precision[::-1])


def calibration(labels: Array, scores: Array) -> Curve:
    """`x` mean score and `y` share of positives in bins of equally many rows; `rows` in each."""
    if not _are_numbers(scores):
        return {"x": [], "y": [], "rows": []}
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]
    return {
        "x": [float(np.mean(scores[part])) for part in parts],
        "y": [float(np.mean(labels[part])) for part in parts],
        "rows": [float(len(part)) for part in parts],
    }


def score_pairs(before: Array, after: Array, seed: int = 0) -> Curve:
    """Scores of the same rows in two models: a sample, and the rows that changed most."""
    if not _are_numbers(before, after):
        return {"x": [], "y": []}
    rows = np.random.default_rng(seed).permutation(len(before))[:PAIRS]
    most = np.argsort(-np.abs(after - before), kind="stable")[: PAIRS // 10]
    shown = np.union1d(rows, most)
    return {"x": _rounded(before[shown]), "y": _rounded(after[shown])}


def _are_numbers(*scores: Array) -> bool:
    return all(bool(np.isfinite(some).all()) for some in scores)


def _thinned(x: Array, y: Array) -> Curve:
    kept = np.unique(np.searchsorted(x, np.linspace(0, 1, POINTS)).clip(0, len(x) - 1))
    return {"x": _rounded(x[kept]), "y": _rounded(y[kept])}


def _rounded(values: Array) -> list[float]:
    return [round(float(value), 5) for value in values]
