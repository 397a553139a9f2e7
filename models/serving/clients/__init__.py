"""Clients of a pushed file, generated for its own features: typed encoders in several languages.

A language is a module here with `files(about) -> {name: text}` and a line in LANGUAGES. What it
generates has the features' names and types, the fingerprint, and a check by `vectors.json`, which
lies beside the folders of the languages.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ranklite.models.features.fingerprints import FINGERPRINT, INTEGER
from ranklite.models.features.raw_column import RawColumn

LANGUAGES: tuple[str, ...] = ()
FOLDER = "clients"
VECTORS_FILE = "vectors.json"
BROWSER_FILE = f"{FOLDER}/web/model.tflite"


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
