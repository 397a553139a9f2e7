"""The TensorFlow Transform code that makes fused ids and numbers of raw features."""

from __future__ import annotations

import functools
import itertools
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features import vocabulary
from ranklite.models.features.columns import raw_values, scalars, text
from ranklite.models.features.constants import MEAN, VARIANCE, constant_name, moments
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kind import FeatureKind
from ranklite.models.features.layout import IDS, LABEL, NUMERIC, PADDING_ROW, RESERVED_ROWS
from ranklite.models.features.rules import TOGETHER, numeric_together, table_rows
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
Count: TypeAlias = "int | tf.Tensor"
Ranks = dict[str, tuple[tf.Tensor, Count]]


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
    raw = raw_values(inputs, features.raw_columns, constant)
    beside = [features.label, *features.slices, *([features.user] if features.user else [])]
    first = {name: scalars(inputs[name], constant) for name in dict.fromkeys(beside)}
    ids, ranks = _ids(raw, features)
    outputs = {IDS: ids, LABEL: tf.cast(first[features.label], tf.float32)[:, None]}
    numeric = [_numeric(raw, features)] if features.numbers else []
    numeric += [f.weights(_inputs_of(f, raw)) for f in features.id_features if f.pools]
    if numeric:
        outputs[NUMERIC] = tf.concat(numeric, axis=1)
    return outputs | _evaluation_columns(raw, first, features, ranks)


def _ids(raw: Tensors, features: FeatureSet) -> tuple[tf.Tensor, Ranks]:
    """The fused ids [B, S]; the rank of the user and of the item and its vocabulary's size."""
    found, sizes = _found(raw, features)
    blocks: list[tf.Tensor] = []
    ranks: Ranks = {}
    offset: Count = PADDING_ROW + 1  # a number for as long as all sizes are
    offsets: dict[str, Count] = {}
    for feature in features.id_features:
        if not feature.row_owner:
            offsets[feature.name] = offset
            if feature.name in sizes:
                size = sizes[feature.name]
            else:
                keep = functools.partial(_keep, feature.name)
                rows, size = feature.learn_ids(_inputs_of(feature, raw), keep)
                found[feature.name] = tf.cast(rows, tf.int64)
            if feature.name in (features.user, features.item):
                rows = tf.reshape(found[feature.name], [-1])
                ranks[feature.name] = (rows - RESERVED_ROWS, size)
            offset += (size if isinstance(size, int) else tf.cast(size, tf.int64)) + RESERVED_ROWS
    # Single values that stand side by side are put into their places together.
    for is_single, some in itertools.groupby(features.id_features, lambda f: f.is_single_valued):
        chosen = list(some)
        firsts = [offsets[feature.row_owner or feature.name] for feature in chosen]
        made = [tf.reshape(found[f.name], [-1, f.id_length]) for f in chosen]
        if is_single:
            is_known = all(isinstance(first, int) for first in firsts)
            together = tf.constant(firsts, tf.int64) if is_known else tf.stack(firsts)
            blocks.append(tf.concat(made, axis=1) + together)
        else:
            blocks += [
                table_rows(rows, first, f.id_length, True, not (f.row_owner and f.pools))
                for rows, first, f in zip(made, firsts, chosen, strict=True)
            ]
    return tf.concat(blocks, axis=1), ranks


def _found(raw: Tensors, features: FeatureSet) -> tuple[Tensors, dict[str, Count]]:
    """Rows [B, id_length] of all values with a vocabulary, by feature, and sizes by its owner.

    All are made of one analyzer and few operations: each costs a stage in Beam, and some tenth of a
    second in traces and loads of the graph.
    """
    owners = vocabulary_owners(features.id_features)
    words = {f.name: _words(f, raw) for f in features.id_features if f in owners or f.row_owner}
    paths = vocabulary.learn({f.vocabulary: words[f.name] for f in owners})
    # Those that share a vocabulary are looked up with it, in one table, which may be large.
    users = {owner.name: [owner.name] for owner in owners}
    for feature in features.id_features:
        if feature.row_owner:
            users[feature.row_owner].append(feature.name)
    names = [name for some in users.values() for name in some]
    if not names:
        return {}, {}
    given = [tf.concat([words[name] for name in some], axis=1) for some in users.values()]
    where = [paths[owner.name] for owner in owners]
    if len(owners) >= TOGETHER:
        ranks, counts = vocabulary.look_up_together(given, where)
    else:
        pairs = [vocabulary.look_up(*each) for each in zip(given, where, strict=True)]
        ranks, counts = [rank for rank, _ in pairs], [count for _, count in pairs]
    sizes = dict(zip(users, counts, strict=True))
    together = tf.concat([words[name] for name in names], axis=1)
    rows = vocabulary.rows(together, tf.concat(ranks, axis=1))
    lengths = [words[name].shape[1] for name in names]
    return dict(zip(names, tf.split(rows, lengths, axis=1), strict=True)), sizes


def _words(feature: FeatureKind, raw: Tensors) -> tf.Tensor:
    """The values [B, id_length] of a feature as strings."""
    return tf.reshape(text(raw[feature.raw_columns()[0].name]), [-1, feature.id_length])


def _numeric(raw: Tensors, features: FeatureSet) -> tf.Tensor:
    """The tensor `numeric`; one analyzer serves all columns, since each costs a Beam stage."""
    numbers, precise = features.numbers, _precise(raw)
    made = [f.to_numbers(_inputs_of(f, precise)) for f in features.features if f.numbers]
    x = tf.stack([tf.cast(each, tf.float64) for some in made for each in some], axis=1)
    x = tf.cast(x, tf.float32)
    wanted = [k for k, number in enumerate(numbers) if number.standardized]
    names = [numbers[k].name for k in wanted]
    if not wanted:
        return numeric_together(numbers, x, x[:0, 0], x[:0, 0])
    chosen = x if len(wanted) == len(numbers) else tf.gather(x, wanted, axis=1)
    return numeric_together(numbers, x, *_moments(chosen, names))


def _precise(raw: Tensors) -> Tensors:
    """The columns in float64: the last digit in float32 depends on how the processor was fed."""
    floats = [name for name, x in raw.items() if x.dtype == tf.float32]
    single = [name for name in floats if raw[name].shape.rank == 1]
    precise = {name: tf.cast(raw[name], tf.float64) for name in floats if name not in single}
    if single:
        together = tf.cast(tf.stack([raw[name] for name in single], axis=1), tf.float64)
        precise |= dict(zip(single, tf.unstack(together, len(single), axis=1), strict=True))
    return raw | precise


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
