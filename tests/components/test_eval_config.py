"""TFMA is told to judge all rows together, and to measure the slices."""

from __future__ import annotations

import tensorflow_model_analysis as tfma

from ranklite.components.evaluator.eval_config import eval_config


def test_thresholds_hold_for_all_rows_together() -> None:
    config = eval_config(
        label="label",
        signature="serving_raw",
        slices=["slice_user"],
        min_auc=0.7,
        max_auc_drop=0.01,
        max_log_loss_rise=0.02,
        calibration=(0.5, None),
    )
    assert [spec.is_baseline for spec in config.model_specs] == [False, True]
    assert {spec.signature_name for spec in config.model_specs} == {"serving_raw"}
    assert [list(s.feature_keys) for s in config.slicing_specs] == [[], ["slice_user"]]
    metrics = {m.class_name: m for m in config.metrics_specs[0].metrics}
    (auc,) = metrics["AUC"].per_slice_thresholds
    assert list(auc.slicing_specs) == [tfma.SlicingSpec()]
    assert auc.threshold.value_threshold.lower_bound.value == 0.7
    assert auc.threshold.change_threshold.absolute.value == -0.01
    (loss,) = metrics["BinaryCrossEntropy"].per_slice_thresholds
    assert loss.threshold.change_threshold.absolute.value == 0.02
    assert loss.threshold.change_threshold.direction == tfma.MetricDirection.LOWER_IS_BETTER
    (calibration,) = metrics["Calibration"].per_slice_thresholds
    assert calibration.threshold.value_threshold.lower_bound.value == 0.5
    assert not metrics["ExampleCount"].per_slice_thresholds
