"""The model that ships in the files of further export targets, by the same gates."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.components import model_file
from ranklite.components.file_validator import judged_rows, validation
from ranklite.models import progress
from ranklite.models.evaluation.accuracy import SHIPPED
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.evaluation.verdicts import Verdict
from ranklite.models.export.target import LoadedModel, Target

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Rows:
    """What every file is judged on.

    Attributes:
      inputs: By input of `serving_default`.
      labels: [R] of 0 and 1.
      users: [R], or None.
      slices: [R] by column that the evaluation is sliced by.
      scores: Probabilities [R] by stage, of the first target's files.
      expected: Those of the Keras model [R].
      blessed: Those of the model pushed last; empty where there is none.
      baselines: Those of each baseline.
      raw_difference: The largest difference between a file's two signatures.
      log_parity: The verdicts on the rows as they stand in the log.
    """

    inputs: Mapping[str, Array]
    labels: Array
    users: Array | None
    slices: Mapping[str, Array]
    scores: Mapping[str, Array]
    expected: Array
    blessed: Mapping[str, Array]
    baselines: Mapping[str, Array]
    raw_difference: Callable[[LoadedModel], float]
    log_parity: Callable[[LoadedModel], list[Verdict]]

    @functools.cached_property
    def distinct(self) -> int:
        """Number of distinct inputs."""
        columns = [values.astype(np.float64) for values in self.inputs.values()]
        return len(np.unique(np.concatenate(columns, axis=1), axis=0))

    def judge(
        self,
        model: LoadedModel,
        target: Target,
        figures: dict[str, Any],
        scores: Array,
        gates: GatesConfig,
        quantized: bool,
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]], list[Verdict]]:
        """The verdicts on a file's accuracy, then on all else that is measured of it alone.

        Args:
          model: The file.
          target: What it is.
          figures: What was measured of it.
          scores: Its scores [R].
          gates: The thresholds.
          quantized: Whether it is supposed to be int8.

        Returns:
          Intervals of each stage and figures of each baseline, as `judged_rows.judge` gives them,
          and the verdicts.
        """
        certainty, beaten, verdicts = judged_rows.judge(
            gates,
            self.labels,
            {**self.scores, SHIPPED: scores},
            self.users,
            self.slices,
            self.blessed,
            self.baselines,
        )
        verdicts += validation.judge(
            gates,
            figures,
            scores,
            self.scores.get("control", self.scores["float"]),
            self.expected,
            self.raw_difference(model),
            self.distinct,
            quantized,
            target,
        )
        return certainty, beaten, verdicts


def judge(
    models: Sequence[Any], rows: Rows, gates: GatesConfig, quantized: bool
) -> tuple[dict[str, dict[str, Any]], list[Verdict]]:
    """Measures each file, and holds it to every gate that is about a file.

    Args:
      models: Artifacts with the files.
      rows: What they are judged on.
      gates: The thresholds.
      quantized: Whether the model is supposed to be int8.

    Returns:
      Figures of each file by the name of its target, as of a stage; and the verdicts, whose names
      begin with the target's title.
    """
    figures: dict[str, dict[str, Any]] = {}
    verdicts = []
    for artifact in models:
        target = model_file.target_in(model_file.folder([artifact]))
        progress.report(f"measuring the {target.title} file")
        model = model_file.load([artifact])
        measured, own = validation.measure(model, rows.inputs, rows.labels, rows.users, gates)
        certainty, _, judged = rows.judge(model, target, measured, own, gates, quantized)
        judged += rows.log_parity(model)
        first = validation.score_change(own, rows.scores[SHIPPED])
        figures[target.name] = {
            **measured,
            "title": target.title,
            "interval": certainty[SHIPPED],
            "score_change": first,
        }
        verdicts += [
            dataclasses.replace(verdict, name=f"{target.title}: {verdict.name}")
            for verdict in judged
        ]
    return figures, verdicts
