"""JSON files in the folders of artifacts."""

from __future__ import annotations

import json
import os
from typing import Any

PUSHED_FILE = "pushed.json"  # of a PushedModel: the version that it stands for


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
