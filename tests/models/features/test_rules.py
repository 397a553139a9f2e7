"""The rules that Transform and the TFLite file share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.features import rules
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kinds.numeric import NumericFeature

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "multi_categorical", "name": "tags", "max_length": 3},
            {"kind": "numeric", "name": "age", "missing_indicator": True},
            {"kind": "categorical", "name": "item"},
            {"kind": "numeric", "name": "hour", "buckets": 4},
            {"kind": "numeric", "name": "price"},
        ],
        "user": "visitor",
        "item": "item",
        "slices": ["country", "item"],
    }
)
NAN = math.nan


def test_which_feature_becomes_what() -> None:
    names = [(feature.name, feature.id_length) for feature in FEATURES.id_features]
    assert names == [("item", 1), ("hour", 1), ("tags", 3)]
    assert FEATURES.numeric_names == ["age", "age_is_missing", "price"]
    assert FEATURES.input_columns == [
        *("tags", "age", "item", "hour", "price"),
        *("label", "country", "visitor"),
    ]


def test_squash() -> None:
    x = tf.constant([0.0, math.e - 1, 1 - math.e])
    (squashed,) = NumericFeature(kind="numeric", name="x", log=True).to_numbers({"x": x})
    np.testing.assert_allclose(squashed, [0.0, 1.0, -1.0], atol=1e-6)
    (same,) = NumericFeature(kind="numeric", name="x").to_numbers({"x": x})
    np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize("optimized", [False, True])
def test_missing_numbers_are_the_mean(optimized: bool) -> None:
    function = tf.function(rules.standardize) if optimized else rules.standardize
    x = tf.constant([1.0, NAN, math.inf, -math.inf, 3e38])
    z = function(x, tf.constant(3.0), tf.constant(2.0))
    np.testing.assert_allclose(z, [-1.0, 0.0, 0.0, 0.0, rules.LARGEST])


def test_numeric_columns() -> None:
    age, price = tf.constant([1.0, NAN]), tf.constant([NAN, 4.0])
    columns = rules.numeric_columns(
        FEATURES.numbers, [age, price], [tf.constant([0.5, 0.0]), tf.constant([0.0, 2.0])]
    )
    np.testing.assert_array_equal(columns, [[0.5, 0.0, 0.0], [0.0, 1.0, 2.0]])


def test_empty_lists_hold_the_missing_row() -> None:
    rows = tf.constant([[9, 0, 0], [0, 0, 0], [0, 8, 0]], tf.int64)
    filled = rules.fill_empty_lists(rows, 5)
    assert filled.numpy().tolist() == [[9, 0, 0], [5, 0, 0], [0, 8, 0]]


def test_rows_of_the_table() -> None:
    single = rules.table_rows(tf.constant([0, 1, 5], tf.int64), 10, 1, is_list=False)
    assert single.numpy().tolist() == [[10], [11], [15]]
    lists = tf.constant([[2, 1, 0], [1, 1, 1]], tf.int64)
    assert rules.table_rows(lists, 10, 3, is_list=True).numpy().tolist() == [
        [12, 0, 10],
        [11, 0, 0],
    ]
