"""What a checkpoint says of itself, read without TensorFlow and without its weights."""

from __future__ import annotations

import json
import os
from typing import Any

from ranklite.models.config import OLD_SPEC_FILE, SPEC_FILE


def read_spec(folder: str) -> dict[str, Any]:
    """The JSON of a checkpoint.

    Raises:
      FileNotFoundError: The folder holds no checkpoint.
    """
    for name in (SPEC_FILE, OLD_SPEC_FILE):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                spec: dict[str, Any] = json.load(file)
            return spec
    raise FileNotFoundError(f"no RankLite checkpoint in {folder}: {SPEC_FILE} is missing")
