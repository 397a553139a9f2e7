"""What TFMA measures and which thresholds it holds an exported model to."""

from __future__ import annotations

import json
from collections.abc import Sequence

import tensorflow_model_analysis as tfma

CANDIDATE = "candidate"
BASELINE = "baseline"
AUC_THRESHOLDS = 1000


def _metric(
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    max_loss: float | None = None,
    higher_is_better: bool = True,
) -> tfma.MetricConfig:
    """A metric with bounds on its value and on its change for the worse against the baseline."""
    threshold = tfma.MetricThreshold()
    if low is not None:
        threshold.value_threshold.lower_bound.value = low
    if high is not None:
        threshold.value_threshold.upper_bound.value = high
    if max_loss is not None:
        change, direction = threshold.change_threshold, tfma.MetricDirection
        if higher_is_better:
            change.direction, change.absolute.value = direction.HIGHER_IS_BETTER, -max_loss
        else:
            change.direction, change.absolute.value = direction.LOWER_IS_BETTER, max_loss
    metric = tfma.MetricConfig(class_name=name)
    if name == "AUC":
        # TFMA counts a confusion matrix a threshold, 10,000 by default; FileValidator has the
        # exact AUC.
        metric.config = json.dumps({"num_thresholds": AUC_THRESHOLDS})
    if threshold.ByteSize():
        # A plain threshold would hold every slice to it, the cold start too.
        metric.per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()], threshold=threshold)
    return metric


def eval_config(
    *,
    label: str,
    signature: str,
    slices: Sequence[str] = (),
    min_auc: float | None = None,
    max_auc_drop: float | None = None,
    max_log_loss: float | None = None,
    max_log_loss_rise: float | None = None,
    calibration: tuple[float | None, float | None] = (None, None),
) -> tfma.EvalConfig:
    """Builds TFMA's configuration for a candidate's file and an optional baseline.

    Thresholds hold for all rows together; slices are measured, not judged. Where there is no
    baseline, TFX leaves the thresholds on changes out.

    Args:
      label: Name of the label's column.
      signature: The signature that scores: `serving_default` or `serving_raw`.
      slices: Columns by whose values the metrics are computed as well.
      min_auc: Least AUC.
      max_auc_drop: Most AUC that may be lost against the baseline.
      max_log_loss: Most log loss.
      max_log_loss_rise: Most log loss that may be added to the baseline's.
      calibration: Least and most ratio of the mean score to the mean label.

    Returns:
      The configuration; without any threshold the Evaluator blesses nothing, so one is needed.
    """
    models = [
        tfma.ModelSpec(
            name=name,
            model_type=tfma.TF_LITE,  # a file without metrics in its graph, of whatever target
            signature_name=signature,
            label_key=label,
            is_baseline=name == BASELINE,
        )
        for name in (CANDIDATE, BASELINE)
    ]
    metrics = [
        tfma.MetricConfig(class_name="ExampleCount"),
        _metric("AUC", low=min_auc, max_loss=max_auc_drop),
        _metric(
            "BinaryCrossEntropy",
            high=max_log_loss,
            max_loss=max_log_loss_rise,
            higher_is_better=False,
        ),
        _metric("Calibration", low=calibration[0], high=calibration[1]),
    ]
    return tfma.EvalConfig(
        model_specs=models,
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[s]) for s in slices)],
    )
