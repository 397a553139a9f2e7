"""The preprocessing inside a TFLite file, from constants written by hand."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from ranklite.models.features import raw_signature
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import MISSING_INT64, FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "multi_categorical", "name": "tags", "max_length": 2},
            {"kind": "categorical", "name": "user", "dtype": "int64"},
            {"kind": "numeric", "name": "price", "log": True, "missing_indicator": True},
            {"kind": "numeric", "name": "hour", "buckets": 3},
        ]
    }
)
CONSTANTS = PreprocessingConstants(
    vocabularies={"tags": ["x", "y"], "user": ["7", "-8"]},
    means={"price": 1.0},
    stds={"price": 2.0},
    boundaries={"hour": [6.0, 12.0]},
)
LAYOUT = FeatureLayout.build(
    [("user", 1, 2), ("hour", 1, 3), ("tags", 2, 2)], ["price", "price_is_missing"]
)
USER, HOUR, TAGS = 1, 5, 10  # first row of each field


def convert(raw: RawFeatures, folder: pathlib.Path) -> bytes:
    """A TFLite file of nothing but the preprocessing; the converter refuses all but builtins."""
    module = tf.Module()
    module.raw = raw  # keeps the tables alive
    call = tf.function(lambda **columns: raw(columns), autograph=False)
    function = call.get_concrete_function(**raw.input_signature())
    tf.saved_model.save(module, str(folder), {"serving_default": function})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return bytes(converter.convert())


def taken(raw: RawFeatures, columns: dict[str, Any]) -> dict[str, Any]:
    """What the file takes of values as they stand in a log."""
    return columns if raw.takes_strings else raw.encoder.encode(columns)


@pytest.mark.parametrize(
    ("strings", "text", "integer"), [(False, tf.int32, tf.int32), (True, tf.string, tf.int64)]
)
def test_the_inputs_keep_the_order_of_the_configuration(
    strings: bool, text: tf.DType, integer: tf.DType
) -> None:
    signature = RawFeatures(FEATURES, CONSTANTS, LAYOUT, strings=strings).input_signature()
    assert [(name, spec.dtype, spec.shape.as_list()) for name, spec in signature.items()] == [
        ("tags", text, [None, 2]),
        ("user", integer, [None]),
        ("price", tf.float32, [None]),
        ("hour", tf.float32, [None]),
    ]


@pytest.mark.parametrize("strings", [False, True], ids=["int32", "strings"])
@pytest.mark.parametrize("far", [-8, -8_000_000, -(2**40)], ids=["array", "hash", "fingerprints"])
def test_by_hand_in_tensorflow_and_in_tflite(
    far: int, strings: bool, tmp_path: pathlib.Path
) -> None:
    vocabularies = {**CONSTANTS.vocabularies, "user": ["7", str(far)]}
    constants = dataclasses.replace(CONSTANTS, vocabularies=vocabularies)
    raw = RawFeatures(FEATURES, constants, LAYOUT, strings=strings)
    columns: dict[str, Any] = {
        "tags": np.array([[b"x", b"y"], [b"y", b""], [b"", b""], [b"new", b""]], np.object_),
        "user": np.array([7, far, MISSING_INT64, 9], np.int64),
        "price": np.array([np.e - 1, 1 - np.e, np.nan, np.inf], np.float32),
        "hour": np.array([5.9, 6.0, np.nan, 12.0], np.float32),
    }
    ids = [
        [USER + 2, HOUR + 2, TAGS + 2, TAGS + 3],
        [USER + 3, HOUR + 3, TAGS + 3, 0],
        [USER + 1, HOUR + 1, TAGS + 1, 0],
        [USER + 0, HOUR + 4, TAGS + 0, 0],
    ]
    numeric = [[0.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    columns = taken(raw, columns)
    eager = raw({name: tf.constant(column) for name, column in columns.items()})
    lite = Interpreter(model_content=convert(raw, tmp_path)).get_signature_runner()(**columns)
    for outputs in (eager, lite):
        assert np.asarray(outputs["ids"]).tolist() == ids
        np.testing.assert_allclose(outputs["numeric"], numeric, atol=1e-6)


def test_many_numbers_are_made_at_once_and_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [
        {},
        {"log": True},
        {"missing_indicator": True},
        {"log": True, "missing_indicator": True},
    ]
    numbers = [{"kind": "numeric", "name": f"n{k}", **kinds[k % 4]} for k in range(9)]
    user = {"kind": "categorical", "name": "user"}
    features = FeatureSet.model_validate({"features": [*numbers[:5], user, *numbers[5:]]})
    rng = np.random.default_rng(3)
    names = [number["name"] for number in numbers]
    means, stds = (
        dict(zip(names, map(float, rng.uniform(0.1, 3, 9).astype(np.float32)), strict=True))
        for _ in range(2)
    )
    constants = PreprocessingConstants({"user": ["a"]}, means, stds, {})
    layout = FeatureLayout.build([("user", 1, 1)], features.numeric_names)
    values = rng.normal(0, 30, (9, 50)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    columns: dict[str, Any] = dict(zip(names, values, strict=True))
    columns["user"] = np.array([b"a", b"?"] * 25, np.object_)
    made = []
    for together in (1_000, 1):
        monkeypatch.setattr(raw_signature, "TOGETHER", together)
        raw = RawFeatures(features, constants, layout)
        taken_columns = taken(raw, columns)
        eager = raw({name: tf.constant(column) for name, column in taken_columns.items()})
        content = convert(raw, tmp_path / str(together))
        lite = Interpreter(model_content=content)
        made.append(
            (eager, lite.get_signature_runner()(**taken_columns), len(lite._get_ops_details()))
        )
    (eager, file, operators), (eager_once, file_once, fewer) = made
    assert eager_once["numeric"].shape == (50, 9 + 4)
    for name in ("ids", "numeric"):
        np.testing.assert_array_equal(eager_once[name], eager[name])
        for outputs in (file, file_once):  # the converter multiplies by the reciprocal
            np.testing.assert_allclose(outputs[name], eager[name], rtol=1e-5, atol=1e-5)
    assert fewer < operators - 40  # logarithms are taken one by one


def test_an_integer_array_ends_where_its_numbers_end() -> None:
    user = np.array([8, 7, 6, 0, -7, -8, -9, 2**63 - 1, MISSING_INT64 + 1, MISSING_INT64], np.int64)
    raw = RawFeatures(FEATURES, CONSTANTS, LAYOUT)
    keys = raw.encoder.encode({"user": user})
    rows = raw.lookups["user"]({"user": tf.constant(keys["user"])}).numpy()[:, 0]
    unseen = USER
    expected = [unseen, USER + 2, *[unseen] * 3, USER + 3, *[unseen] * 3, USER + 1]
    assert rows.tolist() == expected


def test_adjacent_integers_are_looked_up_at_once(tmp_path: pathlib.Path) -> None:
    features = FeatureSet.model_validate(
        {
            "features": [
                {"kind": "multi_categorical", "name": "tags", "dtype": "int64", "max_length": 2},
                {"kind": "categorical", "name": "user", "dtype": "int64"},
                {"kind": "categorical", "name": "item", "dtype": "int64"},
            ]
        }
    )
    vocabularies = {"tags": ["3", "5"], "user": ["10", "9", "12"], "item": ["-1", "1"]}
    layout = FeatureLayout.build([("user", 1, 3), ("item", 1, 2), ("tags", 2, 2)])
    raw = RawFeatures(features, PreprocessingConstants(vocabularies, {}, {}, {}), layout)
    columns = {
        "user": np.array([9, 11, MISSING_INT64, 2**62], np.int64),
        "item": np.array([1, 0, -1, MISSING_INT64], np.int64),
        "tags": np.array([[5, 3], [4, MISSING_INT64], [MISSING_INT64] * 2, [5, 5]], np.int64),
    }
    item, tags = 1 + 5, 1 + 5 + 4
    expected = [
        [1 + 3, item + 3, tags + 3, tags + 2],
        [1 + 0, item + 0, tags + 0, 0],
        [1 + 1, item + 2, tags + 1, 0],
        [1 + 0, item + 1, tags + 3, tags + 3],
    ]
    columns = taken(raw, columns)
    assert raw({k: tf.constant(v) for k, v in columns.items()})["ids"].numpy().tolist() == expected
    interpreter = Interpreter(model_content=convert(raw, tmp_path))
    assert interpreter.get_signature_runner()(**columns)["ids"].tolist() == expected


def test_integers_take_a_few_bytes_each(tmp_path: pathlib.Path) -> None:
    features = FeatureSet.model_validate(
        {"features": [{"kind": "categorical", "name": "item", "dtype": "int64"}]}
    )

    def size(step: int) -> int:
        values = [str(k * step) for k in range(10_000)]
        constants = PreprocessingConstants({"item": values}, {}, {}, {})
        layout = FeatureLayout.build([("item", 1, len(values))])
        return len(convert(RawFeatures(features, constants, layout), tmp_path / str(step)))

    near, sparse, beyond_32_bits = size(1), size(1000), size(10**7)
    assert near < 25_000 < sparse < 85_000
    assert beyond_32_bits < 85_000  # as fingerprints


def test_equal_constants_make_equal_files(tmp_path: pathlib.Path) -> None:
    files = [convert(RawFeatures(FEATURES, CONSTANTS, LAYOUT), tmp_path / name) for name in "ab"]
    assert files[0] == files[1]


def test_vocabularies_of_200_000_values(tmp_path: pathlib.Path) -> None:
    size = 200_000
    features = FeatureSet.model_validate(
        {
            "features": [
                {"kind": "categorical", "name": "item"},
                {"kind": "categorical", "name": "user", "dtype": "int64"},
            ]
        }
    )
    users = np.arange(size, dtype=np.int64) * 7919 - 10**9
    vocabularies = {"item": [f"item-{k}" for k in range(size)], "user": [str(u) for u in users]}
    raw = RawFeatures(
        features,
        PreprocessingConstants(vocabularies, {}, {}, {}),
        FeatureLayout.build([("item", 1, size), ("user", 1, size)]),
    )
    run = Interpreter(model_content=convert(raw, tmp_path)).get_signature_runner()
    chosen = np.array([0, 1, size // 2, size - 1])
    columns = {
        "item": np.array([f"item-{k}".encode() for k in chosen] + [b"item", b""], np.object_),
        "user": np.append(users[chosen], [users[0] + 1, MISSING_INT64]),
    }
    outputs = run(**raw.encoder.encode(columns))
    items = [*(chosen + 3), 1, 2]
    offset = 1 + size + 2
    assert outputs["ids"].tolist() == [
        [item, offset + row] for item, row in zip(items, [*(chosen + 2), 0, 1], strict=True)
    ]
