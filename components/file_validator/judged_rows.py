"""The judged rows: how sure each stage's figures are, and the verdicts on accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.components import model_file
from ranklite.models import progress
from ranklite.models.evaluation import baselines, bootstrap, metrics
from ranklite.models.evaluation.accuracy import (
    BASELINE,
    BLESSED,
    FLOAT,
    SHIPPED,
    Evidence,
    accuracy_verdicts,
    slice_verdicts,
)
from ranklite.models.evaluation.baselines import CONSTANT
from ranklite.models.evaluation.bootstrap import Draws, Interval
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.evaluation.verdicts import Verdict
from ranklite.models.export.target import SERVING_RAW
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.layout import FeatureLayout

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


def score_baselines(
    layout: FeatureLayout, train_files: Sequence[str], judged: Mapping[str, Array]
) -> dict[str, Array]:
    """Scores [R] of each baseline, learned from the newest rows of the train split.

    Args:
      layout: Of the features.
      train_files: Files of transformed Examples; they are read once, in bounded memory.
      judged: `ids` and `numeric` of the judged rows.
    """
    newest = read_records(train_files, last=baselines.MOST_ROWS)
    train, labels, _ = transformed_inputs(newest, layout)
    return baselines.scores(layout, train, labels, judged)


def judge(
    gates: GatesConfig,
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    slices: Mapping[str, Array],
    blessed: Mapping[str, Array],
    beaten: Mapping[str, Array],
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Any]], list[Verdict]]:
    """Resamples the rows, once for all that is told of them.

    Args:
      gates: The thresholds.
      labels: [R] of 0 and 1.
      scores: Probabilities [R] by stage.
      users: [R], whose row it is, or None.
      slices: Values [R] by column that the evaluation is sliced by.
      blessed: Probabilities [R] of the model pushed last; empty where there is none.
      beaten: Probabilities [R] of what the model has to beat, by baseline.

    Returns:
      Intervals of each stage, as `bootstrap.intervals` gives them; what was measured of each
      baseline; and the verdicts on accuracy, of all rows and of slices.
    """
    every = {**scores, **blessed, **beaten}
    judged = {name: every[name] for name in (SHIPPED, FLOAT, BLESSED, CONSTANT) if name in every}
    count = bootstrap.replicates(len(labels))
    drawn = bootstrap.draws(labels, every, users, replicates=count)
    stages = {stage: drawn[stage] for stage in scores}
    measured = _baselines(labels, beaten, users, drawn, scores[SHIPPED])
    learned = [name for name in measured if name != CONSTANT]
    if learned:
        best = max(learned, key=lambda name: np.nan_to_num(measured[name]["auc"]))
        judged[BASELINE], drawn[BASELINE] = beaten[best], drawn[best]
    verdicts = accuracy_verdicts(gates, Evidence.of(labels, judged, users, drawn), gates)
    progress.report("judging slices")
    verdicts += slice_verdicts(gates, slices, labels, judged, users)
    return bootstrap.intervals(stages, against=FLOAT), measured, verdicts


def _baselines(
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
    drawn: Mapping[str, Draws],
    shipped: Array,
) -> dict[str, dict[str, Any]]:
    """Figures by baseline, and what the shipped file gains over it with the 95 % interval."""
    own = metrics.binary_metrics(labels, shipped)
    result: dict[str, dict[str, Any]] = {}
    for name, values in scores.items():
        figures: dict[str, Any] = metrics.ranking_metrics(labels, values, users)
        ranges = bootstrap.change(drawn[name], drawn[SHIPPED])
        figures["change"] = {
            metric: (own[metric] - figures[metric], *ranges[metric])
            for metric in ("auc", "log_loss")
        }
        result[name] = figures
    return result
