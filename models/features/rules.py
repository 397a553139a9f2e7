"""The rules that turn raw features into ids and numbers, the same in Transform and in TFLite.

They use only what both know: `models.features.transform` runs them over a log,
`models.features.raw_signature` inside a TFLite file.
"""

from __future__ import annotations

import tensorflow as tf

from ranklite.models.features.feature_set import (
    CategoricalFeature,
    FeatureSet,
    MultiCategoricalFeature,
    NumericFeature,
)
from ranklite.models.features.layout import PADDING_ROW

IdFeature = CategoricalFeature | MultiCategoricalFeature | NumericFeature


def input_columns(features: FeatureSet) -> list[str]:
    """Columns of the log that Transform reads."""
    names = [f.name for f in features.features] + [features.label, *features.slices]
    return list(dict.fromkeys(names + ([features.user] if features.user else [])))


def id_features(features: FeatureSet) -> list[IdFeature]:
    """Features that become ids, in the order of the layout."""
    found = [f for f in features.features if f.kind != "numeric" or f.buckets is not None]
    return sorted(found, key=lambda feature: id_length(feature) > 1)


def id_length(feature: IdFeature) -> int:
    """Number of id columns of a feature."""
    return feature.max_length if isinstance(feature, MultiCategoricalFeature) else 1


def standardized_features(features: FeatureSet) -> list[NumericFeature]:
    """Numeric features that stay numbers."""
    return [f for f in features.features if f.kind == "numeric" and f.buckets is None]


def numeric_names(features: FeatureSet) -> list[str]:
    """Names of the columns of `numeric`."""
    names = []
    for feature in standardized_features(features):
        names += [feature.name]
        names += [f"{feature.name}_is_missing"] * feature.missing_indicator
    return names


def squash(x: tf.Tensor, feature: NumericFeature) -> tf.Tensor:
    """sign(x) log(1 + |x|) where the feature asks for it; in TFLite it overflows beyond 1e36.

    Where 1 + |x| is 1 in float32 it is 0, as it is in TFLite, which has no log1p.
    """
    if not feature.log:
        return x
    size = tf.where(tf.abs(x) > 2.0**-24, tf.abs(x), tf.zeros_like(x))
    size = tf.where(is_present(x), size, tf.abs(x))
    return tf.sign(x) * tf.math.log1p(size)


def is_present(x: tf.Tensor) -> tf.Tensor:
    """True where x is a finite number.

    TFLite has neither IsNan nor IsFinite, but no comparison with NaN holds. The opposite of this is
    not offered, because TensorFlow's optimizer turns `not a < b` into `a >= b`.
    """
    return tf.abs(x) < float("inf")


def standardize(x: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
    """(x - mean) / std, and 0, the mean, where x is missing."""
    return tf.where(is_present(x), (x - mean) / std, tf.zeros_like(x))


def numeric_columns(
    features: FeatureSet, squashed: list[tf.Tensor], standardized: list[tf.Tensor]
) -> tf.Tensor:
    """The tensor `numeric` [B, N], columns as `numeric_names` gives them.

    Args:
      features: The configured features.
      squashed: [B] of each standardized feature, missing values still in it.
      standardized: [B] of each, after `standardize`.
    """
    columns = []
    for feature, x, z in zip(standardized_features(features), squashed, standardized, strict=True):
        columns.append(z)
        if feature.missing_indicator:
            columns.append(tf.where(is_present(x), tf.zeros_like(x), tf.ones_like(x)))
    return tf.stack(columns, axis=1)


def fill_empty_lists(rows: tf.Tensor, missing_row: tf.Tensor | int) -> tf.Tensor:
    """Puts the missing row into the first place of a list without any value.

    Args:
      rows: [B, L] int64, padding where there is no value.
      missing_row: The row that says so.
    """
    empty = tf.reduce_max(rows, axis=1, keepdims=True) == PADDING_ROW
    first = tf.where(empty, tf.cast(missing_row, tf.int64), rows[:, :1])
    return tf.concat([first, rows[:, 1:]], axis=1)
