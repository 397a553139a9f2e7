"""The report over all stages of a model."""

from __future__ import annotations

from tfx.types import artifact

REPORT_FILE = "report.json"
SCORES_FILE = "scores.npz"


class StageReport(artifact.Artifact):
    """Figures of every stage and the verdict of every gate: `report.json`.

    Beside it `scores.npz` keeps the scores row by row (`models.evaluation.scored_rows`), so that
    two runs can be compared; it is never pushed.
    """

    TYPE_NAME = "components.StageReport"
