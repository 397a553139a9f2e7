"""Judging epochs and setting the rate, without a model that trains."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models.callbacks import Cosine, TrainingFailed, Validation
from models.config import TrainingConfig


def epochs(aucs: list[float], *, best_from: int = 0, **changes: Any) -> tuple[Validation, Any]:
    """Runs a validation over epochs with these AUCs; its weights are the epoch's number."""
    config = TrainingConfig(**{"epochs": 10, "learning_rate": 0.1, "patience": 2, **changes})
    measured = iter(aucs)
    current = [0]
    callback = Validation(
        SimpleNamespace(get_weights=lambda: list(current)),
        lambda: {"auc": next(measured), "log_loss": 0.5, "calibration": 1.0},
        config,
        rows=100,
        best_from=best_from,
    )
    rate = tf.Variable(config.learning_rate)
    model = SimpleNamespace(optimizer=SimpleNamespace(lr=rate), stop_training=False, seen=[])
    callback.set_model(model)
    for epoch in range(len(aucs)):
        current[0] = epoch
        callback.on_epoch_begin(epoch)
        logs: dict[str, float] = {"loss": 0.7}
        callback.on_epoch_end(epoch, logs)
        model.seen.append(logs)
        if model.stop_training:
            break
    return callback, model


def test_stops_after_patience_epochs_in_a_row_and_keeps_the_best() -> None:
    callback, model = epochs([0.6, 0.5, 0.7, 0.65, 0.7, 0.9])
    assert len(model.seen) == 5  # equal is not better
    assert (callback.best["auc"], callback.best_epoch, callback.weights) == (0.7, 2, [2])


def test_rate_falls_to_a_tenth_after_each_epoch_that_is_not_better() -> None:
    _, model = epochs([0.6, 0.5, 0.7, 0.65, 0.8], schedule="plateau")
    rates = [logs["learning_rate"] for logs in model.seen]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_constant_rate_stays() -> None:
    _, model = epochs([0.6, 0.5, 0.5], schedule="constant")
    assert [logs["learning_rate"] for logs in model.seen] == pytest.approx([0.1] * 3)


def test_epochs_before_the_first_that_may_be_best_only_report() -> None:
    callback, model = epochs([0.9, 0.8, 0.3, 0.2, 0.4], best_from=2)
    assert (callback.best_epoch, callback.best["auc"]) == (4, 0.4)
    assert [logs["val_auc"] for logs in model.seen] == [0.9, 0.8, 0.3, 0.2, 0.4]


def test_logs_hold_the_figures_of_the_epoch() -> None:
    callback, model = epochs([0.6])
    logs = model.seen[0]
    assert (logs["val_auc"], logs["val_log_loss"], logs["val_calibration"]) == (0.6, 0.5, 1.0)
    assert logs["rows_per_second"] == pytest.approx(100 / callback.train_seconds)


def test_undefined_auc_is_an_error_about_the_split() -> None:
    with pytest.raises(TrainingFailed, match="single label"):
        epochs([math.nan])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_loss_that_is_not_finite_is_an_error_at_once(loss: float) -> None:
    callback, _ = epochs([0.6])
    callback.on_train_batch_end(0, {"loss": 0.7})
    with pytest.raises(TrainingFailed, match=r"step 4 .* learning_rate \(it is 0\.1\)"):
        callback.on_train_batch_end(3, {"loss": loss})


def test_cosine_starts_at_the_rate_and_ends_near_zero() -> None:
    callback = Cosine(0.2, steps=4)
    callback.set_model(SimpleNamespace(optimizer=SimpleNamespace(lr=tf.Variable(0.0))))
    rates = []
    for step in range(4):
        callback.on_train_batch_begin(step)
        rates.append(float(keras.backend.get_value(callback.model.optimizer.lr)))
    expected = 0.1 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
