"""The shipped file on other states of the past: how stale it is served, and what that costs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import pyarrow.parquet as pq

from ranklite.components.file_validator.judged_split import JudgedSplit
from ranklite.models.evaluation import metrics
from ranklite.models.export.target import SERVING_RAW, LoadedModel
from ranklite.models.features.arrow import encode
from ranklite.models.features.examples import raw_inputs
from ranklite.models.features.past import VIEWS_FILE
from ranklite.models.features.raw_column import RawColumn

Array = npt.NDArray[Any]


def measure(
    folder: str,
    judged: JudgedSplit,
    model: LoadedModel,
    columns: Sequence[RawColumn],
    raw: Mapping[str, Array],
    labels: Array,
    groups: Array | None,
) -> dict[str, dict[str, float]]:
    """Accuracy of a file by state of the past.

    Args:
      folder: Of an IngestReport.
      judged: Which rows of the split.
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
    by_name = {column.name: column for column in columns}
    table = judged.rows(pq.read_table(path))
    result = {}
    for view in dict.fromkeys(name.partition("/")[0] for name in table.column_names):
        names = [name for name in table.column_names if name.startswith(f"{view}/")]
        changed = [name.partition("/")[2] for name in names]
        batches = table.select(names).rename_columns(changed).to_batches()
        records = [record for batch in batches for record in encode(batch)]
        state = raw_inputs(records, [by_name[name] for name in changed])
        scores = model.score({**raw, **state}, SERVING_RAW)
        result[view] = metrics.ranking_metrics(labels, scores, groups)
    return result
