"""A small model, pushed, for the tests of what scores it."""

from __future__ import annotations

import pathlib
from typing import Any

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.export import tflite_convert as export
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving.metadata_file import SCHEMA_VERSION
from ranklite.models.serving.versions import write_version

FEATURES: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical", "dtype": "string"},
    {"name": "item", "kind": "categorical", "dtype": "int64"},
    {"name": "tags", "kind": "multi_categorical", "dtype": "string", "max_length": 2}
    | {"separator": "|"},
    {"name": "price", "kind": "numeric", "dtype": "float32"},
]
ROW: dict[str, Any] = {"user": "u1", "item": 2, "tags": ["a", "b"], "price": 1.5}


def push(folder: pathlib.Path, *, strings: bool = False) -> pathlib.Path:
    """Pushes the model into a folder; returns that of its version.

    Args:
      folder: Of the versions.
      strings: Whether the version has the file that takes texts, too, and names both.
    """
    layout = FeatureLayout.build([("user", 1, 3), ("item", 1, 3), ("tags", 2, 2)], ["price"])
    config = DeepFMConfig(embedding_dim=4, hidden_units=(8,), embedding_stddev=0.5)
    checkpoint = Checkpoint(build_deepfm(layout, config), layout, config)
    constants = PreprocessingConstants(
        {"user": ["u0", "u1", "u2"], "item": ["1", "2", "3"], "tags": ["a", "b"]},
        {"price": 1.0},
        {"price": 2.0},
        {},
    )
    features = FeatureSet.model_validate(
        {"features": [{k: v for k, v in f.items() if v != "float32"} for f in FEATURES]}
    )
    raw = RawFeatures(features, constants, layout)
    files = {"model.tflite": export.to_tflite(checkpoint, raw)}
    metadata: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "features": FEATURES}
    metadata["config"] = {}
    if strings:
        files["model.strings.tflite"] = export.to_tflite(checkpoint, raw.with_strings())
        names = {"tflite": {}, "tflite_strings": {}}
        metadata |= {"target": "tflite", "targets": names, "fingerprint": raw.encoder.entry()}
    return pathlib.Path(write_version(str(folder), files, {"model": metadata}))
