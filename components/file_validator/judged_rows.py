"""The judged rows: how sure each stage's figures are, and the verdicts on accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from ranklite.components import model_file
from ranklite.models import progress
from ranklite.models.evaluation import bootstrap
from ranklite.models.evaluation.accuracy import (
    BLESSED,
    FLOAT,
    SHIPPED,
    Evidence,
    accuracy_verdicts,
    slice_verdicts,
)
from ranklite.models.evaluation.bootstrap import Interval
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.evaluation.verdicts import Verdict
from ranklite.models.export.target import SERVING_RAW

Array = npt.NDArray[Any]


def score_blessed(models: list[Any], records: Sequence[bytes]) -> dict[str, Array]:
    """Scores [R] of the model pushed last, as a file; empty where there is none.

    Args:
      models: Its artifact, or none.
      records: Raw Examples of the judged rows: its vocabularies are its own.
    """
    if not models:
        return {}
    progress.report("measuring the model pushed last")
    blessed = model_file.load(models)
    return {BLESSED: blessed.score(model_file.raw_rows(records, blessed), SERVING_RAW)}


def judge(
    gates: GatesConfig,
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    slices: Mapping[str, Array],
    blessed: Mapping[str, Array],
) -> tuple[dict[str, dict[str, Interval]], list[Verdict]]:
    """Resamples the rows, once for all that is told of them.

    Args:
      gates: The thresholds.
      labels: [R] of 0 and 1.
      scores: Probabilities [R] by stage.
      users: [R], whose row it is, or None.
      slices: Values [R] by column that the evaluation is sliced by.
      blessed: Probabilities [R] of the model pushed last; empty where there is none.

    Returns:
      Intervals of each stage, as `bootstrap.intervals` gives them, and the verdicts on accuracy, of
      all rows and of slices.
    """
    every = {**scores, **blessed}
    files = {name: every[name] for name in (SHIPPED, FLOAT, BLESSED) if name in every}
    count = bootstrap.replicates(len(labels))
    drawn = bootstrap.draws(labels, every, users, replicates=count)
    stages = {stage: drawn[stage] for stage in scores}
    verdicts = accuracy_verdicts(gates, Evidence.of(labels, files, users, drawn), gates)
    progress.report("judging slices")
    verdicts += slice_verdicts(gates, slices, labels, files, users)
    return bootstrap.intervals(stages, against=FLOAT), verdicts
