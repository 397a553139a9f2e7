"""Curves by hand, and thinned out without losing their ends."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from ranklite.models.evaluation import curves

LABELS = np.array([0, 0, 1, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def area(curve: curves.Curve) -> float:
    return float(auc(curve["x"], curve["y"]))


def test_roc_by_hand() -> None:
    curve = curves.roc(LABELS, SCORES)
    points = set(zip(curve["x"], curve["y"], strict=True))
    assert points <= {(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)}
    assert (curve["x"][-1], curve["y"][-1]) == (1.0, 1.0)


def test_a_thinned_curve_keeps_its_area() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(20_000) < 0.3).astype(int)
    scores = random.normal(labels, 1)
    assert len(curves.roc(labels, scores)["x"]) <= curves.POINTS
    assert area(curves.roc(labels, scores)) == pytest.approx(
        roc_auc_score(labels, scores), abs=0.005
    )
    assert area(curves.precision_recall(labels, scores)) == pytest.approx(
        average_precision_score(labels, scores), abs=0.01
    )


def test_calibration_bins_hold_equally_many_rows() -> None:
    scores = np.linspace(0, 1, 30 * curves.BINS)
    curve = curves.calibration(scores > 0.5, scores)
    assert curve["rows"] == [30.0] * curves.BINS
    assert (curve["y"][0], curve["y"][-1]) == (0.0, 1.0)
    assert curve["x"] == sorted(curve["x"])
    assert curves.calibration(LABELS[:2], SCORES[:2])["rows"] == [1.0, 1.0]


def test_the_rows_that_changed_most_are_among_the_pairs() -> None:
    before = np.full(10_000, 0.5)
    after = before.copy()
    after[7777] = 0.9
    pairs = curves.score_pairs(before, after)
    assert 0.9 in pairs["y"]
    assert len(pairs["x"]) <= curves.PAIRS * 1.1 + 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers_have_no_curves(wrong: float) -> None:
    scores = np.array([0.1, wrong, 0.35, 0.8])
    drawn = (
        curves.roc(LABELS, scores),
        curves.precision_recall(LABELS, scores),
        curves.calibration(LABELS, scores),
        curves.score_pairs(SCORES, scores),
        curves.score_pairs(scores, SCORES),
    )
    assert not [curve for curve in drawn if any(curve.values())]
