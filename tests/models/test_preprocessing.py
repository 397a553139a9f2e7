"""Transform and the raw signature agree with numbers worked out by hand, and with each other."""

from __future__ import annotations

import math
import pathlib
import tempfile
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata

from models import preprocessing as pp
from models.config import FeatureSet
from models.raw_features import RawFeatures
from models.transform_fn import preprocessing_fn

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 3},
            {"kind": "categorical", "name": "item", "min_count": 2},
            {"kind": "numeric", "name": "age", "missing_indicator": True},
            {"kind": "numeric", "name": "price", "log": True},
            {"kind": "numeric", "name": "hour", "buckets": 2},
            {"kind": "multi_categorical", "name": "shops", "max_length": 2, "dtype": "int64"},
        ],
        "user": "user",
        "item": "item",
        "slices": ["tags", "hour"],
    }
)
SPEC = {
    "user": tf.io.VarLenFeature(tf.int64),
    "item": tf.io.VarLenFeature(tf.string),
    "tags": tf.io.VarLenFeature(tf.string),
    "shops": tf.io.VarLenFeature(tf.int64),
    "age": tf.io.VarLenFeature(tf.float32),
    "price": tf.io.VarLenFeature(tf.float32),
    "hour": tf.io.VarLenFeature(tf.float32),
    "label": tf.io.VarLenFeature(tf.float32),
}
TRAIN: list[dict[str, Any]] = [
    {"user": [7], "item": ["a"], "tags": ["x", "y"], "shops": [1], "age": [1.0], "hour": [1.0]},
    {"user": [7], "item": ["a"], "tags": ["x"], "shops": [-5, 1], "age": [3.0], "hour": [2.0]},
    {"user": [-8], "item": ["b"], "tags": [], "shops": [], "age": [], "hour": [8.0]},
    {"user": [7], "item": ["c"], "tags": list("zyxw"), "shops": [1], "age": [], "hour": [9.0]},
]
for number, example in enumerate(TRAIN):
    example |= {"price": [math.expm1(number)], "label": [float(number % 2)]}

# Rows of the table: user 1-4, item 5-7, hour 8-11, tags 12-16, shops 17-20; 0 is padding.
USER, ITEM, HOUR, TAGS, SHOPS = 1, 5, 8, 12, 17


