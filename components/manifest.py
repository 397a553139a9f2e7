"""What an artifact holds: size and SHA-256 of every file, written when all of it is there.

The manifest lies beside the artifact's folder, since TFX takes whatever lies in it for content:
`<node>/<output>/.<execution>.manifest.json`. Who reads an artifact holds it to its manifest first,
and so does who serves it from a cache: a disk, a copy or a killed process can leave a file short,
which reads as a clean end.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ranklite.models.features.row_counts import ROWS_FILE
from ranklite.models.files import sha256
from ranklite.models.files import write as write_file

DAMAGED = ".damaged"  # what the name of a folder ends in that was put aside
PATTERN = ".*.manifest.json"


class DamagedArtifact(ValueError):
    """Files of an artifact are not what was written; the message names them."""


def path_of(uri: str) -> str:
    """Where the manifest of an artifact lies.

    Example:
        >>> path_of("runs/shop/artifacts/Trainer/model/7")
        'runs/shop/artifacts/Trainer/model/.7.manifest.json'
    """
    folder, name = os.path.split(uri.rstrip("/"))
    return os.path.join(folder, f".{name}.manifest.json")


def uri_of(path: str) -> str:
    """The artifact that a manifest is of: what `path_of` gives the path of.

    Example:
        >>> uri_of(path_of("runs/shop/artifacts/Trainer/model/7"))
        'runs/shop/artifacts/Trainer/model/7'
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, name[1:].removesuffix(PATTERN[2:]))


def describe(uri: str) -> dict[str, Any]:
    """The manifest of what lies in a folder now.

    Returns:
      `files`, by path below the folder `bytes` and `sha256`; of Examples `rows` by split.
    """
    manifest: dict[str, Any] = {"files": {name: _entry(_path(uri, name)) for name in _names(uri)}}
    rows = os.path.join(uri, ROWS_FILE)
    if os.path.isfile(rows):
        with open(rows, encoding="utf-8") as file:
            manifest["rows"] = json.load(file)
    return manifest


def write(uri: str) -> None:
    """Writes the manifest of an artifact that is complete."""
    write_file(path_of(uri), text_of(uri))


def text_of(uri: str) -> bytes:
    """What `describe` says, as JSON: the content of a manifest."""
    return json.dumps(describe(uri), indent=2, sort_keys=True).encode()


def read(uri: str) -> dict[str, Any] | None:
    """The manifest of an artifact; None where there is none, as of one of an earlier version.

    Raises:
      DamagedArtifact: It is no manifest.
    """
    try:
        with open(path_of(uri), "rb") as file:
            return parsed(file.read(), path_of(uri))
    except FileNotFoundError:
        return None


def parsed(content: bytes, path: str) -> dict[str, Any]:
    """A manifest from its text.

    Raises:
      DamagedArtifact: It is none; the message names the path.
    """
    try:
        manifest = json.loads(content)
        for entry in manifest["files"].values():
            int(entry["bytes"]), str(entry["sha256"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedArtifact(f"{path} is no manifest: {type(error).__name__}: {error}") from error
    return dict(manifest)


def check(uri: str) -> None:
    """Holds an artifact to its manifest, where it has one.

    Raises:
      DamagedArtifact: A file is missing, there is one too many, or one is not what was written.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = pathlib.Path(folder, "model", "7")
        ...     model.mkdir(parents=True)
        ...     _ = (model / "weights").write_bytes(b"abc")
        ...     write(str(model))
        ...     check(str(model))
        ...     _ = (model / "weights").write_bytes(b"abd")
        ...     try:
        ...         check(str(model))
        ...     except DamagedArtifact as error:
        ...         print(str(error).replace(folder, ""))
        /model/7/weights is damaged: it has 3 bytes as it should, but others
    """
    manifest = read(uri)
    if manifest is not None:
        check_against(uri, manifest)


def check_against(uri: str, manifest: dict[str, Any]) -> None:
    """Holds what lies in a folder to a manifest, as `check` does.

    Raises:
      DamagedArtifact: Something differs.
    """
    if not os.path.exists(uri):
        raise DamagedArtifact(f"{uri} is gone")
    expected, present = manifest["files"], set(_names(uri))
    wrong = [f"{os.path.join(uri, name)} is gone" for name in sorted(expected.keys() - present)]
    wrong += [
        f"{os.path.join(uri, name)} was not written by the stage"
        for name in sorted(present - expected.keys())
    ]
    for name in sorted(present & expected.keys()):
        was, path = expected[name], _path(uri, name)
        size = os.path.getsize(path)
        if size != was["bytes"]:
            wrong.append(f"{path} is damaged: it has {size} bytes and had {was['bytes']}")
        elif _entry(path) != was:
            wrong.append(f"{path} is damaged: it has {size} bytes as it should, but others")
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DamagedArtifact("; ".join(wrong[:3]) + more)


def put_aside(uri: str) -> str | None:
    """Renames a damaged artifact's folder, and removes its manifest: it is made again.

    Returns:
      Where it lies now; None where nothing is left of it.
    """
    aside = None
    if os.path.exists(uri):
        number = 0
        aside = uri.rstrip("/") + DAMAGED
        while os.path.exists(aside):
            number += 1
            aside = f"{uri.rstrip('/')}.{number}{DAMAGED}"
        os.rename(uri, aside)
    remove(uri)
    return aside


def remove(uri: str) -> None:
    """Removes the manifest of an artifact, where there is one."""
    if os.path.exists(path_of(uri)):
        os.remove(path_of(uri))


def _names(uri: str) -> list[str]:
    """Paths of all files below a folder, in order; "" for a file itself."""
    if os.path.isfile(uri):
        return [""]
    return sorted(
        os.path.relpath(os.path.join(folder, name), uri)
        for folder, _, names in os.walk(uri)
        for name in names
    )


def _path(uri: str, name: str) -> str:
    return os.path.join(uri, name) if name else uri


def _entry(path: str) -> dict[str, Any]:
    return {"bytes": os.path.getsize(path), "sha256": sha256(path)}
