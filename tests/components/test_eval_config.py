"""TFMA is told to measure all rows and the slices, and to refuse nothing but no rows at all."""

from __future__ import annotations

import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types

from ranklite.components.evaluator.eval_config import eval_config

CONFIG = eval_config(label="label", signature="serving_raw", slices=["slice_user"])


def judged(values: dict[str, float], slice_key: tuple[tuple[str, str], ...] = ()) -> bool:
    """Whether TFMA blesses a candidate with these metrics beside a baseline."""
    config = tfma.utils.update_eval_config_with_defaults(
        CONFIG, has_baseline=True, rubber_stamp=True
    )
    metrics = {
        metric_types.MetricKey(name, model_name="candidate", example_weighted=False): value
        for name, value in values.items()
    }
    result = metrics_validator.validate_metrics((slice_key, metrics), config)
    return bool(result.validation_ok)


def test_models_and_slices() -> None:
    assert [spec.is_baseline for spec in CONFIG.model_specs] == [False, True]
    assert {spec.signature_name for spec in CONFIG.model_specs} == {"serving_raw"}
    assert [list(s.feature_keys) for s in CONFIG.slicing_specs] == [[], ["slice_user"]]
    names = [metric.class_name for metric in CONFIG.metrics_specs[0].metrics]
    assert names == [
        "BatchedExampleCount",
        "BatchedAUC",
        "BatchedBinaryCrossEntropy",
        "BatchedCalibration",
    ]


@pytest.mark.parametrize("auc", [0.1, float("nan")])
def test_no_figure_is_refused_twice(auc: float) -> None:
    """The gates decide; without any threshold the Evaluator would bless nothing."""
    assert judged({"example_count": 5, "auc": auc, "binary_crossentropy": 9.0})


def test_no_rows_are_refused() -> None:
    assert not judged({"example_count": 0, "auc": 0.9})
    assert judged({"example_count": 0, "auc": 0.9}, (("slice_user", "new"),))
