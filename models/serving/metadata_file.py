"""Reads `model.json`: whole, of a known version, and of the shape that a scorer relies on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

METADATA_FILE = "model.json"
SCHEMA_VERSION = 2
SEAL = "sha256"  # key with the digest of all else that is in it, from version 2 on
_ANY = ""  # in place of a key: every key
_MUST = "!"  # before a key that has to be there
_MOST = 1 << 20  # values of a list, so that a damaged length takes no memory

_COLUMN = {
    "!name": str,
    "kind": str,
    "dtype": {"string", "int64", "float32"},
    "max_length": (int, None),
    "separator": (str, None),
    "column": (str, None),
    "past": (
        {
            "!feature": str,
            "!by": [str],
            "!of": str,
            "!stat": str,
            "!as_of": str,
            "delay": float,
            "window": (float, None),
            "prior": float,
        },
        None,
    ),
    "stored": (str, None),
}
_SHAPE: dict[str, Any] = {
    "schema_version": int,
    "target": str,
    "targets": ({_ANY: dict}, None),
    "features": [_COLUMN],
    "files": ({_ANY: {"!bytes": int, "!sha256": str}}, None),
    "fingerprint": (
        {"!hash": str, "!seed": int, "!inputs": {_ANY: {"!dtype": str, "!encoding": str}}},
        None,
    ),
    "past": ({"means": {_ANY: float}}, None),
    "config": (dict, None),
    "metrics": (dict, None),
    "gates": (list, None),
}


class DamagedFile(ValueError):
    """A file of a version is not what was pushed."""


def sealed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the digest of itself, so that a change of it shows."""
    plain = json.loads(json.dumps(metadata))  # as it will be read
    return {**plain, SEAL: _digest(plain)}


def read_metadata(version: str) -> dict[str, Any]:
    """`model.json` of a version's folder.

    Raises:
      FileNotFoundError: There is none.
      DamagedFile: It is no JSON object, not what was pushed, of a later schema, or a value is not
        of its kind; the message names file, key, value and what is expected.
    """
    path = os.path.join(version, METADATA_FILE)
    with open(path, "rb") as file:
        return parsed(file.read(), path)


def parsed(content: bytes, path: str) -> dict[str, Any]:
    """`model.json` from its bytes, as `read_metadata` says.

    Args:
      content: Of the file.
      path: Named in messages.
    """
    try:
        metadata = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is not what was pushed: it is no JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise DamagedFile(f"{path} is not what was pushed: it holds no object")
    schema = metadata.get("schema_version", 1)
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise DamagedFile(
            f"{path}: schema_version is {schema}, and this RankLite reads up to {SCHEMA_VERSION}: "
            "a later one pushed it; upgrade"
        )
    try:
        _check(metadata, _SHAPE, "")
        _check_columns(metadata.get("features", []))
        if schema < 1:
            raise ValueError(f"schema_version is {schema}; versions begin with 1")
    except ValueError as error:
        raise DamagedFile(f"{path}: {error}") from error
    if (SEAL in metadata or schema > 1) and metadata.get(SEAL) != _digest(metadata):
        raise DamagedFile(
            f"{path} is not what was pushed: its content does not match the digest that it holds; "
            "push again, or take another version"
        )
    return metadata


def _digest(metadata: Mapping[str, Any]) -> str:
    others = {key: value for key, value in metadata.items() if key != SEAL}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check(value: Any, shape: Any, where: str) -> None:
    """Raises ValueError where a value is not of a shape.

    Args:
      value: Of JSON.
      shape: A type; a set of texts; several shapes, of which None is null; a list with the shape of
        its values; a mapping with the shapes of keys, other keys may have any.
      where: Its place in the document.
    """
    if isinstance(shape, tuple):
        if value is not None or None not in shape:
            _check(value, shape[0], where)
        return
    if isinstance(shape, set):
        if not isinstance(value, str) or value not in shape:
            allowed = ", ".join(sorted(shape))
            raise ValueError(f"{where} is {_brief(value)}; allowed are {allowed}")
        return
    kind: Any = shape if isinstance(shape, type) else type(shape)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or isinstance(value, bool):  # which Python takes for an int
        raise ValueError(f"{where} is {_brief(value)}, and not {_NAMES[kind]}")
    if isinstance(shape, list):
        for number, each in enumerate(value):
            _check(each, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        _check_object(value, shape, where)


def _check_object(value: dict[str, Any], shape: dict[str, Any], where: str) -> None:
    inside = f"{where}." if where else ""
    for key in shape:
        if key.startswith(_MUST) and key[1:] not in value:
            raise ValueError(f"{inside}{key[1:]} is missing")
    for key, each in value.items():
        inner = shape.get(_MUST + key, shape.get(key, shape.get(_ANY)))
        if inner is not None:
            _check(each, inner, inside + key)


_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def _check_columns(columns: list[dict[str, Any]]) -> None:
    names = set()
    for number, column in enumerate(columns):
        name = column["name"]
        if name in names:
            raise ValueError(f"features[{number}].name is {name!r}, as another one's is")
        names.add(name)
        length = column.get("max_length")
        if length is not None and not 1 <= length <= _MOST:
            raise ValueError(
                f"features[{number}].max_length is {length}; allowed are 1 to {_MOST:,}"
            )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
