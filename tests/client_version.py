"""A small version with its clients, of every type and encoding that an app sends, for tests."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.export import export_target
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving import for_apps
from ranklite.models.serving.metadata import describe
from ranklite.models.serving.versions import write_version

FEATURES: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical"},
    {"name": "item", "kind": "categorical", "dtype": "int64"},
    {"name": "shop", "kind": "categorical", "dtype": "int64"},
    {"name": "tags", "kind": "multi_categorical", "max_length": 3, "separator": "|"},
    {"name": "price", "kind": "numeric", "log": True},
]
VOCABULARIES = {
    "user": ["u0", "n\u00e4chste", "\u65e5\u672c\u8a9e \U0001f600"],
    "item": [str(n) for n in range(1, 101)],
    "shop": ["7", str(2**40), "-5"],
    "tags": ["a", "b", "\u00fc"],
}
METRICS = {"split": "none", "shipped": {"auc": float("nan")}}  # of a split of one class
_TEXTS = (*VOCABULARIES["user"], "never seen", " ", "NaN", "\U0001f680" * 9, "", None)
_INTEGERS = (*range(1, 9), 0, -1, -5, 2**31, -(2**31), 2**40, 2**53 - 1, 2**53, 2**63 - 1)
_TAGS = (*VOCABULARIES["tags"], "unseen", "", " ", None)


def push(folder: pathlib.Path, name: str = "shop <&> \u00fc") -> pathlib.Path:
    """Pushes it into a folder; returns that of its version."""
    sizes = [(each, 3 if each == "tags" else 1, len(words)) for each, words in VOCABULARIES.items()]
    layout = FeatureLayout.build(sizes, ["price"])
    config = DeepFMConfig(embedding_dim=4, hidden_units=(8,), embedding_stddev=0.5)
    checkpoint = Checkpoint(build_deepfm(layout, config), layout, config)
    constants = PreprocessingConstants(VOCABULARIES, {"price": 1.0}, {"price": 2.0}, {})
    features = FeatureSet.model_validate({"features": FEATURES})
    raw = RawFeatures(features, constants, layout)
    target = export_target("tflite")
    content = target.export(checkpoint, raw)
    model = target.load(content)
    about = {"name": name, "item": "item"}
    metadata = describe(target, model, features.raw_columns, layout.to_dict(), METRICS, [], about)
    preprocessing = json.dumps(raw.to_dict()).encode()
    files = for_apps.files(target, model, metadata, preprocessing)
    version = write_version(str(folder), {target.file: content}, {"model": metadata}, files=files)
    return pathlib.Path(version)


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with known, missing, unseen and extreme values, and lists that are too long."""
    random = np.random.default_rng(seed)

    def one(values: Any) -> Any:
        return values[random.integers(len(values))]

    return [
        {
            "user": one(_TEXTS),
            "item": one((*_INTEGERS, -(2**63) + 1, None)),
            "shop": one((*_INTEGERS, -(2**63) + 1, None)),
            "tags": [one(_TAGS) for _ in range(random.integers(0, 40))],
            "price": one((None, 0.0, 0.1, 12345.678, 1e30, float(random.gamma(2.0)))),
        }
        for _ in range(count)
    ]


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as vectors.json would have it: large integers as texts."""
    return {k: str(v) if isinstance(v, int) else v for k, v in row.items()}
