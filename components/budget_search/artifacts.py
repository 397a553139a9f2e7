"""The trials of a search."""

from __future__ import annotations

from tfx.types import artifact

TRIALS_FILE = "trials.json"


class Trials(artifact.Artifact):
    """Every recipe that was tried with its figures, the Pareto front, the choice: `trials.json`."""

    TYPE_NAME = "components.Trials"
