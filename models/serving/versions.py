"""Versions of a model in a folder: written atomically, read by anyone at any time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

MODEL_FILE = "model.tflite"
_STAGING = ".pushing-"
_LOCK = ".lock"


def _numbers(destination: str) -> list[int]:
    """Names in a folder that are taken as numbers, ascending."""
    names = os.listdir(destination) if os.path.isdir(destination) else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def versions(destination: str) -> list[int]:
    """Numbers of the versions in a folder, ascending; what holds no model is none."""
    return [
        number
        for number in _numbers(destination)
        if os.path.isfile(os.path.join(destination, str(number), MODEL_FILE))
    ]


def latest_version(destination: str) -> str | None:
    """Folder of the newest version, or None where there is none."""
    found = versions(destination)
    return os.path.join(destination, str(found[-1])) if found else None


def write_version(
    destination: str,
    content: bytes,
    documents: dict[str, dict[str, Any]],
    keep: int | None = None,
    files: dict[str, bytes] | None = None,
) -> str:
    """Adds a version: a folder with `model.tflite` and a JSON file a document.

    It is written and flushed under a hidden name and gets its number by one rename, so that a
    reader sees all of it or nothing, and a killed push leaves nothing visible. Leftovers of
    killed pushes go away with the next one. Where the newest version holds the same model, nothing
    is written: a repeated push makes no second version.

    Args:
      destination: Folder of the versions; made if needed.
      content: The TFLite file.
      documents: JSON-ready data by name.
      keep: Newest versions to keep; None keeps all.
      files: Contents of more files by name.

    Returns:
      The version's folder.
    """
    os.makedirs(destination, exist_ok=True)
    with _exclusive(destination):
        for name in os.listdir(destination):
            if name.startswith(_STAGING):
                shutil.rmtree(os.path.join(destination, name))
        newest = latest_version(destination)
        if newest is not None and _same(newest, content):
            return newest
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=destination)
        os.chmod(staging, 0o755)
        _write(os.path.join(staging, MODEL_FILE), content)
        for name, document in documents.items():
            text = json.dumps(document, indent=2, sort_keys=True)
            _write(os.path.join(staging, f"{name}.json"), text.encode())
        for name, data in (files or {}).items():
            _write(os.path.join(staging, name), data)
        _flush(staging)
        number = (_numbers(destination) or [0])[-1] + 1
        target = os.path.join(destination, str(number))
        os.rename(staging, target)
        _flush(destination)
        if keep is not None:
            for old in versions(destination)[:-keep]:
                # Out of sight first: a reader never finds a version half removed.
                hidden = os.path.join(destination, f"{_STAGING}old-{old}")
                os.rename(os.path.join(destination, str(old)), hidden)
                shutil.rmtree(hidden)
        return target


def _same(version: str, content: bytes) -> bool:
    with open(os.path.join(version, MODEL_FILE), "rb") as file:
        return file.read() == content


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: str) -> None:
    """Makes the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _exclusive(destination: str) -> Iterator[None]:
    with open(os.path.join(destination, _LOCK), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
