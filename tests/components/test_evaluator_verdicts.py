"""What TFMA's own validation refuses is missed with its value, its bound and its slice."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types

from ranklite.components.evaluator.eval_config import eval_config
from ranklite.components.evaluator.verdicts import failed
from ranklite.models.reporting.metric_names import verdict_cells

GATES: dict[str, Any] = {
    "min_auc": 0.6,
    "max_auc_drop": 0.01,
    "max_log_loss": 0.5,
    "max_log_loss_rise": 0.05,
    "calibration": (0.5, 2.0),
}
GOOD = {"auc": 0.7, "binary_crossentropy": 0.4, "calibration": 1.0}
SAME = {"auc": 0.0, "binary_crossentropy": 0.0}


def judged(
    values: dict[str, float], changes: dict[str, float], gates: dict[str, Any] = GATES
) -> tfma.ValidationResult:
    """What TFMA says of the metrics of all rows."""
    config = tfma.utils.update_eval_config_with_defaults(
        eval_config(label="label", signature="serving_raw", **gates),
        has_baseline=True,
        rubber_stamp=True,
    )
    metrics = {
        metric_types.MetricKey(
            name, model_name="candidate", is_diff=diff, example_weighted=False
        ): value
        for found, diff in ((values, False), (changes, True))
        for name, value in found.items()
    }
    return metrics_validator.validate_metrics(((), metrics), config)


def missed(result: tfma.ValidationResult) -> list[str]:
    verdicts = failed(result, "Evaluator", "the blessed model")
    assert not any(verdict.passed for verdict in verdicts)
    return [" ".join(verdict_cells(verdict.to_dict())) for verdict in verdicts]


def test_a_model_within_its_thresholds_has_none() -> None:
    result = judged(GOOD, SAME)
    assert result.validation_ok
    assert missed(result) == []


@pytest.mark.parametrize(
    ("values", "changes", "reported"),
    [
        ({}, {"auc": -0.0123}, "AUC change from the blessed model -0.0123 >= -0.01"),
        (
            {},
            {"binary_crossentropy": 0.06},
            "log loss change from the blessed model 0.06 <= 0.05",
        ),
        ({"auc": 0.55}, {}, "AUC by Evaluator 0.55 >= 0.6"),
        ({"binary_crossentropy": 0.75}, {}, "log loss by Evaluator 0.75 <= 0.5"),
        ({"calibration": 0.25}, {}, "calibration by Evaluator 0.25 >= 0.5"),
        ({"calibration": 3.0}, {}, "calibration by Evaluator 3 <= 2"),
    ],
)
def test_every_threshold_has_its_words(
    values: dict[str, float], changes: dict[str, float], reported: str
) -> None:
    result = judged({**GOOD, **values}, {**SAME, **changes})
    assert not result.validation_ok
    assert missed(result) == [f"{reported} FAILED"]


def test_several_at_once() -> None:
    assert len(missed(judged({**GOOD, "auc": 0.1, "calibration": 9.0}, {**SAME, "auc": -0.6}))) == 3


def test_what_was_not_measured_fails_with_tfmas_words() -> None:
    result = judged({"auc": 0.7, "calibration": 1.0}, SAME)
    (verdict,) = failed(result, "Evaluator", "float")
    assert math.isnan(verdict.value)
    assert verdict_cells(verdict.to_dict()) == [
        "log loss by Evaluator (Metric not found.)",
        "nan",
        "<= 0.5",
        "FAILED",
    ]


def test_a_slice_is_named() -> None:
    result = judged({**GOOD, "auc": 0.5}, SAME)
    key = result.metric_validations_per_slice[0].slice_key.single_slice_keys.add()
    key.column, key.bytes_value = "slice_user", b"new"
    assert missed(result) == ["AUC by Evaluator (user = new) 0.5 >= 0.6 FAILED"]


def test_without_rows_or_thresholds_nothing_is_blessed() -> None:
    result = tfma.ValidationResult(missing_thresholds=True)
    result.missing_slices.add()
    rows, thresholds = missed(result)
    assert rows == "rows for Evaluator 0 >= 1 FAILED"
    assert "set gates.min_auc" in thresholds
