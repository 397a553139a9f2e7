"""The report on a log."""

from __future__ import annotations

from tfx.types import artifact

REPORT_FILE = "report.json"
ITEM_LABELS_FILE = "item_labels.parquet"
ROWS_FILE = "rows.json"  # beside the splits of examples, by split: how far reading them is


class IngestReport(artifact.Artifact):
    """What was read, and what could not be: `report.json`.

    Where items have names, `item_labels.parquet` holds them: columns `item` and `label`.
    """

    TYPE_NAME = "components.IngestReport"
