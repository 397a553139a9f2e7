"""The report of a run."""

from __future__ import annotations

from tfx.types import artifact

PAGE_FILE = "report.html"


class RunPage(artifact.Artifact):
    """A self-contained page for a browser: `report.html`."""

    TYPE_NAME = "components.RunPage"
