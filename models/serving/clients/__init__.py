"""Clients of a pushed file, generated for its own features: typed encoders in several languages.

A language is a module here with `files(about) -> {name: text}` and a line in LANGUAGES. What it
generates has the features' names and types, the fingerprint, and a check by `vectors.json`, which
lies beside the folders of the languages.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ranklite.models.features.fingerprints import FINGERPRINT, INTEGER
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.clients.names import identifiers

LANGUAGES: tuple[str, ...] = ("python", "web", "cpp", "kotlin", "swift")
FOLDER = "clients"
VECTORS_FILE = "vectors.json"
BROWSER_FILE = f"{FOLDER}/web/model.tflite"
BROWSER_BATCH = 64  # rows a call of it
# By what stands in the log: what reads a value of a row of JSON in a client's own check.
_READS = {"string": "text", "int64": "integer", "float32": "number"}


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of the raw signature, as a client has to know it.

    Attributes:
      column: What stands in the log.
      encoding: FINGERPRINT or INTEGER of an id, "" of a number.
    """

    column: RawColumn
    encoding: str

    @property
    def is_text(self) -> bool:
        """Whether an app has texts of it."""
        return self.column.dtype == "string"

    @property
    def is_fingerprint(self) -> bool:
        """Whether a hash stands for a value."""
        return self.encoding == FINGERPRINT

    @property
    def is_integer(self) -> bool:
        """Whether an integer stands for itself."""
        return self.encoding == INTEGER

    @property
    def holds(self) -> str:
        """`text`, `hashed` for an integer whose hash is sent, `integer`, or `number`."""
        if self.is_text:
            return "text"
        if self.is_fingerprint:
            return "hashed"
        return "integer" if self.is_integer else "number"

    @property
    def reads(self) -> str:
        """What reads a value of JSON: `text`, `integer` or `number`."""
        return _READS[self.column.dtype]


@dataclasses.dataclass(frozen=True)
class About:
    """What a client is generated from.

    Attributes:
      name: Of the model.
      seed: Of the fingerprints.
      inputs: In the order of the configuration.
      metadata: `model.json`.
    """

    name: str
    seed: int
    inputs: tuple[Input, ...]
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> About:
        """Reads `model.json`."""
        fingerprint = metadata["fingerprint"]
        inputs = tuple(
            Input(
                RawColumn.of_entry(entry),
                fingerprint["inputs"].get(entry["name"], {}).get("encoding", ""),
            )
            for entry in metadata["features"]
        )
        name = str((metadata.get("config") or {}).get("name", "model"))
        return cls(name, int(fingerprint["seed"]), inputs, metadata)

    def fields(self, reserved: Collection[str]) -> list[tuple[str, Input]]:
        """The inputs with a valid identifier each.

        Args:
          reserved: What a field cannot be called in a language.
        """
        names = identifiers([each.column.name for each in self.inputs], reserved)
        return list(zip(names, self.inputs, strict=True))


def push_settings(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration in `model.json` says of the push: `clients`, `preprocessing` and
    `browser_batch`; defaults where it says nothing.
    """
    asked = (metadata.get("config") or {}).get("push") or {}
    return {"clients": True, "preprocessing": True, "browser_batch": BROWSER_BATCH, **asked}


def generate(metadata: Mapping[str, Any], vectors: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The files of all clients by their path in a version's folder.

    Args:
      metadata: `model.json`, of a file that takes int32.
      vectors: What `vectors.made` gives.
    """
    about = About.of(metadata)
    document = {"fingerprint": metadata["fingerprint"], "rows": list(vectors)}
    files = {VECTORS_FILE: json.dumps(document, indent=1, ensure_ascii=False)}
    for language in LANGUAGES:
        module = importlib.import_module(f"{__name__}.{language}")
        made = module.files(about)
        files |= {f"{language}/{name}": text for name, text in made.items()}
    return {f"{FOLDER}/{name}": text.encode() for name, text in files.items()}
