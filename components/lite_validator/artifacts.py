"""The report over all stages of a model."""

from __future__ import annotations

from tfx.types import artifact

REPORT_FILE = "report.json"


class StageReport(artifact.Artifact):
    """Figures of every stage and the verdict of every gate: `report.json`."""

    TYPE_NAME = "components.StageReport"
