"""The verdict on the data."""

from __future__ import annotations

from tfx.types import artifact


class DataBlessing(artifact.Artifact):
    """Statistics that were accepted: `blessed` and `statistics_uri` are custom properties."""

    TYPE_NAME = "components.DataBlessing"
