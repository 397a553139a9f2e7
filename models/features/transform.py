"""The TensorFlow Transform code that makes fused ids and numbers of raw features."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.columns import lists, scalars, text
from ranklite.models.features.constants import (
    GROUP,
    SLICE,
    SLICE_ITEM,
    SLICE_POPULARITY,
    SLICE_USER,
    constant_name,
    evaluation_slices,
    moments,
)
from ranklite.models.features.feature_set import FeatureSet, MultiCategoricalFeature, NumericFeature
from ranklite.models.features.layout import (
    IDS,
    LABEL,
    MISSING,
    MISSING_STRING,
    NUMERIC,
    OOV,
    PADDING_ROW,
    RESERVED_ROWS,
)
from ranklite.models.features.rules import (
    IdFeature,
    fill_empty_lists,
    id_features,
    id_length,
    input_columns,
    is_present,
    numeric_columns,
    squash,
    standardize,
    standardized_features,
)

HEAD, TORSO = 0.1, 0.5  # shares of the item vocabulary, by rank, that end the head and the torso
_QUANTILE_ERROR = 0.001

Tensors = dict[str, tf.Tensor]
Ranks = dict[str, tuple[tf.Tensor, tf.Tensor]]


def preprocessing_fn(inputs: dict[str, Any], features: FeatureSet) -> Tensors:
    """Transforms raw features; analyzers see the train split alone.

    Args:
      inputs: Columns by name, sparse, ragged or dense.
      features: What to make of them.

    Returns:
      `ids` [B, S] int64, `numeric` [B, N] float32 (where N > 0), `label` [B, 1] float32, `group`
      and the columns of `evaluation_slices`, all [B, 1] string.

    Raises:
      KeyError: A configured column is not among the inputs.
    """
    absent = sorted(set(input_columns(features)) - set(inputs))
    if absent:
        raise KeyError(f"the examples have no column {absent}; they have {sorted(inputs)}")
    ids, ranks = _ids(inputs, features)
    outputs = {IDS: ids, LABEL: tf.cast(scalars(inputs[features.label]), tf.float32)[:, None]}
    if standardized_features(features):
        outputs[NUMERIC] = _numeric(inputs, features)
    return outputs | _evaluation_columns(inputs, features, ranks)


def _ids(inputs: dict[str, Any], features: FeatureSet) -> tuple[tf.Tensor, Ranks]:
    """The fused ids [B, S]; the rank of each categorical value and its vocabulary's size."""
    blocks, ranks = [], {}
    offset = tf.constant(PADDING_ROW + 1, tf.int64)
    for feature in id_features(features):
        values = lists(inputs[feature.name], id_length(feature))
        if isinstance(feature, NumericFeature):
            rows, size = _buckets(values, feature), tf.constant(feature.buckets, tf.int64)
        else:
            words = text(values)
            rank, size = _vocabulary(words, feature)
            rows = tf.where(rank < 0, tf.constant(OOV, tf.int64), rank + RESERVED_ROWS)
            rows = tf.where(words == MISSING_STRING, tf.constant(MISSING, tf.int64), rows)
            ranks[feature.name] = (rank[:, 0], size)
        rows += offset
        if isinstance(feature, MultiCategoricalFeature):
            missing = offset + MISSING
            rows = tf.where(rows == missing, tf.constant(PADDING_ROW, tf.int64), rows)
            rows = fill_empty_lists(rows, missing)
        blocks.append(rows)
        offset += size + RESERVED_ROWS
    return tf.concat(blocks, axis=1), ranks


def _vocabulary(words: tf.Tensor, feature: IdFeature) -> tuple[tf.Tensor, tf.Tensor]:
    """Rank in the vocabulary [like words], -1 where out of it, and the vocabulary's size."""
    assert not isinstance(feature, NumericFeature)
    path = tft.vocabulary(
        words,
        vocab_filename=feature.name,
        frequency_threshold=feature.min_count if feature.min_count > 1 else None,
        top_k=feature.max_vocabulary,
    )
    rank = tft.apply_vocabulary(words, path, default_value=-1)
    size = tft.experimental.get_vocabulary_size_by_name(feature.name)
    return rank, tf.cast(size, tf.int64)


def _buckets(values: tf.Tensor, feature: NumericFeature) -> tf.Tensor:
    """Row within the field of each number; the boundaries are quantiles."""
    x = _squash(values, feature)
    boundaries = tft.quantiles(
        tf.boolean_mask(x, is_present(x)), feature.buckets, epsilon=_QUANTILE_ERROR
    )
    boundaries = _constant(boundaries, "boundaries", feature.name)
    bucket = tf.searchsorted(tf.reshape(boundaries, [-1]), tf.reshape(x, [-1]), side="right")
    rows = tf.reshape(tf.cast(bucket, tf.int64), tf.shape(x)) + RESERVED_ROWS
    return tf.where(is_present(x), rows, tf.constant(MISSING, tf.int64))


def _squash(values: tf.Tensor, feature: NumericFeature) -> tf.Tensor:
    """`squash` in float64: its last digit in float32 depends on how the processor was fed."""
    return tf.cast(squash(tf.cast(values, tf.float64), feature), tf.float32)


def _numeric(inputs: dict[str, Any], features: FeatureSet) -> tf.Tensor:
    """The tensor `numeric`; one analyzer serves all columns, since each costs a Beam stage."""
    wanted = standardized_features(features)
    squashed = [_squash(scalars(inputs[feature.name]), feature) for feature in wanted]
    # Float64, since squares of large numbers do not fit into a float32; NaN does not count.
    table = tf.cast(tf.stack(squashed, axis=1), tf.float64)
    names = [feature.name for feature in wanted]
    mean = _constant(tft.mean(table, reduce_instance_dims=False), "mean", *names)
    variance = _constant(tft.var(table, reduce_instance_dims=False), "variance", *names)
    # TFT drops the dimension of a single column.
    means, stds = moments(tf.reshape(mean, [len(names)]), tf.reshape(variance, [len(names)]))
    standardized = [standardize(x, means[k], stds[k]) for k, x in enumerate(squashed)]
    return numeric_columns(features, squashed, standardized)


def _constant(tensor: tf.Tensor, kind: str, *names: str) -> tf.Tensor:
    """Names an analyzer's output, so that `read_constants` finds it in the saved graph."""
    return tf.identity(tensor, name=constant_name(kind, *names))


def _evaluation_columns(inputs: dict[str, Any], features: FeatureSet, ranks: Ranks) -> Tensors:
    columns = {}
    if features.user:
        columns[GROUP] = text(scalars(inputs[features.user]))
    made = evaluation_slices(features)
    if features.user and SLICE_USER in made:
        rank, _ = ranks[features.user]
        columns[SLICE_USER] = tf.where(rank < 0, "new", "seen")
    if features.item and SLICE_ITEM in made:
        rank, size = ranks[features.item]
        columns[SLICE_ITEM] = tf.where(rank < 0, "new", "seen")
        share = (tf.cast(rank, tf.float32) + 0.5) / tf.cast(size, tf.float32)
        known = tf.where(share < HEAD, "head", tf.where(share < TORSO, "torso", "tail"))
        columns[SLICE_POPULARITY] = tf.where(rank < 0, "new", known)
    for name in features.slices:
        columns[SLICE + name] = text(scalars(inputs[name]))
    return {name: tf.reshape(column, [-1, 1]) for name, column in columns.items()}
