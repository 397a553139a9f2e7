"""Finds features whose value alone separates the labels: they know what happened afterwards.

A ranking model's best single feature seldom has an AUC above 0.9. One that has 0.999 is most often
written after the outcome (the seconds watched, for "was it watched") or counted over a log that
holds the outcome itself. Such a model passes every other gate and fails in the app, where the value
is not known yet. How well column x alone separates labels y is measured as

    number:            max(AUC(y, x), 1 - AUC(y, x)) over its present values, or the same of whether
                       there is a value, whichever is more
    category or list:  AUC(y, s) with  s = sum_v logit(r_v) - logit(r)  over the row's values v,
                       r_v = (positives_v + k r) / (rows_v + k)

(target encoding with a prior, Micci-Barreca 2001, summed as naive Bayes does). Rates are learned on
one half of the rows and judged on the other, so that an id which is seen once separates nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation.metrics import auc
from ranklite.models.evaluation.verdicts import Verdict, at_most
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.reporting.metric_names import gate_title

Array = npt.NDArray[Any]
PRIOR_ROWS = 10.0  # k
LEAST_ROWS = 5  # of a value in the half that rates are learned on; rarer ones say nothing
LEAST_LABELS = 20  # rows of either label, below which an AUC of 1 may be chance
STRONG, FALLS = 0.8, 0.1  # AUC on train that is looked at, and how far it may fall later


def row_hash(first: int, count: int) -> npt.NDArray[np.uint64]:
    """Hashes of consecutive row numbers: the finalizer of SplitMix64 (Steele et al. 2014)."""
    x = np.arange(first + 1, first + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def separations(
    columns: Sequence[RawColumn], raw: Mapping[str, Array], labels: Array
) -> dict[str, float]:
    """How well each column alone separates the labels.

    Args:
      columns: What the features read.
      raw: Values [R] or [R, length] by column, as `raw_inputs` gives them.
      labels: [R] of 0 and 1.

    Returns:
      An AUC by column: 0.5 for a constant, NaN for one without values, or where there are too few
      rows of a label to tell.
    """
    measured = {}
    for column in columns:
        values = raw[column.name]
        if column.dtype == "float32":
            present = np.isfinite(values)
        else:
            present = np.asarray(values != column.missing, bool)
        if not present.any():
            measured[column.name] = float("nan")
        elif column.dtype == "float32" and not column.is_list:
            measured[column.name] = _number(labels, values, present)
        else:
            measured[column.name] = _categories(labels, values, present)
    return measured


def _number(labels: Array, values: Array, present: Array) -> float:
    by_value = _auc(labels[present], values[present])
    by_presence = _auc(labels, present)
    return float(np.fmax(max(by_value, 1 - by_value), max(by_presence, 1 - by_presence)))


def _categories(labels: Array, values: Array, present: Array) -> float:
    """AUC of the summed log odds of each row's values; a row without any has one of its own."""
    present = present.reshape(len(labels), -1)
    row = np.nonzero(present)[0]
    names, code = np.unique(values.reshape(present.shape)[present], return_inverse=True)
    without = np.flatnonzero(~present.any(axis=1))
    row = np.concatenate([row, without])
    code = np.concatenate([code, np.full(len(without), len(names))])
    learned = (row_hash(0, len(labels)) & np.uint64(1)).astype(bool)
    if not _enough(labels[learned]):
        return float("nan")
    seen = learned[row]
    rows = np.bincount(code[seen], minlength=len(names) + 1)
    positives = np.bincount(code[seen], labels[row[seen]], len(names) + 1)
    rate = float(np.mean(labels[learned], dtype=np.float64))
    odds = _logit((positives + PRIOR_ROWS * rate) / (rows + PRIOR_ROWS)) - _logit(rate)
    odds[rows < LEAST_ROWS] = 0.0
    score = np.bincount(row, odds[code], len(labels))
    return _auc(labels[~learned], score[~learned])


def _logit(p: Any) -> Any:
    return np.log(p) - np.log1p(-p)


def _enough(labels: Array) -> bool:
    positives = int(np.count_nonzero(labels))
    return min(positives, len(labels) - positives) >= LEAST_LABELS


def _auc(labels: Array, scores: Array) -> float:
    return auc(labels, scores) if _enough(labels) else float("nan")


def verdicts(limit: float | None, judged: Mapping[str, float]) -> list[Verdict]:
    """The verdict on the column that alone separates the labels best.

    Args:
      limit: Most that it may; None switches the gate off.
      judged: What `separations` measured on the judged split.

    Returns:
      One verdict, which names the columns beyond the limit; none where nothing could be measured.
    """
    known = [value for value in judged.values() if not np.isnan(value)]
    if limit is None or not known:
        return []
    key = "max_single_feature_auc"
    [verdict] = at_most(gate_title(key), max(known), limit, f"gates.{key}")
    return [dataclasses.replace(verdict, detail=", ".join(_beyond(limit, judged)))]


def _beyond(limit: float | None, judged: Mapping[str, float]) -> list[str]:
    """Columns beyond the limit."""
    return [name for name, value in judged.items() if limit is not None and value > limit]


def warnings(
    limit: float | None, train: Mapping[str, float], judged: Mapping[str, float], split: str
) -> list[str]:
    """What to do about each column that is refused, or separates the labels on train much better.

    Args:
      limit: That of `verdicts`.
      train: What `separations` measured on the train split.
      judged: The same on as many rows of the judged split.
      split: Name of that.
    """
    refused = [
        f"{name} alone separates the labels of the {split} split with AUC {judged[name]:.4f}, as "
        "what is known only after the outcome does. Take it out, or compute it from earlier rows; "
        "if an app knows it when it scores, raise gates.max_single_feature_auc."
        for name in _beyond(limit, judged)
    ]
    return refused + [
        f"{name} alone has AUC {before:.3f} on the train split and {judged[name]:.3f} on the "
        f"{split} split: it may hold the outcomes of the train rows themselves, as totals over a "
        "whole log do. Compute it from earlier rows only."
        for name, before in train.items()
        if before > STRONG and before - judged[name] > FALLS
    ]
