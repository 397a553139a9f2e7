"""The files in the folders of artifacts: their names, and what their JSON says; no TensorFlow."""

from __future__ import annotations

import json
import os
from typing import Any

from ranklite.models.architectures.spec import read_spec

REPORT_FILE = "report.json"  # of IngestReport and of StageReport
ITEM_LABELS_FILE = "item_labels.parquet"
LOG_ROWS_FILE = "log_rows.jsonl"  # rows of the split that is judged, as they stand in the log
TRIALS_FILE = "trials.json"
SEEDS_FILE = "seeds.json"
SCORES_FILE = "scores.npz"
PAGE_FILE = "report.html"
PUSHED_FILE = "pushed.json"  # of a PushedModel: the version that it stands for
SERVING = "Format-Serving"  # below the URI of a Model: TFX's folder of what serves


def read(folder: str, name: str) -> dict[str, Any]:
    """The object in a file of a folder."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded


def pushed_version(folder: str) -> str | None:
    """The version that a PushedModel artifact stands for, or None where none was pushed."""
    if not os.path.exists(os.path.join(folder, PUSHED_FILE)):
        return None
    version: str | None = read(folder, PUSHED_FILE)["version"]
    return version


def checkpoint(uri: str) -> dict[str, Any]:
    """What the checkpoint in the Model artifact at a URI says of itself; no weights are read."""
    return read_spec(os.path.join(uri, SERVING))


def metrics(uri: str) -> dict[str, Any]:
    """What the stage that wrote the Model artifact at a URI measured."""
    result: dict[str, Any] = checkpoint(uri)["metrics"]
    return result
