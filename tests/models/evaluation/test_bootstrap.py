"""Intervals: right in the middle, as wide as theory says, wider where rows hang together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ranklite.models.evaluation import bootstrap, metrics
from ranklite.models.evaluation.bootstrap import (
    _Ranked,
    change,
    draws,
    independent_change,
    interval,
    intervals,
    replicates,
)

RANDOM = np.random.default_rng(0)
ROWS = 4000
LABELS = (RANDOM.random(ROWS) < 0.3).astype(np.float64)
SCORES = np.clip(0.3 + 0.2 * LABELS + RANDOM.normal(0, 0.2, ROWS), 0.01, 0.99).round(2)


def test_weights_count_rows_as_often_as_repeating_them() -> None:
    weights = RANDOM.integers(0, 4, ROWS)
    repeated = np.repeat(np.arange(ROWS), weights)
    drawn = _Ranked(LABELS, SCORES, np.arange(ROWS)).auc(weights[None].astype(np.float64))
    assert drawn == pytest.approx([metrics.auc(LABELS[repeated], SCORES[repeated])], abs=1e-12)


def test_an_interval_of_log_loss_is_as_wide_as_the_central_limit_theorem_says() -> None:
    drawn = draws(LABELS, {"float": SCORES}, None, replicates=1000)
    low, high = intervals(drawn, against="float")["float"]["log_loss"]
    losses = -(LABELS * np.log(SCORES) + (1 - LABELS) * np.log1p(-SCORES))
    expected = 2 * 1.96 * losses.std() / math.sqrt(ROWS)
    assert low < losses.mean() < high
    assert high - low == pytest.approx(expected, rel=0.15)


def test_rows_of_one_user_are_drawn_together() -> None:
    users = np.repeat(np.arange(ROWS // 50), 50)
    alike = LABELS[users * 50]  # all rows of a user have the label of the first one
    alone, by_user = (
        interval(draws(alike, {"float": SCORES}, whose)["float"]["log_loss"])
        for whose in (None, users)
    )
    assert by_user[1] - by_user[0] > 3 * (alone[1] - alone[0])


def test_changes_are_paired() -> None:
    files = {"float": SCORES, "same": SCORES, "noisy": 1 - SCORES}
    result = intervals(draws(LABELS, files, None), against="float")
    assert result["same"]["auc_change"] == result["same"]["log_loss_change"] == (0.0, 0.0)
    assert result["noisy"]["auc_change"][1] < 0 < result["noisy"]["log_loss_change"][0]
    assert "auc_change" not in result["float"]


def test_the_same_seed_draws_the_same() -> None:
    first, again, other = (
        intervals(draws(LABELS, {"float": SCORES}, None, replicates=20, seed=seed), against="float")
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_auc_of_one_label_has_no_interval() -> None:
    drawn = draws(np.ones(9), {"float": np.full(9, 0.5)}, None)
    result = intervals(drawn, against="float")["float"]
    assert all(math.isnan(bound) for bound in result["auc"])
    assert result["log_loss"] == pytest.approx((math.log(2), math.log(2)))


def test_a_paired_difference_by_hand() -> None:
    # Both models agree on user a. On user b one says .8 and .2, the other .5: it loses ln 1.6 more.
    labels, users = np.array([1, 0, 1, 0]), np.array(["a", "a", "b", "b"])
    before = draws(labels, {"x": np.array([0.9, 0.1, 0.8, 0.2])}, users)["x"]
    after = draws(labels, {"x": np.array([0.9, 0.1, 0.5, 0.5])}, users)["x"]
    # One of four samples has a alone, one b alone: more than 2.5 % each.
    assert change(before, after)["log_loss"] == pytest.approx((0, math.log(1.6)))
    assert change(before, before) == dict.fromkeys(before, (0.0, 0.0))


def test_every_metric_of_a_sample_is_that_of_its_rows() -> None:
    users = np.repeat(np.arange(400), 10)
    drawn = draws(LABELS, {"x": SCORES}, users, replicates=3, seed=5)["x"]
    random = np.random.default_rng(5)
    for k in range(3):
        sample = random.integers(0, 400, 400)
        rows = (sample[:, None] * 10 + np.arange(10)).ravel()
        again = np.repeat(np.arange(400), 10)  # a user drawn twice counts as two
        labels, scores = LABELS[rows], SCORES[rows]
        expected = metrics.binary_metrics(labels, scores)
        expected["gauc"] = metrics.gauc(labels, scores, again)
        expected["ndcg_at_10"] = metrics.ndcg(labels, scores, again)
        assert {name: values[k] for name, values in drawn.items()} == pytest.approx(expected)


def test_without_users_there_is_no_metric_by_user() -> None:
    assert set(draws(LABELS, {"x": SCORES}, None, replicates=2)["x"]) == {
        "auc",
        "log_loss",
        "calibration",
    }


def test_independent_samples_make_a_wider_interval() -> None:
    first, second = (draws(LABELS, {"x": SCORES}, None, seed=seed)["x"] for seed in (0, 1))
    low, high = change(first, second)["auc"]
    assert low < 0 < high


def test_an_interval_of_a_difference_from_two_intervals_by_hand() -> None:
    # .8 - .7, arms (.8 - .77, .74 - .7) = (.03, .04) below, (.83 - .8, .7 - .66) = (.03, .04) above
    bounds = independent_change(0.7, (0.66, 0.74), 0.8, (0.77, 0.83))
    assert bounds == pytest.approx((0.1 - 0.05, 0.1 + 0.05))


def test_blocks_of_draws_are_the_draws_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    users = np.repeat(np.arange(400), 10)
    together = draws(LABELS, {"x": SCORES}, users, replicates=7)["x"]
    monkeypatch.setattr(bootstrap, "_BLOCK", 1)
    alone = draws(LABELS, {"x": SCORES}, users, replicates=7)["x"]
    for name, values in together.items():
        assert values == pytest.approx(alone[name], abs=1e-12), name


def test_more_rows_are_drawn_less_often() -> None:
    assert [replicates(n) for n in (0, 4, 100_000, 200_000, 5_000_000)] == [
        1000,
        1000,
        1000,
        500,
        200,
    ]
