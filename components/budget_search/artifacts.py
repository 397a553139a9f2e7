"""The trials of a search."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.types import artifact

TRIALS_FILE = "trials.json"


class Trials(artifact.Artifact):
    """Every recipe that was tried with its figures, the Pareto front, the choice: `trials.json`."""

    TYPE_NAME = "components.Trials"


def load_trials(folder: str) -> dict[str, Any]:
    """What a search wrote into the folder of its Trials."""
    with open(os.path.join(folder, TRIALS_FILE), encoding="utf-8") as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded
