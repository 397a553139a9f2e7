"""What TFMA's thresholds refused, in the words of FileValidator's gates."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow_model_analysis as tfma

from ranklite.models.evaluation.gates import Verdict, at_least, at_most
from ranklite.models.reporting.metric_names import slice_title, title

_METRICS = {"auc": title("auc"), "binary_crossentropy": title("log_loss")}  # by TFMA's name


def failed(result: tfma.ValidationResult, node: str, baseline: str) -> list[Verdict]:
    """The thresholds that a model missed; TFMA keeps no others.

    Args:
      result: What `tfma.load_validation_result` reads.
      node: The Evaluator that judged.
      baseline: What a person calls the model that it compared with.
    """
    missed = []
    for judged in result.metric_validations_per_slice:
        where = ", ".join(map(_slice, judged.slice_key.single_slice_keys))
        for failure in judged.failures:
            key = failure.metric_key
            seen = f"change from {baseline}" if key.is_diff else f"by {node}"
            name = f"{_METRICS.get(key.name, key.name)} {seen}"
            value = failure.metric_value.double_value.value
            if not failure.HasField("metric_value"):
                value = float("nan")
            detail = "; ".join(filter(None, [where, " ".join(failure.message.split())]))
            for verdict in _bounds(name, value, failure.metric_threshold):
                if not verdict.passed:
                    missed.append(dataclasses.replace(verdict, detail=detail))
    if result.missing_slices:
        missed += at_least(f"rows for {node}", 0, 1)
    if result.missing_thresholds:
        why = "without one it blesses nothing: set gates.min_auc"
        missed.append(Verdict(f"thresholds of {node}", False, 0, 1, at_least=True, detail=why))
    return missed


def _bounds(name: str, value: float, threshold: tfma.MetricThreshold) -> list[Verdict]:
    """A verdict for each bound of a threshold."""
    if threshold.HasField("change_threshold"):
        change = threshold.change_threshold
        rising = change.direction == tfma.MetricDirection.HIGHER_IS_BETTER
        return (at_least if rising else at_most)(name, value, change.absolute.value)
    bounds = threshold.value_threshold
    low = bounds.lower_bound.value if bounds.HasField("lower_bound") else None
    high = bounds.upper_bound.value if bounds.HasField("upper_bound") else None
    return [*at_least(name, value, low), *at_most(name, value, high)]


def _slice(key: Any) -> str:
    kind = key.WhichOneof("kind")
    value = getattr(key, kind) if kind else ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return slice_title({"column": key.column, "value": text})
