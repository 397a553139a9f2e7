"""Calibration of scores: what is learned from scores that are off in a known way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ranklite.models.evaluation import metrics
from ranklite.models.evaluation.score_calibration import (
    LEAST_LABELS,
    UNCALIBRATED,
    ScoreCalibration,
    learn,
)
from ranklite.models.export.serving_module import calibrated


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def rows(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Logits, and labels that are drawn from their probabilities."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 1.5, count)
    return z, (rng.random(count) < sigmoid(z)).astype(float)


def test_platt_finds_the_line_by_which_logits_are_off() -> None:
    z, labels = rows(200_000)
    learned = learn(labels, sigmoid(2 * z + 1), "platt")  # z = 0.5 (2 z + 1) - 0.5
    assert learned.slope == pytest.approx(0.5, abs=0.01)
    assert learned.offset == pytest.approx(-0.5, abs=0.02)
    assert not learned.knots


def test_scores_that_are_probabilities_are_left_alone() -> None:
    changed = 0
    for seed in range(20):
        z, labels = rows(4000, seed)
        changed += not learn(labels, sigmoid(z)).is_identity
    assert changed <= 6  # by chance a line fits the held-out folds better


def test_a_curve_is_followed_where_rows_suffice() -> None:
    z, labels = rows(40_000)
    off = sigmoid(np.where(z > 0, 0.2 * z, 2 * z))
    learned = learn(labels, off)
    assert learned.method == "isotonic"
    judged, truth = rows(40_000, seed=1)
    scores = sigmoid(np.where(judged > 0, 0.2 * judged, 2 * judged)).astype(np.float32)
    best = metrics.binary_metrics(truth, sigmoid(judged).astype(np.float32))
    after = metrics.binary_metrics(truth, learned.scores(scores))
    line = metrics.binary_metrics(truth, learn(labels, off, "platt").scores(scores))
    assert after["log_loss"] < best["log_loss"] + 0.001 < line["log_loss"]
    assert after["calibration"] == pytest.approx(1, abs=0.03)
    assert learn(labels[:5000], off[:5000]).method == "platt"  # too few for a curve


@pytest.mark.parametrize("method", ["auto", "platt", "isotonic"])
def test_few_rows_or_a_wrong_order_teach_nothing(method: Any) -> None:
    z, labels = rows(5000)
    few = np.flatnonzero(labels == 1)[: LEAST_LABELS - 1]
    kept = np.concatenate([np.flatnonzero(labels == 0), few])
    assert learn(labels[kept], sigmoid(z[kept]), method) == UNCALIBRATED
    assert learn(1 - labels, sigmoid(z), method) == UNCALIBRATED
    assert learn(labels, sigmoid(3 * z), "none") == UNCALIBRATED


def test_equal_and_certain_scores_are_no_trouble() -> None:
    _, labels = rows(1000)
    assert learn(labels, np.full(1000, 0.5)).scores(np.array([0.5])).shape == (1,)
    certain = np.where(labels == 1, 1.0, 0.0)
    for method in ("auto", "platt", "isotonic"):
        scores = learn(labels, certain, method).scores(np.array([0.0, 1.0], np.float32))
        assert np.isfinite(scores).all()
        assert scores[0] <= scores[1]


@given(st.integers(0, 200), st.sampled_from(["platt", "isotonic"]))
def test_the_order_stays(seed: int, method: Any) -> None:
    rng = np.random.default_rng(seed)
    z = rng.normal(rng.normal(), 2, 2000)
    labels = (rng.random(2000) < sigmoid(np.sin(2 * z) + z / 2)).astype(float)
    learned = learn(labels, sigmoid(z), method)
    grid = np.linspace(-20, 20, 500)
    assert (np.diff(learned.logits(grid)) > 0).all()
    again = ScoreCalibration.from_dict(json.loads(json.dumps(learned.to_dict())))
    assert again == learned
    np.testing.assert_allclose(
        calibrated(tf.constant(grid[:, None], tf.float32), learned)[:, 0],
        learned.logits(grid),
        rtol=1e-4,
        atol=1e-4,
    )


def test_what_a_person_is_told() -> None:
    assert ScoreCalibration("platt", 1.5, -0.25).text().endswith("logit x 1.500 -0.250")
    assert "2 knots" in ScoreCalibration("isotonic", 1, 0, (0.0, 1.0), (0.5, 0.5)).text()
    assert "those of the model" in UNCALIBRATED.text()
