"""Measures exported files stage by stage and judges the one that ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation import curves, metrics
from ranklite.models.evaluation.accuracy import cost_verdicts
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.evaluation.verdicts import Verdict, at_most
from ranklite.models.export.target import SERVING_RAW, LoadedModel, Target
from ranklite.models.features.layout import NUMERIC, PADDING_ROW, RESERVED_ROWS, FeatureLayout
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.reporting.metric_names import gate_title

Array = npt.NDArray[Any]
MAX_MADE_UP = 512  # rows with missing and unseen values
LATENCY_BATCHES = (1, 512)
LAST_BITS = 2.0**-21  # of a float32 near 1: four of its steps


def measure(
    model: LoadedModel,
    inputs: Mapping[str, Array],
    labels: Array,
    groups: Array | None,
    gates: GatesConfig | None = None,
) -> tuple[dict[str, Any], Array]:
    """Figures of one file: accuracy, sizes, latency, operators; and its scores [R].

    Args:
      model: The file.
      inputs: Rows by input of `serving_default`.
      labels: [R] of 0 and 1.
      groups: [R] users, or None.
      gates: Of the file that ships: what its latency is held to.
    """
    scores = model.score(dict(inputs))
    figures: dict[str, Any] = metrics.ranking_metrics(labels, scores, groups) | {
        "bytes": len(model.content),
        "gzip_bytes": model.gzip_bytes,
        "integer_share": model.integer_share(),
        "operators": model.operators(),
    }
    for batch in LATENCY_BATCHES:
        limit = getattr(gates, f"max_latency_{batch}_us", None)
        figures[f"latency_{batch}_us"] = model.latency(dict(inputs), batch, limit)
    return figures, scores


def slices(
    columns: Mapping[str, Array], labels: Array, scores: Mapping[str, Array]
) -> list[dict[str, Any]]:
    """Figures of each value of each slice column, for every file in `scores`."""
    result = []
    for column, values in columns.items():
        for value in np.unique(values):
            rows = values == value
            entry = {"column": column, "value": str(value), "rows": int(rows.sum())}
            for stage, stage_scores in scores.items():
                entry[stage] = metrics.binary_metrics(labels[rows], stage_scores[rows])
            result.append(entry)
    return result


def evidence(labels: Array, scores: Mapping[str, Array]) -> dict[str, Any]:
    """Curves of the float and the shipped file, and what became of single scores."""
    shown = {stage: scores[stage] for stage in ("float", "shipped")}
    return {
        "roc": {stage: curves.roc(labels, values) for stage, values in shown.items()},
        "precision_recall": {
            stage: curves.precision_recall(labels, values) for stage, values in shown.items()
        },
        "calibration": {
            stage: curves.calibration(labels, values) for stage, values in shown.items()
        },
        "score_pairs": curves.score_pairs(
            scores.get("control", scores["float"]), scores["shipped"]
        ),
        "score_change": {
            stage: score_change(scores["shipped"], scores[stage])
            for stage in ("float", "control")
            if stage in scores
        },
    }


def score_change(scores: Array, others: Array) -> dict[str, float]:
    """The largest difference of a single score, and its 99.9th percentile."""
    change = np.abs(scores - others)
    return {"max": float(change.max()), "p999": float(np.quantile(change, 0.999))}


def unseen(ids: Array, layout: FeatureLayout) -> dict[str, dict[str, float]]:
    """Share of the values of each field that were not seen in training, and that are missing."""
    result = {}
    for field in layout.fields:
        values = ids[:, field.start : field.start + field.length]
        values = values[values != PADDING_ROW]
        result[field.name] = {
            "vocabulary": field.rows - RESERVED_ROWS,
            "unseen": float(np.mean(values == field.oov_row)) if values.size else 0.0,
            "missing": float(np.mean(values == field.missing_row)) if values.size else 0.0,
        }
    return result


def known_values(
    limit: float | None, ids: Array, layout: FeatureLayout, user: str | None
) -> list[Verdict]:
    """The verdict on the feature whose values the model knows least.

    Args:
      limit: Most of its values that may be missing or unseen; None switches the gate off.
      ids: [R, S] of the judged rows.
      layout: Of the ids.
      user: The user's feature, which is new in every row where users are split apart.
    """
    shares = {
        name: share["unseen"] + share["missing"]
        for name, share in unseen(ids, layout).items()
        if name != user
    }
    if limit is None or not shares:
        return []
    worst = max(shares, key=lambda name: shares[name])
    [verdict] = at_most(gate_title("max_unseen"), shares[worst], limit, "gates.max_unseen")
    detail = f"{worst}: its values are other ones than in training, or are absent"
    return [verdict if verdict.passed else dataclasses.replace(verdict, detail=detail)]


def raw_rows_with_gaps(raw: Mapping[str, Array], columns: Sequence[RawColumn]) -> dict[str, Array]:
    """Rows in which one column each is missing, or has a value that was never seen.

    A column that the file stores is left as it is: where it is missing, the stored value is taken.
    """
    columns = [column for column in columns if not column.stored]
    rows = min(MAX_MADE_UP, len(next(iter(raw.values()))))
    made = {name: np.array(values[:rows]) for name, values in raw.items()}
    for index in range(rows):
        column = columns[index % len(columns)]
        made[column.name][index] = column.missing if index % 2 else column.unseen
    return made


def judge(
    gates: GatesConfig,
    shipped: dict[str, Any],
    scores: Array,
    control_scores: Array,
    keras_scores: Array,
    raw_difference: float,
    distinct_rows: int,
    quantized: bool,
    target: Target,
) -> list[Verdict]:
    """The verdicts on the file that ships, but for its accuracy.

    Args:
      gates: The thresholds.
      shipped: Its figures.
      scores: Its scores [R].
      control_scores: Those of the float control, trained as long, or of the parent without one.
      keras_scores: Those of the Keras model that it was converted from.
      raw_difference: Largest difference of a score between its two signatures.
      distinct_rows: Number of distinct inputs among the R rows.
      quantized: Whether it is supposed to be int8.
      target: What kind of file it is.
    """
    foreign = target.foreign(shipped["operators"])
    change = score_change(scores, control_scores)
    distinct = len(np.unique(scores)) / max(1, distinct_rows)
    return [
        Verdict(
            f"plain {target.title} operators", not foreign, len(foreign), detail=", ".join(foreign)
        ),
        *cost_verdicts(gates, shipped),
        *gates.verdict("max_parity", float(np.abs(scores - keras_scores).max())),
        *gates.verdict("max_raw_parity", raw_difference),
        *gates.verdict("max_score_change", change["max"]),
        *gates.verdict("max_score_change_p999", change["p999"]),
        *gates.verdict("min_distinct_scores", distinct),
        *(gates.verdict("min_integer_share", shipped["integer_share"]) if quantized else ()),
    ]


def taken_for_others(
    model: LoadedModel, words: Mapping[str, Sequence[str]], raw: Mapping[str, Array]
) -> Array:
    """Which rows [R] have a value that the file takes for another one, having its fingerprint.

    How many do is another gate's matter, and told by it: `max_false_matches`.

    Args:
      model: The file.
      words: Values that are looked up, by raw column.
      raw: Raw columns [R] or [R, length].
    """
    wrong = np.zeros(len(next(iter(raw.values()))), bool)
    if model.encoder is not None:
        for name, known in words.items():
            mask = model.encoder.mistaken(name, known, raw[name])
            wrong |= mask if mask.ndim == 1 else mask.any(1)
    return wrong


def raw_against_ids(model: LoadedModel, raw: dict[str, Array], ids: dict[str, Array]) -> float:
    """Largest difference of a score between the two signatures of a file on the same rows.

    What the last bits of numbers do is taken off: the file and TensorFlow standardize them by
    other operations, and where activations are integers one of them may be rounded the other way.
    """
    if not len(next(iter(raw.values()))):
        return 0.0
    scores = model.score(ids)
    noise = 0.0
    for sign in (-1, 1) if NUMERIC in ids else ():
        numbers = ids[NUMERIC]
        nudged = (numbers + sign * LAST_BITS * (1 + np.abs(numbers))).astype(numbers.dtype)
        noise = max(noise, float(np.abs(model.score({**ids, NUMERIC: nudged}) - scores).max()))
    return max(0.0, float(np.abs(model.score(raw, SERVING_RAW) - scores).max()) - noise)
