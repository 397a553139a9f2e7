"""The TensorFlow Transform code that makes fused ids and numbers of raw features."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.columns import lists, scalars, text
from ranklite.models.features.constants import MEAN, VARIANCE, constant_name, moments
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kind import FeatureKind
from ranklite.models.features.layout import IDS, LABEL, NUMERIC, PADDING_ROW, RESERVED_ROWS
from ranklite.models.features.rules import (
    numeric_columns,
    present_or_zero,
    standardize,
    table_rows,
)
from ranklite.models.features.slices import (
    GROUP,
    HEAD,
    HISTORY_LENGTHS,
    SLICE,
    SLICE_HISTORY,
    SLICE_ITEM,
    SLICE_POPULARITY,
    SLICE_USER,
    TORSO,
    evaluation_slices,
)
from ranklite.models.features.vocabulary_feature import VocabularyFeature

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
    absent = sorted(set(features.input_columns) - set(inputs))
    if absent:
        raise KeyError(f"the examples have no column {absent}; they have {sorted(inputs)}")
    raw = {
        column.name: scalars(inputs[column.name])
        if column.length is None
        else lists(inputs[column.name], column.length)
        for column in features.raw_columns
    }
    ids, ranks = _ids(raw, features)
    outputs = {IDS: ids, LABEL: tf.cast(scalars(inputs[features.label]), tf.float32)[:, None]}
    numeric = [_numeric(raw, features)] if features.numbers else []
    numeric += [f.weights(_inputs_of(f, raw)) for f in features.id_features if f.pools]
    if numeric:
        outputs[NUMERIC] = tf.concat(numeric, axis=1)
    return outputs | _evaluation_columns(inputs, raw, features, ranks)


def _ids(raw: Tensors, features: FeatureSet) -> tuple[tf.Tensor, Ranks]:
    """The fused ids [B, S]; the rank of each categorical value and its vocabulary's size."""
    blocks, ranks = [], {}
    offset = tf.constant(PADDING_ROW + 1, tf.int64)
    offsets: dict[str, tf.Tensor] = {}
    shared: dict[str, tf.Tensor] = {}  # rows of features that have none of their own
    for feature in features.id_features:
        if feature.row_owner:
            rows, first = shared[feature.name], offsets[feature.row_owner]
            blocks.append(table_rows(rows, first, feature.id_length, True, not feature.pools))
            continue
        offsets[feature.name] = offset
        sharing = [f for f in features.id_features if f.row_owner == feature.name]
        if sharing:
            assert isinstance(feature, VocabularyFeature)
            lists = [raw[f.raw_columns()[0].name] for f in sharing]
            rows, values, others = feature.learn_shared_ids(_inputs_of(feature, raw), lists)
            shared |= {f.name: other for f, other in zip(sharing, others, strict=True)}
        else:
            keep = functools.partial(_keep, feature.name)
            rows, values = feature.learn_ids(_inputs_of(feature, raw), keep)
        size = tf.cast(values, tf.int64)
        if feature.is_categorical:
            ranks[feature.name] = (tf.reshape(rows, [-1]) - RESERVED_ROWS, size)
        blocks.append(table_rows(rows, offset, feature.id_length, not feature.is_single_valued))
        offset += size + RESERVED_ROWS
    return tf.concat(blocks, axis=1), ranks


def _numeric(raw: Tensors, features: FeatureSet) -> tf.Tensor:
    """The tensor `numeric`; one analyzer serves all columns, since each costs a Beam stage."""
    numbers = features.numbers
    values: list[tf.Tensor] = []
    for feature in features.features:
        if feature.numbers:
            # In float64: the last digit in float32 depends on how the processor was fed.
            precise = {
                name: tf.cast(x, tf.float64) if x.dtype == tf.float32 else x
                for name, x in _inputs_of(feature, raw).items()
            }
            values += [tf.cast(x, tf.float32) for x in feature.to_numbers(precise)]
    wanted = [k for k, number in enumerate(numbers) if number.standardized]
    names = [numbers[k].name for k in wanted]
    made = {k: present_or_zero(x) for k, x in enumerate(values) if k not in wanted}
    if wanted:
        # Float64, since squares of large numbers do not fit into a float32; NaN does not count.
        table = tf.cast(tf.stack([values[k] for k in wanted], axis=1), tf.float64)
        mean = _constant(tft.mean(table, reduce_instance_dims=False), MEAN, *names)
        variance = _constant(tft.var(table, reduce_instance_dims=False), VARIANCE, *names)
        # TFT drops the dimension of a single column.
        means, stds = moments(tf.reshape(mean, [len(names)]), tf.reshape(variance, [len(names)]))
        for place, k in enumerate(wanted):
            made[k] = standardize(values[k], means[place], stds[place])
    return numeric_columns(numbers, values, [made[k] for k in range(len(numbers))])


def _inputs_of(feature: FeatureKind, raw: Tensors) -> Tensors:
    return {column.name: raw[column.name] for column in feature.raw_columns()}


def _keep(name: str, what: str, tensor: tf.Tensor) -> tf.Tensor:
    return _constant(tensor, what, name)


def _constant(tensor: tf.Tensor, what: str, *names: str) -> tf.Tensor:
    """Names an analyzer's output, so that `Learned` finds it in the saved graph."""
    return tf.identity(tensor, name=constant_name(what, *names))


def _evaluation_columns(
    inputs: dict[str, Any], raw: Tensors, features: FeatureSet, ranks: Ranks
) -> Tensors:
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
    if features.history:
        listed = features.history.raw_columns()[0]
        present = raw[listed.name] != tf.constant(listed.missing, raw[listed.name].dtype)
        columns[SLICE_HISTORY] = _length(tf.reduce_sum(tf.cast(present, tf.int32), axis=1))
    for name in features.slices:
        columns[SLICE + name] = text(scalars(inputs[name]))
    return {name: tf.reshape(column, [-1, 1]) for name, column in columns.items()}


def _length(count: tf.Tensor) -> tf.Tensor:
    """Names of numbers of events."""
    name = tf.fill(tf.shape(count), HISTORY_LENGTHS[-1][1])
    for least, longer in reversed(HISTORY_LENGTHS[:-1]):
        name = tf.where(count >= least, longer, name)
    return name
