"""Transform and the raw signature agree with numbers worked out by hand, and with each other."""

from __future__ import annotations

import json
import math
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

from ranklite.models.features import constants as pp
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import MISSING_INT64
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.features.slices import evaluation_slices
from ranklite.models.features.transform import preprocessing_fn

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 3},
            {"kind": "categorical", "name": "item", "min_count": 2},
            {"kind": "numeric", "name": "Age", "missing_indicator": True},
            {"kind": "numeric", "name": "price", "log": True},
            {"kind": "numeric", "name": "flat"},
            {"kind": "numeric", "name": "void"},
            {"kind": "numeric", "name": "hour", "buckets": 2},
            {"kind": "numeric", "name": "gone", "buckets": 3, "log": True},
            {"kind": "categorical", "name": "rare", "dtype": "int64", "min_count": 3},
            {"kind": "categorical", "name": "word"},
            {"kind": "categorical", "name": "city", "max_vocabulary": 1},
            {"kind": "multi_categorical", "name": "shops", "max_length": 2, "dtype": "int64"},
        ],
        "user": "user",
        "item": "item",
        "slices": ["tags", "hour"],
    }
)
INTEGERS = ("user", "shops", "rare")
STRINGS = ("item", "tags", "word", "city")
NUMBERS = ("Age", "price", "flat", "void", "hour", "gone", "label")
SPEC = {
    name: tf.io.VarLenFeature(dtype)
    for names, dtype in ((INTEGERS, tf.int64), (STRINGS, tf.string), (NUMBERS, tf.float32))
    for name in names
}
TRAIN: list[dict[str, Any]] = [
    {"user": [7], "item": [b"a"], "tags": [b"x", b"y"], "shops": [1], "Age": [1.0], "hour": [1.0]},
    {"user": [7], "item": [b"a"], "tags": [b"x"], "shops": [-5, 1], "Age": [3.0], "hour": [2.0]},
    {"user": [-8], "item": [b"b"], "tags": [], "shops": [], "Age": [], "hour": [8.0]},
    {"user": [7], "item": [b"c"], "tags": [b"z", b"y", b"x", b"w"], "shops": [1], "Age": [math.nan],
     "hour": [9.0]},
]  # fmt: skip
WORDS = [b" two words ", b"\xff\xfe", "ü".encode(), b"line\nbreak"]
for number, example in enumerate(TRAIN):
    example |= {"price": [math.expm1(number)], "flat": [0.1], "void": [], "gone": []}
    example |= {"rare": [number // 2], "word": [WORDS[number]], "label": [float(number % 2)]}
    example |= {"city": [b"be" if number < 2 else b"nl"]}

# First row of each field in the table; row 0 is padding.
USER, ITEM, HOUR, GONE, RARE, WORD, CITY, TAGS, SHOPS = 1, 5, 8, 12, 17, 20, 26, 29, 34


class Learned:
    """A transform graph learned from TRAIN, and ways to run it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        metadata = DatasetMetadata.from_feature_spec(SPEC)
        with tft_beam.Context(temp_dir=tempfile.mkdtemp(dir=folder)):
            function = (TRAIN, metadata) | tft_beam.AnalyzeDataset(
                lambda inputs: preprocessing_fn(inputs, FEATURES)
            )
            function | tft_beam.WriteTransformFn(folder)
        self.layer = tft.TFTransformOutput(folder).transform_features_layer()
        self.rows = [self.transform(row) for row in TRAIN]
        self.layout = pp.layout_from_transform(folder, FEATURES)
        self.constants = pp.read_constants(folder, FEATURES)
        self.raw = RawFeatures(FEATURES, self.constants, self.layout)
        self.lite = self._lite(self.raw)
        self.strings = self._lite(RawFeatures(FEATURES, self.constants, self.layout, strings=True))

    def _lite(self, raw: RawFeatures) -> Any:
        module = tf.Module()
        module.raw = raw  # keeps the tables alive
        module.call = tf.function(
            lambda **columns: raw(columns), autograph=False
        ).get_concrete_function(**raw.input_signature())
        tf.saved_model.save(module, f"{self.folder}/raw", {"serving_default": module.call})
        converter = tf.lite.TFLiteConverter.from_saved_model(f"{self.folder}/raw")
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return Interpreter(model_content=converter.convert()).get_signature_runner()

    def transform(self, row: dict[str, Any]) -> dict[str, np.ndarray]:
        example = tf.train.Example()
        for name, values in row.items():
            feature = example.features.feature[name]
            if SPEC[name].dtype == tf.string:
                feature.bytes_list.value.extend(values)
            elif SPEC[name].dtype == tf.int64:
                feature.int64_list.value.extend(values)
            else:
                feature.float_list.value.extend(values)
        parsed = tf.io.parse_example([example.SerializeToString()], SPEC)
        return {name: value.numpy()[0] for name, value in self.layer(parsed).items()}

    def run_lite(self, row: dict[str, Any], *, strings: bool = False) -> dict[str, np.ndarray]:
        def one(name: str, missing: Any, dtype: Any) -> np.ndarray:
            return np.array((row.get(name) or [missing])[:1], dtype)

        def many(name: str, length: int, missing: Any, dtype: Any) -> np.ndarray:
            return np.array([(list(row.get(name) or []) + [missing] * length)[:length]], dtype)

        columns = {
            "tags": many("tags", 3, b"", np.object_),
            "shops": many("shops", 2, MISSING_INT64, np.int64),
            **{name: one(name, MISSING_INT64, np.int64) for name in ("user", "rare")},
            **{name: one(name, b"", np.object_) for name in ("item", "word", "city")},
            **{name: one(name, np.nan, np.float32) for name in NUMBERS if name != "label"},
        }
        outputs = (
            self.strings(**columns) if strings else self.lite(**self.raw.encoder.encode(columns))
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
        "gone": (3, 1, GONE, 5),
        "rare": (4, 1, RARE, 3),  # Transform puts a placeholder into an empty vocabulary
        "word": (5, 1, WORD, 6),  # the one with a line break among them
        "city": (6, 1, CITY, 3),  # only one is kept
        "tags": (7, 3, TAGS, 5),  # w is the fourth value of its row, which keeps three
        "shops": (10, 2, SHOPS, 4),
    }
    assert learned.layout.numeric == ("Age", "Age_is_missing", "price", "flat", "void")


def test_ids_by_hand(learned: Learned) -> None:
    ids = {name: [] for name in ("single", "tags", "shops")}
    for row in learned.rows:
        for name, values in zip(ids, np.split(row["ids"], [7, 10]), strict=True):
            ids[name].append(values.tolist())
    # Of equally frequent values the one that sorts last comes first: the words, the cities.
    assert ids["single"] == [
        [USER + 2, ITEM + 2, HOUR + 2, GONE + 1, RARE, WORD + 5, CITY],
        [USER + 2, ITEM + 2, HOUR + 2, GONE + 1, RARE, WORD + 2, CITY],
        [USER + 3, ITEM + 0, HOUR + 3, GONE + 1, RARE, WORD + 3, CITY + 2],
        [USER + 2, ITEM + 0, HOUR + 3, GONE + 1, RARE, WORD + 4, CITY + 2],
    ]
    x, y, z = TAGS + 2, TAGS + 3, TAGS + 4
    assert ids["tags"] == [[x, y, 0], [x, 0, 0], [TAGS + 1, 0, 0], [z, y, x]]
    one, minus_five = SHOPS + 2, SHOPS + 3
    assert ids["shops"] == [[one, 0], [minus_five, one], [SHOPS + 1, 0], [one, 0]]


def test_numbers_by_hand(learned: Learned) -> None:
    # Age: 1, 3, missing, missing -> mean 2, std 1. log1p(price): 0, 1, 2, 3 -> mean 1.5.
    # A constant column and an empty one are 0.
    std = math.sqrt(1.25)
    expected = [[-1, 0, -1.5 / std], [1, 0, -0.5 / std], [0, 1, 0.5 / std], [0, 1, 1.5 / std]]
    expected = [[*row, 0, 0] for row in expected]
    np.testing.assert_allclose([row["numeric"] for row in learned.rows], expected, atol=1e-6)


def test_the_constants_are_read_back(learned: Learned) -> None:
    constants = learned.constants
    assert constants.vocabularies["user"] == ["7", "-8"]
    assert constants.vocabularies["tags"] == ["x", "y", "z"]
    assert constants.vocabularies["city"] == ["nl"]
    assert set(constants.vocabularies["word"]) == {
        " two words ",
        "line\nbreak",
        "ü",
        "\udcff\udcfe",
    }
    assert pp.without_values(learned.folder, FEATURES) == ["rare"]
    price = {"mean": np.float32(1.5), "std": np.sqrt(np.float32(1.25))}
    assert constants.means == {
        "Age": 2.0,
        "price": pytest.approx(price["mean"], abs=1e-6),
        "flat": np.float32(0.1),
        "void": 0.0,
    }
    assert constants.stds == {
        "Age": 1.0,
        "price": pytest.approx(price["std"], abs=1e-6),
        "flat": 1.0,
        "void": 1.0,
    }
    (boundary,) = constants.boundaries["hour"]
    assert 2.0 < boundary <= 8.0
    assert constants.boundaries["gone"] == [0.0, 0.0]


def test_the_constants_survive_json(learned: Learned) -> None:
    text = json.dumps(learned.constants.to_dict())
    assert pp.PreprocessingConstants.from_dict(json.loads(text)) == learned.constants


def test_evaluation_columns(learned: Learned) -> None:
    assert evaluation_slices(FEATURES) == [
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


def test_a_slice_must_not_take_the_name_of_another() -> None:
    features = FeatureSet.model_validate(
        {
            "features": [{"kind": "categorical", "name": "item"}],
            "item": "item",
            "slices": ["popularity"],
        }
    )
    with pytest.raises(ValueError, match="'popularity' would be written as 'slice_popularity'"):
        evaluation_slices(features)


def optional(values: st.SearchStrategy[Any], most: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, max_size=most)


A_NUMBER = st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 1e36])
AN_INTEGER = st.sampled_from([7, -8, 1, -5, 0, 2**40, -(2**63)])
A_STRING = st.sampled_from([b"a", b"b", b"x", b"nl", b"new", b"", b"?", b"two words", *WORDS])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    row=st.fixed_dictionaries(
        {name: optional(AN_INTEGER, 3 if name == "shops" else 1) for name in INTEGERS}
        | {name: optional(A_STRING, 5 if name == "tags" else 1) for name in STRINGS}
        | {name: optional(A_NUMBER) for name in NUMBERS}
    )
)
def test_the_raw_signature_in_tflite_equals_transform(
    learned: Learned, row: dict[str, Any]
) -> None:
    expected = learned.transform({**row, "label": [0.0]})
    for strings in (False, True):
        actual = learned.run_lite(row, strings=strings)
        np.testing.assert_array_equal(actual["ids"], expected["ids"])
        np.testing.assert_allclose(actual["numeric"], expected["numeric"], rtol=1e-6, atol=1e-6)
