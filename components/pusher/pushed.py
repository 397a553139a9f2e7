"""What a PushedModel artifact says of the version that it stands for."""

from __future__ import annotations

import json
import os

PUSHED_FILE = "pushed.json"


def pushed_version(folder: str) -> str | None:
    """The version that a PushedModel artifact stands for, or None where none was pushed."""
    path = os.path.join(folder, PUSHED_FILE)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        version: str | None = json.load(file)["version"]
    return version
