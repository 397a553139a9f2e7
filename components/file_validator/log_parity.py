"""The rows of the log as an app would send them, against the same rows as they were judged."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation.verdicts import Verdict, at_most
from ranklite.models.features import raw_values
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.reporting.metric_names import gate_title

Array = npt.NDArray[Any]
_SHOWN = 3


def verdicts(
    limit: float | None,
    path: str,
    columns: Sequence[RawColumn],
    judged: Mapping[str, Array],
    places_of: Callable[[Sequence[int]], Array],
    score: Callable[[dict[str, Array]], Array],
) -> list[Verdict]:
    """The verdict on what became of the log's values on their way to the model.

    Args:
      limit: Most that a score may differ; None switches the gate off.
      path: The file of LogExampleGen with rows of the judged split; where there is none, nothing is
        known of the log.
      columns: What the features read.
      judged: The raw columns [R] or [R, length] of its judged Examples.
      places_of: Where rows of the split are among these, -1 where they are not.
      score: Scores rows by the raw signature [R].

    Returns:
      One verdict, whose detail names file, line, feature and both values of the first rows that
      differ; none where there are no rows.
    """
    if limit is None or not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    places = places_of([row["example"] for row in rows])
    rows = [row for row, place in zip(rows, places, strict=True) if place >= 0]
    if not rows:
        return []
    places = places[places >= 0]
    expected = {column.name: judged[column.name][places] for column in columns}
    columns = [column for column in columns if column.past is None]
    inputs, refused = _inputs(rows, columns)
    inputs = {**expected, **inputs}  # what is computed from the past stands in no row
    difference = np.abs(score(inputs).astype(np.float64) - score(expected).astype(np.float64))
    worst = float("nan") if refused else float(difference.max())
    [verdict] = at_most(gate_title("max_log_parity"), worst, limit, "gates.max_log_parity")
    wrong = refused or _differing(rows, columns, inputs, expected, difference)
    if not wrong and not verdict.passed:
        wrong = ["the same values have other scores"]
    detail = "; ".join(wrong[:_SHOWN])
    return [dataclasses.replace(verdict, passed=verdict.passed and not wrong, detail=detail)]


def _inputs(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[RawColumn]
) -> tuple[dict[str, Array], list[str]]:
    """What a scorer makes of the rows, and the values that it refuses."""
    refused = []
    inputs = {}
    for column in columns:
        values = []
        for row in rows:
            try:
                values.append(raw_values.convert(column, row["row"].get(column.source)))
            except ValueError as error:
                refused.append(f"{_place(row)}: the scorer refuses {error}")
                values.append(raw_values.convert(column, None))
        inputs[column.name] = raw_values.array(column, values)
    return inputs, refused


def _differing(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[RawColumn],
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
    difference: Array,
) -> list[str]:
    """The first values that differ, whatever the scores do; rows whose scores differ most first."""
    differs = np.zeros((len(rows), len(columns)), bool)
    for place, column in enumerate(columns):
        held, used = inputs[column.name], expected[column.name]
        other = held != used
        if column.dtype == "float32":
            other &= ~(np.isnan(held) & np.isnan(used))
        differs[:, place] = other if other.ndim == 1 else other.any(axis=1)
    result = []
    order = np.argsort(-difference, kind="stable")
    for index in order[differs[order].any(axis=1)][:_SHOWN]:
        for column in itertools.compress(columns, differs[index]):
            value = rows[index]["row"].get(column.source)
            result.append(
                f"{_place(rows[index])}: {column.name} is {value!r} in the log and was judged as "
                f"{_shown(expected[column.name][index])}"
            )
    return result


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['file']}:{row['line']}" if row["file"] else f"row {row['line']} of the query"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, np.generic):
        return str(value)  # NumPy 2 represents it with its type
    return repr(value.decode(errors="replace") if isinstance(value, bytes) else value)
