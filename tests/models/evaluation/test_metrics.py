"""Metrics against numbers worked out by hand, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from ranklite.models.evaluation import metrics

ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.integers(0, 4)),
    min_size=1,
    max_size=60,
).map(lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True)))


def test_auc_counts_pairs_in_order_and_halves_of_ties() -> None:
    # Positives .8 and .4 against negatives .4, .3: 3 pairs in order, one tie.
    assert metrics.auc([1, 0, 1, 0], [0.8, 0.4, 0.4, 0.3]) == (3 + 0.5) / 4


@settings(deadline=None)
@given(ROWS)
def test_auc_is_that_of_scikit_learn(rows: tuple[np.ndarray, ...]) -> None:
    labels, scores, _ = rows
    if labels.all() or not labels.any():
        assert math.isnan(metrics.auc(labels, scores))
    else:
        assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_log_loss_by_hand_and_finite_for_certain_mistakes() -> None:
    assert metrics.log_loss([1, 0], [0.5, 0.2]) == pytest.approx(-math.log(0.5 * 0.8) / 2)
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(1e-7))
    # A float32 score of 1 has to be clipped in float64: 1 - 1e-7 is not a float32.
    assert metrics.log_loss([0], np.ones(1, np.float32)) == pytest.approx(-math.log(1e-7))


def test_calibration_is_mean_score_over_mean_label() -> None:
    assert metrics.calibration([1, 0, 0, 0], [0.5, 0.1, 0.1, 0.1]) == pytest.approx(0.8)


def test_gauc_weighs_users_by_their_rows_and_leaves_one_sided_users_out() -> None:
    labels = [1, 0, 1, 0, 0, 1, 1]
    scores = [0.9, 0.1, 0.2, 0.3, 0.1, 0.5, 0.6]
    users = ["a", "a", "b", "b", "b", "c", "c"]
    # a: AUC 1, two rows; b: one of two pairs in order, three rows; c has positives only.
    assert metrics.gauc(labels, scores, users) == pytest.approx((2 * 1.0 + 3 * 0.5) / 5)


@settings(deadline=None)
@given(ROWS)
def test_gauc_is_the_weighted_mean_of_aucs(rows: tuple[np.ndarray, ...]) -> None:
    labels, scores, users = rows
    parts = [(labels[users == u], scores[users == u]) for u in np.unique(users)]
    both = [(metrics.auc(y, s), len(y)) for y, s in parts if y.any() and not y.all()]
    if both:
        values, weights = zip(*both, strict=True)
        assert metrics.gauc(*rows) == pytest.approx(np.average(values, weights=weights))
    else:
        assert math.isnan(metrics.gauc(*rows))


def test_ndcg_by_hand() -> None:
    # Ranks 2 and 3 are relevant; at best they would have had ranks 1 and 2.
    best = 1 + 1 / math.log2(3)
    expected = (1 / math.log2(3) + 1 / 2) / best
    assert metrics.ndcg([0, 1, 1], [0.9, 0.5, 0.1], [7, 7, 7]) == pytest.approx(expected)
    assert metrics.ndcg([0, 1, 1], [0.9, 0.5, 0.1], [7, 7, 7], k=1) == 0.0


def test_ndcg_of_ties_is_the_mean_over_their_orders() -> None:
    expected = (1 + 1 / math.log2(3) + 0.5) / 3
    assert metrics.ndcg([1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0]) == pytest.approx(expected)


@settings(deadline=None)
@given(ROWS, st.integers(1, 5))
def test_ndcg_is_the_mean_of_scikit_learns(rows: tuple[np.ndarray, ...], k: int) -> None:
    labels, scores, users = rows
    values = []
    for user in np.unique(users):
        y, s = labels[users == user], scores[users == user]
        if y.any():  # scikit-learn refuses a single row; it is right whatever its score
            values.append(ndcg_score([y], [s], k=k) if len(y) > 1 else 1.0)
    if values:
        assert metrics.ndcg(*rows, k=k) == pytest.approx(np.mean(values))
    else:
        assert math.isnan(metrics.ndcg(*rows, k=k))


def test_what_is_not_defined_is_nan() -> None:
    nothing: list[float] = []
    undefined = [
        *metrics.binary_metrics(nothing, nothing).values(),
        metrics.gauc(nothing, nothing, nothing),
        metrics.ndcg(nothing, nothing, nothing),
        metrics.auc([0, 0], [0.1, 0.2]),
        metrics.calibration([0, 0], [0.1, 0.2]),
    ]
    assert all(math.isnan(value) for value in undefined)
