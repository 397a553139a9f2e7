"""Digests of the files that a log is made of."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.files import sha256


def file_digests(config: IngestConfig, data_root: str) -> list[dict[str, Any]]:
    """Name relative to the data folder, bytes and SHA-256 of every file that the log is made of."""
    root = os.path.realpath(data_root)
    paths = sorted({p for files in config.matching_files(data_root).values() for p in files})
    return [
        {
            "name": os.path.relpath(path, root),
            "bytes": os.path.getsize(path),
            "sha256": sha256(path),
        }
        for path in paths
    ]


def input_digest(config: IngestConfig, data_root: str) -> str:
    """One digest over the names and contents of all files: what decides whether they changed."""
    return digest_of(file_digests(config, data_root))


def digest_of(files: Iterable[Mapping[str, Any]]) -> str:
    """The same of what `file_digests` returned."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file['name']}:{file['sha256']}\n".encode())
    return digest.hexdigest()
