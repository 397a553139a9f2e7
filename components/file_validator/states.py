"""The shipped file on other states of the past: how stale it is served, and what that costs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.models.evaluation import metrics
from ranklite.models.export.target import SERVING_RAW, LoadedModel
from ranklite.models.features import raw_values
from ranklite.models.features.past import VIEWS_FILE
from ranklite.models.features.raw_column import RawColumn

Array = npt.NDArray[Any]


def measure(
    folder: str,
    model: LoadedModel,
    columns: Sequence[RawColumn],
    raw: Mapping[str, Array],
    labels: Array,
    groups: Array | None,
) -> dict[str, dict[str, float]]:
    """Accuracy of a file by state of the past.

    Args:
      folder: Of an IngestReport.
      model: The file.
      columns: What the features read.
      raw: Their values of all judged rows, as configured.
      labels: [R] of 0 and 1.
      groups: [R] users, or None.

    Returns:
      By view (of `components.log_example_gen.point_in_time`): AUC, log loss, calibration and, where
      there are users, GAUC and NDCG@10; nothing where no feature is computed from the past.
    """
    path = os.path.join(folder, VIEWS_FILE)
    if not os.path.exists(path):
        return {}
    views: dict[str, dict[str, Array]] = {}
    table = pq.read_table(path)
    by_name = {column.name: column for column in columns}
    for key in table.column_names:
        view, _, name = key.partition("/")
        views.setdefault(view, {})[name] = _array(by_name[name], table.column(key))
    result = {}
    for view, changed in views.items():
        scores = model.score({**raw, **changed}, SERVING_RAW)
        figures = metrics.binary_metrics(labels, scores)
        if groups is not None:
            figures["gauc"] = metrics.gauc(labels, scores, groups)
            figures["ndcg_at_10"] = metrics.ndcg(labels, scores, groups)
        result[view] = figures
    return result


def _array(column: RawColumn, values: pa.ChunkedArray) -> Array:
    """A column as the raw signature takes it."""
    if not column.is_list:
        return values.to_numpy().astype(np.float32)
    return raw_values.array(column, [raw_values.convert(column, v) for v in values.to_pylist()])
