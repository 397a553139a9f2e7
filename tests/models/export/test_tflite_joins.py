"""Operators of files: int8 rounds what the model rounds, and no mean of a list besides."""

from __future__ import annotations

import collections
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques.quantize import Quantization, Quantize
from ranklite.models.export import tflite_strip
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_graph import read
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

VOCABULARIES = {
    "user": [f"u{k}" for k in range(8)],
    "tags": [f"t{k}" for k in range(4)],
    "item": [str(k) for k in range(8)],
}
FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 3},
            {"kind": "categorical", "name": "item", "dtype": "int64"},
            {"kind": "numeric", "name": "price"},
        ]
    }
)
LAYOUT = FeatureLayout.build([("user", 1, 8), ("tags", 3, 4), ("item", 1, 8)], ["price"])
RAW = RawFeatures(
    FEATURES,
    PreprocessingConstants(VOCABULARIES, {"price": 0.0}, {"price": 1.0}, {}),
    LAYOUT,
)
ROWS = 512
# Two look-ups become float, what the first kernel reads is rounded, and so is what the second one
# reads; what both give becomes float for a sum.
CONVERSIONS = {"DEQUANTIZE": 4, "QUANTIZE": 2}


def rows(seed: int) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    fields = [LAYOUT.field(name) for name in ("user", "item", "tags")]
    blocks = [random.integers(f.offset + 2, f.offset + f.rows, (ROWS, f.length)) for f in fields]
    blocks[2][random.random((ROWS, 3)) < 0.4] = 0
    made = {field.start: block for field, block in zip(fields, blocks, strict=True)}
    ids = np.hstack([made[start] for start in sorted(made)]).astype(np.int32)
    return {"ids": ids, "numeric": random.normal(size=(ROWS, 1)).astype(np.float32)}


def write(path: pathlib.Path, seed: int) -> str:
    made = rows(seed)
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
        for k, (ids, numeric) in enumerate(zip(made["ids"], made["numeric"], strict=True)):
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend(ids)
            example.features.feature["numeric"].float_list.value.extend(numeric)
            example.features.feature["label"].float_list.value.append(k % 2)
            writer.write(example.SerializeToString())
    return str(path)


# Weights decide whether the kernel has the table's scale, or rows are rescaled for it: the first of
# these does not, in the second one a signature joins in the one scale, and one in the other.
@pytest.fixture(scope="module", params=[0, 1, 2])
def models(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("examples")
    keras.utils.set_random_seed(request.param)
    config = DeepFMConfig(embedding_dim=4, hidden_units=(16, 8), dropout=0.0, embedding_stddev=0.4)
    whole = Checkpoint(build_deepfm(LAYOUT, config), LAYOUT, config)
    files = [write(folder / f"{k}.gz", seed=k) for k in range(2)]
    setting = Setting(FEATURES, Splits(files[:1], files[1:]), TrainingConfig(batch_size=128))
    step = Quantize(Quantization(technique="quantize", epochs=0, control=False))
    return {"float": whole, "int8": step.apply(whole, setting).model}


@pytest.fixture(scope="module")
def files(models: dict[str, Checkpoint]) -> dict[str, bytes]:
    return {name: to_tflite(checkpoint, RAW) for name, checkpoint in models.items()}


def operators(content: bytes, signature: str) -> collections.Counter[str]:
    return collections.Counter(each.name for each in read(content).graphs[signature].operators)


@pytest.mark.parametrize("signature", [SERVING_DEFAULT, SERVING_RAW])
def test_int8_has_the_operators_of_float_and_six_conversions(
    files: dict[str, bytes], signature: str
) -> None:
    whole, rounded = (operators(files[name], signature) for name in ("float", "int8"))
    assert rounded - whole == CONVERSIONS
    assert not whole - rounded


def test_a_file_has_no_operator_without_effect(files: dict[str, bytes]) -> None:
    raw = operators(files["float"], SERVING_RAW)
    assert raw["FLOOR_DIV"] == 0
    assert raw["RESHAPE"] <= 2  # the weights of a mean, and what the tower reads
    default = operators(files["float"], SERVING_DEFAULT)
    assert sum(default.values()) <= 43


def test_means_are_those_of_the_model(
    models: dict[str, Checkpoint], files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rows(3)
    expected = tf.sigmoid(models["int8"].model(given)).numpy()[:, 0]
    monkeypatch.setattr(tflite_strip, "join_in_float", lambda model: None)
    before = to_tflite(models["int8"], RAW)
    assert operators(before, SERVING_DEFAULT)["QUANTIZE"] > CONVERSIONS["QUANTIZE"]
    apart = [
        np.abs(LiteModel(content).score(given) - expected).mean()
        for content in (files["int8"], before)
    ]
    assert apart[0] < apart[1]
    assert apart[0] < 1e-3


def texts(given: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Raw rows of ids."""

    def named(field: Any) -> np.ndarray[Any, Any]:
        first = field.offset + 2
        ids = given["ids"][:, field.start : field.start + field.length]
        values = [b"", *(text.encode() for text in VOCABULARIES[field.name])]
        return np.array(values, object)[np.where(ids >= first, ids - first + 1, 0)]

    user, tags, item = (named(LAYOUT.field(name)) for name in ("user", "tags", "item"))
    numbers = item[:, 0].astype(np.int64)
    return {"user": user[:, 0], "tags": tags, "item": numbers, "price": given["numeric"][:, 0]}


def test_both_signatures_round_alike(files: dict[str, bytes]) -> None:
    given = rows(4)
    tags = LAYOUT.field("tags")
    given["ids"][:, tags.start] = tags.offset + 2  # without any, a list's missing row is read
    for content in files.values():
        model = LiteModel(content)
        apart = np.abs(model.score(given) - model.score(texts(given), SERVING_RAW))
        assert np.quantile(apart, 0.99) < 1e-6


def test_a_file_is_changed_once(files: dict[str, bytes]) -> None:
    for content in files.values():
        assert tflite_strip.slim(content) == content
