"""What became of whole runs of a small configuration, for tests about something else."""

from __future__ import annotations

import pathlib

from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.runner import Outcome, outcome
from ranklite.pipeline.runs.folders import Folders


def finished_run(folder: pathlib.Path, name: str) -> Outcome:
    """What the newest run in `runs` below a folder made of its `config.yaml`."""
    return outcome(load_config(str(folder / "config.yaml")), Folders(str(folder / "runs"), name))
