"""Files that others read while they are written."""

from __future__ import annotations

import os
import tempfile


def write(path: str, content: bytes) -> str:
    """Writes a file; a reader sees all of it or nothing.

    Returns:
      Its path.
    """
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path
