"""Files that others read while they are written."""

from __future__ import annotations

import os
import tempfile


def write(path: str, content: bytes) -> str:
    """Writes a file, its folder too if needed; a reader sees all of it or nothing.

    Returns:
      Its path.
    """
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path
