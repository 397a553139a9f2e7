"""What TFMA measures of an exported model, beside a baseline."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow_model_analysis as tfma

from ranklite.components.evaluator.metrics import METRICS

CANDIDATE = "candidate"
BASELINE = "baseline"


def eval_config(*, label: str, signature: str, slices: Sequence[str] = ()) -> tfma.EvalConfig:
    """Builds TFMA's configuration for a candidate's file and an optional baseline.

    TFMA measures, all rows and slices; FileValidator decides. A threshold of TFMA holds an estimate
    to a bound, and would refuse what the gate's interval calls undecided, on an AUC that is itself
    counted at some thresholds only. The one threshold here asks that there are rows: without any,
    the Evaluator blesses nothing.

    Args:
      label: Name of the label's column.
      signature: The signature that scores: `serving_default` or `serving_raw`.
      slices: Columns by whose values the metrics are computed as well.
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
    count, *others = (
        tfma.MetricConfig(class_name=metric.__name__, module=metric.__module__)
        for metric in METRICS
    )
    some = tfma.MetricThreshold()
    some.value_threshold.lower_bound.value = 1
    # A plain threshold would hold every slice to it.
    count.per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()], threshold=some)
    return tfma.EvalConfig(
        model_specs=models,
        metrics_specs=[tfma.MetricsSpec(metrics=[count, *others])],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[s]) for s in slices)],
    )
