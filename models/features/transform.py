"""The TensorFlow Transform code that makes fused ids and numbers of raw features."""

from __future__ import annotations

import collections
import functools
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features import vocabulary
from ranklite.models.features.columns import (
    Constant,
    lists,
    scalars,
    scalars_together,
    text,
)
from ranklite.models.features.constants import MEAN, VARIANCE, constant_name, moments
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kind import FeatureKind
from ranklite.models.features.layout import IDS, LABEL, NUMERIC, PADDING_ROW, RESERVED_ROWS
from ranklite.models.features.rules import (
    TOGETHER,
    numeric_columns,
    numeric_together,
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
from ranklite.models.features.vocabulary_feature import vocabulary_owners

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
    constant = functools.cache(tf.constant)
    raw = _raw(inputs, features, constant)
    beside = [features.label, *features.slices, *([features.user] if features.user else [])]
    first = {name: scalars(inputs[name], constant) for name in dict.fromkeys(beside)}
    ids, ranks = _ids(raw, features)
    outputs = {IDS: ids, LABEL: tf.cast(first[features.label], tf.float32)[:, None]}
    numeric = [_numeric(raw, features)] if features.numbers else []
    numeric += [f.weights(_inputs_of(f, raw)) for f in features.id_features if f.pools]
    if numeric:
        outputs[NUMERIC] = tf.concat(numeric, axis=1)
    return outputs | _evaluation_columns(raw, first, features, ranks)


def _raw(inputs: dict[str, Any], features: FeatureSet, constant: Constant) -> Tensors:
    """The raw columns, [B], or [B, length] of a list, missing values in their places."""
    together: dict[tf.DType, list[str]] = collections.defaultdict(list)
    for column in features.raw_columns:
        if column.length is None and isinstance(inputs[column.name], tf.SparseTensor):
            together[inputs[column.name].dtype].append(column.name)
    found: Tensors = {}
    for names in together.values():
        if len(names) >= TOGETHER:
            dense = scalars_together([inputs[name] for name in names])
            found |= dict(zip(names, tf.unstack(dense, len(names), axis=1), strict=True))
    return {
        column.name: found[column.name]
        if column.name in found
        else scalars(inputs[column.name], constant)
        if column.length is None
        else lists(inputs[column.name], column.length, constant)
        for column in features.raw_columns
    }


def _ids(raw: Tensors, features: FeatureSet) -> tuple[tf.Tensor, Ranks]:
    """The fused ids [B, S]; the rank of the user and of the item and its vocabulary's size."""
    found, sizes = _found(raw, features)
    blocks, ranks = [], {}
    offset = tf.constant(PADDING_ROW + 1, tf.int64)
    offsets: dict[str, tf.Tensor] = {}
    for feature in features.id_features:
        if feature.row_owner:
            rows, first = found[feature.name], offsets[feature.row_owner]
            blocks.append(table_rows(rows, first, feature.id_length, True, not feature.pools))
            continue
        offsets[feature.name] = offset
        if feature.name in found:
            rows, size = found[feature.name], sizes[feature.name]
        else:
            keep = functools.partial(_keep, feature.name)
            rows, values = feature.learn_ids(_inputs_of(feature, raw), keep)
            rows = tf.cast(rows, tf.int64)
            size = tf.cast(values, tf.int64)
        if feature.name in (features.user, features.item):
            ranks[feature.name] = (tf.reshape(rows, [-1]) - RESERVED_ROWS, size)
        blocks.append(table_rows(rows, offset, feature.id_length, not feature.is_single_valued))
        offset += size + RESERVED_ROWS
    return tf.concat(blocks, axis=1), ranks


def _found(raw: Tensors, features: FeatureSet) -> tuple[Tensors, Tensors]:
    """Rows [B, id_length] of all values with a vocabulary, by feature, and sizes by its owner.

    All are made of one analyzer and few operations: each costs a stage in Beam, and some tenth of a
    second in traces and loads of the graph.
    """
    owners = vocabulary_owners(features.id_features)
    words = {f.name: _words(f, raw) for f in features.id_features if f in owners or f.row_owner}
    paths = vocabulary.learn({f.vocabulary: words[f.name] for f in owners})
    names: list[str] = []
    ranks: list[tf.Tensor] = []
    sizes: Tensors = {}
    for owner in owners:
        # Those that share it are looked up with it, in one table, which may be large.
        users = [f.name for f in features.id_features if owner.name in (f.name, f.row_owner)]
        together = tf.concat([words[name] for name in users], axis=1)
        rank, sizes[owner.name] = vocabulary.look_up(together, paths[owner.name])
        names += users
        ranks.append(rank)
    if not names:
        return {}, {}
    together = tf.concat([words[name] for name in names], axis=1)
    rows = vocabulary.rows(together, tf.concat(ranks, axis=1))
    lengths = [words[name].shape[1] for name in names]
    return dict(zip(names, tf.split(rows, lengths, axis=1), strict=True)), sizes


def _words(feature: FeatureKind, raw: Tensors) -> tf.Tensor:
    """The values [B, id_length] of a feature as strings."""
    return tf.reshape(text(raw[feature.raw_columns()[0].name]), [-1, feature.id_length])


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
    if len(values) >= TOGETHER:
        x = tf.stack(values, axis=1)
        if not wanted:
            return numeric_together(numbers, x, x[:0, 0], x[:0, 0])
        chosen = x if len(wanted) == len(values) else tf.gather(x, wanted, axis=1)
        return numeric_together(numbers, x, *_moments(chosen, names))
    made = {k: present_or_zero(x) for k, x in enumerate(values) if k not in wanted}
    if wanted:
        numbers_wanted = tf.stack([values[k] for k in wanted], axis=1)
        columns = tf.unstack(standardize(numbers_wanted, *_moments(numbers_wanted, names)), axis=1)
        made |= dict(zip(wanted, columns, strict=True))
    return numeric_columns(numbers, values, [made[k] for k in range(len(numbers))])


def _moments(values: tf.Tensor, names: list[str]) -> tuple[tf.Tensor, tf.Tensor]:
    """Means and standard deviations of the columns of [B, K]."""
    # Float64, since squares of large numbers do not fit into a float32; NaN does not count.
    table = tf.cast(values, tf.float64)
    mean = _constant(tft.mean(table, reduce_instance_dims=False), MEAN, *names)
    variance = _constant(tft.var(table, reduce_instance_dims=False), VARIANCE, *names)
    # TFT drops the dimension of a single column.
    return moments(tf.reshape(mean, [len(names)]), tf.reshape(variance, [len(names)]))


def _inputs_of(feature: FeatureKind, raw: Tensors) -> Tensors:
    return {column.name: raw[column.name] for column in feature.raw_columns()}


def _keep(name: str, what: str, tensor: tf.Tensor) -> tf.Tensor:
    return _constant(tensor, what, name)


def _constant(tensor: tf.Tensor, what: str, *names: str) -> tf.Tensor:
    """Names an analyzer's output, so that `Learned` finds it in the saved graph."""
    return tf.identity(tensor, name=constant_name(what, *names))


def _evaluation_columns(
    raw: Tensors, first: Tensors, features: FeatureSet, ranks: Ranks
) -> Tensors:
    columns = {}
    if features.user:
        columns[GROUP] = text(first[features.user])
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
        columns[SLICE + name] = text(first[name])
    return {name: tf.reshape(column, [-1, 1]) for name, column in columns.items()}


def _length(count: tf.Tensor) -> tf.Tensor:
    """Names of numbers of events."""
    name = tf.fill(tf.shape(count), HISTORY_LENGTHS[-1][1])
    for least, longer in reversed(HISTORY_LENGTHS[:-1]):
        name = tf.where(count >= least, longer, name)
    return name
