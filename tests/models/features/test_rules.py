"""The rules that Transform and the TFLite file share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.features import rules
from ranklite.models.features.feature_set import FeatureSet, NumericFeature

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
    names = [(feature.name, rules.id_length(feature)) for feature in rules.id_features(FEATURES)]
    assert names == [("item", 1), ("hour", 1), ("tags", 3)]
    assert rules.numeric_names(FEATURES) == ["age", "age_is_missing", "price"]
    assert rules.input_columns(FEATURES) == [
        *("tags", "age", "item", "hour", "price"),
        *("label", "country", "visitor"),
    ]


def test_squash() -> None:
    x = tf.constant([0.0, math.e - 1, 1 - math.e])
    squashed = rules.squash(x, NumericFeature(kind="numeric", name="x", log=True))
    np.testing.assert_allclose(squashed, [0.0, 1.0, -1.0], atol=1e-6)
    same = rules.squash(x, NumericFeature(kind="numeric", name="x"))
    np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize("optimized", [False, True])
def test_missing_numbers_are_the_mean(optimized: bool) -> None:
    function = tf.function(rules.standardize) if optimized else rules.standardize
    x = tf.constant([1.0, NAN, math.inf, -math.inf, 3e38])
    z = function(x, tf.constant(3.0), tf.constant(2.0))
    np.testing.assert_allclose(z, [-1.0, 0.0, 0.0, 0.0, 1.5e38])


def test_numeric_columns() -> None:
    age, price = tf.constant([1.0, NAN]), tf.constant([NAN, 4.0])
    columns = rules.numeric_columns(
        FEATURES, [age, price], [tf.constant([0.5, 0.0]), tf.constant([0.0, 2.0])]
    )
    np.testing.assert_array_equal(columns, [[0.5, 0.0, 0.0], [0.0, 1.0, 2.0]])


def test_empty_lists_hold_the_missing_row() -> None:
    rows = tf.constant([[9, 0, 0], [0, 0, 0], [0, 8, 0]], tf.int64)
    filled = rules.fill_empty_lists(rows, 5)
    assert filled.numpy().tolist() == [[9, 0, 0], [5, 0, 0], [0, 8, 0]]
