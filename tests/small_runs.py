"""A small configuration of the generated log, for whole runs that are about something else."""

from __future__ import annotations

import pathlib
from typing import Any

from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.runner import Outcome, outcome
from ranklite.pipeline.local.synthetic import LOG_FILE
from ranklite.pipeline.runs.folders import Folders

SETTINGS: dict[str, Any] = {
    "source": {"files": LOG_FILE},
    "label": "click",
    "timestamp": "timestamp",
    "split": {"by": "time", "eval": 0.1, "test": 0.1},
    "features": [
        {"name": "user", "kind": "categorical"},
        {"name": "item", "kind": "categorical", "dtype": "int64"},
        {"name": "price", "kind": "numeric", "log": True},
    ],
    "user": "user",
    "model": {"hidden_units": [16]},
    "compression": [{"technique": "quantize", "epochs": 1}],
}
GATES = {"min_auc": 0.5, "max_auc_drop": 0.2, "max_log_loss_rise": 0.5}


def finished_run(folder: pathlib.Path, name: str) -> Outcome:
    """What the newest run in `runs` below a folder made of its `config.yaml`."""
    return outcome(load_config(str(folder / "config.yaml")), Folders(str(folder / "runs"), name))