class Learned:
    """A transform graph learned from TRAIN, and ways to run it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        metadata = DatasetMetadata.from_feature_spec(SPEC)
        with tft_beam.Context(temp_dir=tempfile.mkdtemp(dir=folder)):
            (self.rows, _), function = (TRAIN, metadata) | tft_beam.AnalyzeAndTransformDataset(
                lambda inputs: preprocessing_fn(inputs, FEATURES)
            )
            function | tft_beam.WriteTransformFn(folder)
        self.layer = tft.TFTransformOutput(folder).transform_features_layer()
        self.layout = pp.layout_from_transform(folder, FEATURES)
        self.constants = pp.read_constants(folder, FEATURES)
        self.raw = RawFeatures(FEATURES, self.constants, self.layout)
        self.lite = self._lite()

    def _lite(self) -> Any:
        module = tf.Module()
        module.raw = self.raw  # keeps the tables alive
        module.call = tf.function(
            lambda **raw: self.raw(raw), autograph=False
        ).get_concrete_function(**self.raw.input_signature())
        tf.saved_model.save(module, f"{self.folder}/raw", {"serving_default": module.call})
        converter = tf.lite.TFLiteConverter.from_saved_model(f"{self.folder}/raw")
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return Interpreter(model_content=converter.convert()).get_signature_runner()

    def transform(self, row: dict[str, Any]) -> dict[str, np.ndarray]:
        example = tf.train.Example()
        for name, values in row.items():
            feature = example.features.feature[name]
            if SPEC[name].dtype == tf.string:
                feature.bytes_list.value.extend(value.encode() for value in values)
            elif SPEC[name].dtype == tf.int64:
                feature.int64_list.value.extend(values)
            else:
                feature.float_list.value.extend(values)
        parsed = tf.io.parse_example([example.SerializeToString()], SPEC)
        return {name: value.numpy()[0] for name, value in self.layer(parsed).items()}

    def run_lite(self, row: dict[str, Any]) -> dict[str, np.ndarray]:
        def one(name: str, missing: Any, dtype: Any) -> np.ndarray:
            return np.array((row.get(name) or [missing])[:1], dtype)

        def many(name: str, length: int, missing: Any, dtype: Any) -> np.ndarray:
            return np.array([(list(row.get(name) or []) + [missing] * length)[:length]], dtype)

        outputs = self.lite(
            user=one("user", pp.MISSING_INT64, np.int64),
            item=one("item", pp.MISSING_STRING, np.object_),
            tags=many("tags", 3, pp.MISSING_STRING, np.object_),
            shops=many("shops", 2, pp.MISSING_INT64, np.int64),
            **{name: one(name, np.nan, np.float32) for name in ("age", "price", "hour")},
        )
        return {name: value[0] for name, value in outputs.items()}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return Learned(str(tmp_path_factory.mktemp("transform")))


def test_the_layout(learned: Learned) -> None:
    fields = {f.name: (f.start, f.length, f.offset, f.rows) for f in learned.layout.fields}
    assert fields == {
        "user": (0, 1, USER, 4),
        "item": (1, 1, ITEM, 3),  # b and c are too rare
        "hour": (2, 1, HOUR, 4),
        "tags": (3, 3, TAGS, 5),  # w is the fourth value of its row, which keeps three
        "shops": (6, 2, SHOPS, 4),
    }
    assert learned.layout.numeric == ("age", "age_is_missing", "price")


def test_ids_by_hand(learned: Learned) -> None:
    first, _, third, _ = learned.rows
    tags = learned.constants.vocabularies["tags"]
    assert tags[:2] == ["x", "y"]
    # user 7 is the most frequent; item a; hour 1 is in the lower bucket; tags x, y; shop 1.
    assert list(first["ids"]) == [USER + 2, ITEM + 2, HOUR + 2, TAGS + 2, TAGS + 3, 0, SHOPS + 2, 0]
    # user -8; item b is below min_count; the upper bucket; empty lists are missing, then padding.
    assert list(third["ids"]) == [USER + 3, ITEM, HOUR + 3, TAGS + 1, 0, 0, SHOPS + 1, 0]


def test_numbers_by_hand(learned: Learned) -> None:
    # age: 1, 3, missing, missing -> mean 2, std 1. log1p(price): 0, 1, 2, 3 -> mean 1.5.
    std = math.sqrt(1.25)
    expected = [[-1, 0, -1.5 / std], [1, 0, -0.5 / std], [0, 1, 0.5 / std], [0, 1, 1.5 / std]]
    np.testing.assert_allclose([row["numeric"] for row in learned.rows], expected, atol=1e-6)


def test_the_constants_are_read_back(learned: Learned) -> None:
    assert learned.constants.means["age"] == 2.0
    assert learned.constants.stds["age"] == 1.0
    assert learned.constants.means["price"] == pytest.approx(1.5, abs=1e-6)
    assert learned.constants.vocabularies["user"] == ["7", "-8"]
    (boundary,) = learned.constants.boundaries["hour"]
    assert 2.0 <= boundary <= 8.0


def test_evaluation_columns(learned: Learned) -> None:
    assert pp.evaluation_slices(FEATURES) == [
        "slice_user",
        "slice_item",
        "slice_popularity",
        "slice_tags",
        "slice_hour",
    ]
    columns = [
        [row[name][0].decode() for name in ("group", "slice_user", "slice_item")]
        for row in learned.rows
    ]
    assert columns == [
        ["7", "seen", "seen"],
        ["7", "seen", "seen"],
        ["-8", "seen", "new"],
        ["7", "seen", "new"],
    ]
    # A vocabulary of one item: its rank's middle is at one half, which ends the torso.
    assert [row["slice_popularity"][0] for row in learned.rows] == [b"tail"] * 2 + [b"new"] * 2
    assert learned.rows[0]["slice_tags"][0] == b"x"
    assert learned.rows[0]["slice_hour"][0] == b"1"


def test_constants_of_other_features_are_refused(learned: Learned) -> None:
    other = FeatureSet.model_validate(
        {
            "features": [
                {"kind": "categorical", "name": "user"},
                {"kind": "numeric", "name": "height"},
            ]
        }
    )
    with pytest.raises(ValueError, match="no mean of height"):
        pp.read_constants(learned.folder, other)


def test_a_missing_column_is_named(learned: Learned) -> None:
    with pytest.raises(KeyError, match=r"no column .*'item'"):
        preprocessing_fn({"label": tf.zeros([1])}, FEATURES)


def test_a_constant_or_empty_column_is_finite(tmp_path: pathlib.Path) -> None:
    features = FeatureSet.model_validate(
        {
            "features": [
                {"kind": "categorical", "name": "item"},
                {"kind": "numeric", "name": "age"},
                {"kind": "numeric", "name": "price"},
            ]
        }
    )
    rows = [{"item": ["a"], "age": [5.0], "price": [], "label": [1.0]}] * 3
    spec = {name: SPEC[name] for name in ("item", "age", "price", "label")}
    with tft_beam.Context(temp_dir=str(tmp_path / "tmp")):
        (transformed, _), _ = (
            rows,
            DatasetMetadata.from_feature_spec(spec),
        ) | tft_beam.AnalyzeAndTransformDataset(lambda i: preprocessing_fn(i, features))
    np.testing.assert_array_equal([row["numeric"] for row in transformed], np.zeros((3, 2)))


def optional(values: st.SearchStrategy[Any], most: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, max_size=most)


NUMBERS = st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
INTEGERS = st.sampled_from([7, -8, 1, -5, 0, 2**40])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    row=st.fixed_dictionaries(
        {
            "user": optional(INTEGERS),
            "item": optional(st.sampled_from(["a", "b", "new", "", "?", "ü"])),
            "tags": optional(st.sampled_from(["x", "y", "new", ""]), 5),
            "shops": optional(INTEGERS, 3),
            "age": optional(NUMBERS),
            "price": optional(NUMBERS),
            "hour": optional(NUMBERS),
        }
    )
)
def test_the_raw_signature_in_tflite_equals_transform(
    learned: Learned, row: dict[str, Any]
) -> None:
    expected, actual = learned.transform({**row, "label": [0.0]}), learned.run_lite(row)
    np.testing.assert_array_equal(actual["ids"], expected["ids"])
    np.testing.assert_allclose(actual["numeric"], expected["numeric"], rtol=1e-5, atol=1e-6)
