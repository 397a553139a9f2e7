"""How the rows of an embedding table are stored: whole, hashed, composed, factorized or pruned.

The ids that a model reads are those of its FeatureLayout whatever its table; the table decides how
many rows and columns it keeps for them. The reserved rows (padding, and each field's
out-of-vocabulary and missing row) keep stored rows of their own: they are few, and speak for many
values. Stored rows are computed from the ids wherever there is a rule, since arithmetic costs no
bytes in an exported file; only a choice without one needs a map, of 2 or 4 bytes an id.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.per_channel import PerChannelDense
from ranklite.models.layers.table_config import (
    EMBEDDING,
    ByFrequencyTable,
    HashedTable,
    LowRankTable,
    PrunedTable,
    QuotientRemainderTable,
    Table,
    TruncatedTable,
)
from ranklite.models.layers.table_rows import (
    ROWS,
    ByFrequencyRows,
    HashedRows,
    MappedRows,
    QuotientRemainderRows,
    TruncatedRows,
)
from ranklite.models.layers.table_sizes import reserved_rows, share_of, values_of

Lookup = Callable[[str, int], tf.Tensor]


@keras.utils.register_keras_serializable("ranklite")
class Composition(keras.layers.Layer):
    """Element-wise  Q * (1 + R)  of two lookups [B, S, D]: R holds what differs from one.

    So a penalty on looked-up rows pulls a remainder to the neutral factor 1 and not to 0, and its
    int8 steps are as small as its spread.
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        quotient, remainder = inputs
        return quotient * (1 + remainder)

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())  # Keras refuses to save a layer that has none of its own


@keras.utils.register_keras_serializable("ranklite")
class MixedDimensions(keras.layers.Layer):
    """Projected rows [B, S, D] where `tail` [B, S] is not 0, and the whole ones elsewhere."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        tail, whole, projected = inputs
        return tf.where(tail[:, :, None] > 0, projected, whole)

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())


# tfmot names a wrapped layer by its class alone, without the package it is registered in.
WRAPPED_LAYERS = {
    layer.__name__: layer for layer in (Composition, MixedDimensions, PerChannelDense)
}


def build_lookup(ids: tf.Tensor, layout: FeatureLayout, table: Table, stddev: float) -> Lookup:
    """The lookup that a model's tables are made with.

    Every stored matrix is a Keras Embedding, so that its gradient stays sparse and its rows become
    int8 like those of a whole table.

    Args:
      ids: [B, S] int32.
      layout: Of the ids.
      table: How rows are stored.
      stddev: Standard deviation of the initial values.

    Returns:
      From the name of a table and its number of columns D to embeddings [B, S, D]; the layer that
      gives them has the name, what it is made of has names that begin with it. A table of one
      column is whole where the kind saves columns.
    """

    def gather(rows: tf.Tensor, name: str, count: int, dim: int) -> tf.Tensor:
        return keras.layers.Embedding(
            count,
            dim,
            embeddings_initializer=keras.initializers.RandomNormal(0.0, stddev),
            name=name,
        )(rows)

    def project(values: tf.Tensor, name: str, dim: int) -> tf.Tensor:
        # The product of a row N(0, stddev) with r such columns keeps its standard deviation.
        scale = 1 / math.sqrt(values.shape[-1])
        return keras.layers.Dense(
            dim,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(0.0, scale),
            name=name,
        )(values)

    def whole(name: str, dim: int) -> tf.Tensor:
        return gather(ids, name, layout.table_rows, dim)

    reserved, values = reserved_rows(layout), sum(values_of(layout))
    if isinstance(table, HashedTable | TruncatedTable | PrunedTable):
        if isinstance(table, HashedTable):
            stored, count = HashedRows(layout, table.rows, name=ROWS)(ids), reserved + table.rows
        elif isinstance(table, TruncatedTable):
            stored = TruncatedRows(layout, table.values, name=ROWS)(ids)
            count = reserved + sum(table.values)
        else:
            stored, count = MappedRows(layout.table_rows, table.rows, name=ROWS)(ids), table.rows
        return lambda name, dim: gather(stored, name, count, dim)

    if isinstance(table, QuotientRemainderTable):
        quotient, remainder = QuotientRemainderRows(layout, table.buckets, name=ROWS)(ids)
        quotients = reserved + math.ceil(values / table.buckets)
        return lambda name, dim: Composition(name=name)(
            (
                gather(quotient, f"{name}_quotient", quotients, dim),
                gather(remainder, f"{name}_remainder", 1 + table.buckets, dim),
            )
        )

    if isinstance(table, LowRankTable):

        def low_rank(name: str, dim: int) -> tf.Tensor:
            if dim <= table.rank:
                return whole(name, dim)
            return project(gather(ids, f"{name}_factor", layout.table_rows, table.rank), name, dim)

        return low_rank

    if isinstance(table, ByFrequencyTable):
        heads = [share_of(table.head, n) for n in values_of(layout)]
        head, tail = ByFrequencyRows(layout, heads, name=ROWS)(ids)

        def by_frequency(name: str, dim: int) -> tf.Tensor:
            if dim <= table.tail_dim:
                return whole(name, dim)
            rare = gather(tail, f"{name}_tail", 1 + values - sum(heads), table.tail_dim)
            return MixedDimensions(name=name)(
                (
                    tail,
                    gather(head, f"{name}_head", reserved + sum(heads), dim),
                    project(rare, f"{name}_projection", dim),
                )
            )

        return by_frequency

    return whole


def table_layers(model: keras.Model) -> dict[str, bool]:
    """Names of the layers that give a model's embeddings, with whether the layer has a kernel.

    Each of them gives numbers that become int8: what is stored, its projection, the result.
    """
    parts = (keras.layers.Embedding, Composition, MixedDimensions)
    return {
        layer.name: projects
        for layer in model.layers
        if (projects := _is_projection(layer)) or isinstance(layer, parts)
    }


def _is_projection(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Dense) and layer.name.startswith(EMBEDDING)
