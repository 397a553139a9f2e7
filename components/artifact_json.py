"""JSON files in the folders of artifacts."""

from __future__ import annotations

import json
import os
from typing import Any


def read(folder: str, name: str) -> dict[str, Any]:
    """The object in a file of a folder."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded
