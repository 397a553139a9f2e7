"""The report on a log."""

from __future__ import annotations

from tfx.types import artifact

REPORT_FILE = "report.json"


class IngestReport(artifact.Artifact):
    """What was read, and what could not be: `report.json`."""

    TYPE_NAME = "components.IngestReport"
