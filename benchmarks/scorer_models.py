"""Models with random weights for the benchmarks of the scorer, each as TFLite and, for its peer, as
ONNX with rows of the table by value."""

from __future__ import annotations

import json
import os
import pathlib
import zlib
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.export.onnx_convert import from_tflite
from ranklite.models.export.onnx_runtime import graph_of
from ranklite.models.export.target import SERVING_DEFAULT
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import RESERVED_ROWS, FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving.versions import write_version
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

MEAN, STD = 20.0, 10.0
VOCABULARIES = {
    "user": [f"u{k}" for k in range(5000)],
    "item": [str(k) for k in range(1, 5001)],
    "category": [f"c{k}" for k in range(30)],
    "device": ["phone", "tablet", "desktop"],
    "hour": [str(k) for k in range(24)],
    "tags": [f"tag{k}" for k in range(50)],
}
FEATURES: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical"},
    {"name": "item", "kind": "categorical", "dtype": "int64"},
    {"name": "category", "kind": "categorical"},
    {"name": "device", "kind": "categorical"},
    {"name": "hour", "kind": "categorical", "dtype": "int64"},
    {"name": "tags", "kind": "multi_categorical", "max_length": 4, "separator": "|"},
    {"name": "price", "kind": "numeric"},
]
OF_USER = ("user", "device", "hour")
FORMATS = ("float", "int8")
INT8 = {"technique": "quantize", "epochs": 0}
CALIBRATION_ROWS = 2048


def export(folder: pathlib.Path) -> None:
    """Writes `float/pushed/1` and `int8/pushed/1`; `model.onnx`, `model.int8.onnx`, `encoder.json`.

    Args:
      folder: Where they go; what it holds from an earlier call is kept.
    """
    if (folder / "encoder.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    features, layout, raw = shop(VOCABULARIES)
    config = DeepFMConfig(embedding_dim=16, hidden_units=(64, 32), embedding_stddev=0.3)
    model = build_deepfm(layout, config)
    for layer in model.layers:
        random = np.random.default_rng(zlib.crc32(layer.name.encode()))
        low, high = (0.5, 1.0) if layer.name.endswith("_bn") else (-0.3, 0.3)
        layer.set_weights([random.uniform(low, high, w.shape) for w in layer.get_weights()])
    whole = Checkpoint(model, layout, config)
    files = [_examples(layout, str(folder / f"{k}.gz"), seed=k) for k in range(2)]
    setting = Setting(features, Splits(files[:1], files[1:]), TrainingConfig())
    smaller = apply(from_json(json.dumps(INT8)), whole, setting).model
    for name, checkpoint in zip(FORMATS, (whole, smaller), strict=True):
        push(folder / name / "pushed", checkpoint, features, raw)
    graph = graph_of(from_tflite(to_tflite(whole, raw)), SERVING_DEFAULT)
    (folder / "model.onnx").write_bytes(graph)
    _quantize(str(folder / "model.onnx"), str(folder / "model.int8.onnx"))
    for file in files:
        os.unlink(file)
    write_encoder(folder, layout)


def shop(words: dict[str, list[str]]) -> tuple[FeatureSet, FeatureLayout, RawFeatures]:
    """`FEATURES` with some vocabularies: their layout, and what a file computes of raw values."""
    features = FeatureSet.model_validate({"features": FEATURES})
    sizes = [(name, 4 if name == "tags" else 1, len(values)) for name, values in words.items()]
    constants = PreprocessingConstants(words, {"price": MEAN}, {"price": STD}, {})
    layout = FeatureLayout.build(sizes, ["price"])
    return features, layout, RawFeatures(features, constants, layout)


def push(
    folder: pathlib.Path, checkpoint: Checkpoint, features: FeatureSet, raw: RawFeatures
) -> None:
    """Writes a version of a model."""
    about = {
        "features": [column.entry() for column in features.raw_columns],
        "fingerprint": raw.encoder.entry(),
    }
    write_version(str(folder), {"model.tflite": to_tflite(checkpoint, raw)}, {"model": about})


def write_encoder(folder: pathlib.Path, layout: FeatureLayout) -> None:
    """Writes `encoder.json`, what a `PlainEncoder` reads."""
    fields = [
        {
            "name": field.name,
            "length": field.length,
            "missing": field.missing_row,
            "unseen": field.oov_row,
            "rows": {
                word: field.offset + RESERVED_ROWS + k
                for k, word in enumerate(VOCABULARIES[field.name])
            },
        }
        for field in layout.fields
    ]
    encoder = {"fields": fields, "mean": MEAN, "std": STD}
    (folder / "encoder.json").write_text(json.dumps(encoder))


def row(random: np.random.Generator, items: int) -> dict[str, Any]:
    """A row; some of its values are missing, and some users, and items from 5,001 on, unseen."""
    return {
        "user": f"u{random.integers(int(len(VOCABULARIES['user']) * 1.1))}",
        "item": int(random.integers(1, items)),
        "category": f"c{random.integers(30)}",
        "device": ["phone", "tablet", None][random.integers(3)],
        "hour": int(random.integers(24)),
        "tags": [f"tag{k}" for k in random.integers(0, 50, random.integers(5))],
        "price": None if random.random() < 0.1 else round(float(random.gamma(2, 10)), 2),
    }


def many(folder: str, users: int) -> None:
    """Writes a version of a float DeepFM with so many users."""
    words = {**VOCABULARIES, "user": [f"u{k}" for k in range(users)]}
    features, layout, raw = shop(words)
    config = DeepFMConfig(embedding_dim=8, hidden_units=(64, 32))
    checkpoint = Checkpoint(build_deepfm(layout, config), layout, config)
    push(pathlib.Path(folder), checkpoint, features, raw)


def _quantize(source: str, target: str) -> None:
    """ONNX Runtime's own dynamic int8, which needs no calibration."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8)


def _examples(layout: FeatureLayout, path: str, seed: int) -> str:
    """Writes transformed Examples to calibrate on; returns the path."""
    random = np.random.default_rng(seed)
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
        for number in range(CALIBRATION_ROWS):
            ids = [
                int(row)
                for field in layout.fields
                for row in random.integers(
                    field.offset + 2, field.offset + field.rows, field.length
                )
            ]
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend(ids)
            example.features.feature["numeric"].float_list.value.append(float(random.normal()))
            example.features.feature["label"].float_list.value.append(number % 2)
            writer.write(example.SerializeToString())
    return path
