"""The verdicts that a model needs before it is pushed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow_model_analysis as tfma

from ranklite.models.evaluation.verdicts import at_least

BLESSINGS = {
    "model_blessing": "Evaluator",
    "baseline_blessing": "Evaluator.against_blessed",
    "infra_blessing": "FileValidator",
}
EVALUATIONS = {"evaluation": "Evaluator", "baseline_evaluation": "Evaluator.against_blessed"}


def refused_by(input_dict: dict[str, list[Any]]) -> list[str]:
    """Nodes whose blessing is not one, by the inputs of an executor."""
    return [
        node
        for key, node in BLESSINGS.items()
        if input_dict[key][0].get_int_custom_property("blessed") != 1
    ]


def verdicts(report: dict[str, Any], folders: Mapping[str, str]) -> list[dict[str, Any]]:
    """Those of every gate of FileValidator, and where an Evaluator found no rows, that.

    Args:
      report: `report.json` of FileValidator.
      folders: Of what the Evaluators measured, by the keys of `EVALUATIONS`; only a run that failed
        lacks one.

    Returns:
      Data of `ranklite.models.evaluation.gates.Verdict`s.
    """
    all_verdicts = list(report["verdicts"])
    for key, node in EVALUATIONS.items():
        if key in folders and not tfma.load_validation_result(folders[key]).validation_ok:
            all_verdicts += [verdict.to_dict() for verdict in at_least(f"rows for {node}", 0, 1)]
    return all_verdicts
