"""Versions of a model in a folder: written atomically, read by anyone at any time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ranklite.models.files import umask
from ranklite.models.serving.metadata_file import (
    METADATA_FILE,
    DamagedFile,
    read_metadata,
    sealed,
)

PREPROCESSING_FILE = "preprocessing.json"
_MODEL_PREFIX = "model."  # `model.<suffix of the export target>`
_STAGING = ".pushing-"
_LOCK = ".lock"
Buffer: TypeAlias = "bytes | mmap.mmap"


def _numbers(destination: str) -> list[int]:
    """Names in a folder that are taken as numbers, ascending."""
    names = os.listdir(destination) if os.path.isdir(destination) else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def is_model(name: str) -> bool:
    """Whether a file of a version is a model, by its name: `model.tflite`, not `model.json`."""
    return name.startswith(_MODEL_PREFIX) and name != METADATA_FILE


def model_files(version: str) -> list[str]:
    """Paths of the models in a version's folder, in order of name; none where it is no version."""
    names = sorted(os.listdir(version)) if os.path.isdir(version) else []
    paths = (os.path.join(version, name) for name in names if is_model(name))
    return [path for path in paths if os.path.isfile(path)]


def main_model(version: str) -> str:
    """Path of the model that a version's metadata name first; of one without, the first by name."""
    try:
        with open(os.path.join(version, METADATA_FILE), encoding="utf-8") as file:
            metadata = json.load(file)
        name = metadata["targets"][metadata["target"]]["file"]
    except (OSError, ValueError, KeyError, TypeError):
        return model_files(version)[0]
    return os.path.join(version, name)


def versions(destination: str) -> list[int]:
    """Numbers of the versions in a folder, ascending; what holds no model is none."""
    return [
        number
        for number in _numbers(destination)
        if model_files(os.path.join(destination, str(number)))
    ]


def latest_version(destination: str) -> str | None:
    """Folder of the newest version, or None where there is none."""
    result = versions(destination)
    return os.path.join(destination, str(result[-1])) if result else None


def version_in(path: str) -> str:
    """The folder of a version: the path itself, or the newest of the versions in it.

    Raises:
      FileNotFoundError: There is no version.
    """
    version = path if model_files(path) else latest_version(path)
    if version is None:
        raise FileNotFoundError(f"no pushed model in {path!r}: it has no version folder")
    return version


def latest_metadata(destination: str) -> dict[str, Any] | None:
    """`model.json` of the newest version in a folder, or None where there is none to be read."""
    newest = latest_version(destination)
    try:
        with open(os.path.join(newest or "", METADATA_FILE), encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def write_version(
    destination: str,
    models: Mapping[str, bytes],
    documents: dict[str, dict[str, Any]],
    keep: int | None = None,
    files: dict[str, bytes] | None = None,
) -> str:
    """Adds a version: a folder with the files of a model and a JSON file a document.

    It is written and flushed under a hidden name and gets its number by one rename, so that a
    reader sees all of it or nothing, and a killed push leaves nothing visible. Leftovers of
    killed pushes go away with the next one. Where the newest version holds the same model, nothing
    is written: a repeated push makes no second version. `model.json`, where it is among the
    documents, says size and SHA-256 of every other file, `files`, and its own digest.

    Args:
      destination: Folder of the versions; made if needed.
      models: Contents of the files by name, `model.<suffix>`: one of each export target.
      documents: JSON-ready data by name.
      keep: Newest versions to keep; None keeps all.
      files: Contents of more files by name, which may have folders in it.

    Returns:
      The version's folder.

    Raises:
      ValueError: There is no model, or one whose name is no model's.
    """
    import shutil  # who reads a version needs neither
    import tempfile

    wrong = [name for name in models if not is_model(name)]
    if wrong or not models:
        raise ValueError(f"a version holds models called `model.<suffix>`, not {wrong or 'none'}")
    os.makedirs(destination, exist_ok=True)
    with _exclusive(destination):
        for name in os.listdir(destination):
            if name.startswith(_STAGING):
                _remove(os.path.join(destination, name))
        newest = latest_version(destination)
        if newest is not None and _same(newest, models):
            return newest
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=destination)
        os.chmod(staging, 0o777 & ~umask())
        contents = {**models, **(files or {})}
        about = {f"{name}.json": document for name, document in documents.items()}
        metadata = about.pop(METADATA_FILE, None)
        contents |= {name: _json(document) for name, document in about.items()}
        if metadata is not None:
            entries = {name: digest(content) for name, content in contents.items()}
            contents[METADATA_FILE] = _json(sealed({**metadata, "files": entries}))
        for name, content in contents.items():
            _write(os.path.join(staging, name), content)
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


def digest(content: Buffer) -> dict[str, Any]:
    """Size and SHA-256 of a file, as `model.json` says them."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def read_model(version: str, name: str, metadata: Mapping[str, Any]) -> bytes:
    """A model's file of a version, whole.

    Args:
      version: The folder.
      name: Of the file.
      metadata: `model.json`; one that was written before it had `files` says no digest.

    Raises:
      DamagedFile: Its content is not what was pushed.
    """
    with open(os.path.join(version, name), "rb") as file:
        content = file.read()
    check_model(version, name, content, metadata)
    return content


def check_model(version: str, name: str, content: Buffer, metadata: Mapping[str, Any]) -> None:
    """Holds what was read or mapped of a model's file to what `read_model` does.

    Raises:
      DamagedFile: It is not what was pushed.
    """
    expected = (metadata.get("files") or {}).get(name)
    actual = digest(content)
    if expected is not None and expected != actual:
        raise DamagedFile(
            f"{os.path.join(version, name)} is not the file that was pushed: it has "
            f"{actual['bytes']} bytes and SHA-256 {actual['sha256'][:16]}..., model.json says "
            f"{expected.get('bytes')} and {str(expected.get('sha256'))[:16]}...; push again, or "
            "take another version"
        )


def check_version(version: str) -> None:
    """Holds every file of a version to the size and the digest that `model.json` says.

    Args:
      version: The folder.

    Raises:
      OSError: A file is missing, or cannot be read.
      DamagedFile: A file's content is not what was pushed.
    """
    metadata = read_metadata(version)
    for name in metadata.get("files") or map(os.path.basename, model_files(version)):
        read_model(version, name, metadata)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode()


def _same(version: str, models: Mapping[str, bytes]) -> bool:
    pushed = {}
    for path in model_files(version):
        with open(path, "rb") as file:
            pushed[os.path.basename(path)] = file.read()
    return pushed == models


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
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


def _remove(path: str) -> None:
    """Removes a folder, or what a stranger put in its place."""
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


@contextlib.contextmanager
def _exclusive(destination: str) -> Iterator[None]:
    with open(os.path.join(destination, _LOCK), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
