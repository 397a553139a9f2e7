"""The inputs of a model and the tables that it looks its ids up in, for any family."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.layers.table_config import Table

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

FLATTEN = "flatten"


class Inputs:
    """Keras inputs over a fused layout, and lookups of their ids.

    A list of the user's own is cut from the inputs and from what is looked up, and goes a way of
    its own until all vectors come together: a file may then read one row of it for many candidates.

    Args:
      layout: Where the features live in the inputs.
      table: How the rows of the tables are stored.
      stddev: Standard deviation of their initial values.

    Attributes:
      numeric: [B, N] float32, the numbers alone; None where the layout has none.
    """

    def __init__(self, layout: FeatureLayout, table: Table, stddev: float) -> None:
        import tensorflow as tf
        import tf_keras as keras

        from ranklite.models.layers.tables import build_lookup

        self._layout = layout
        self._ids = keras.Input((layout.num_ids,), dtype=tf.int32, name=IDS)
        self._numeric = (
            keras.Input((layout.num_numeric,), name=NUMERIC) if layout.num_numeric else None
        )
        self._parts = [p for p in (False, True) if layout.part(of_user=p).fields]
        self.numeric, self._weights = self._numeric, {}
        if layout.num_weights or len(self._parts) > 1:
            last = layout.num_numbers
            self.numeric = _columns(self._numeric, 0, last, f"{NUMERIC}_numbers") if last else None
            for of_user in self._parts:
                first, last = last, last + layout.part(of_user=of_user).num_weights
                if last > first:
                    name = f"{NUMERIC}_weights_of_user" if of_user else f"{NUMERIC}_weights"
                    self._weights[of_user] = _columns(self._numeric, first, last, name)
        self._stored = functools.cache(build_lookup(self._ids, layout, table, stddev))
        first, last = layout.part(of_user=False).num_ids, layout.num_ids
        self._of_user = functools.cache(
            lambda name, dim: _columns(self._stored(name, dim), first, last, f"{name}_of_user")
        )
        if True in self._parts:
            self._ids_of_user = _columns(self._ids, first, last, f"{IDS}_of_user")

    def lookup(self, name: str, dim: int) -> tf.Tensor:
        """Embeddings [B, F, dim] of the fields in the table of a name, lists pooled or encoded."""
        import tf_keras as keras

        from ranklite.models.layers.pooling import Together
        from ranklite.models.layers.sequences import encode

        table = self._stored(name, dim)
        if all(field.length == 1 for field in self._layout.fields):
            return table
        weights = {p: (self._weights[p],) if p in self._weights else () for p in self._parts}
        blocks = encode(self._layout, name, (self._ids, table, *weights[False]), table)
        if True in self._parts:
            given = (self._ids_of_user, self._of_user(name, dim), *weights[True])
            lists = encode(self._layout, name, given, table, of_user=True)
            together = Together(len(blocks), name=f"{name}_together", dtype="float32")
            return together([*blocks, *lists])
        if len(blocks) == 1:
            return blocks[0]
        return keras.layers.Concatenate(axis=1, name=f"{name}_encoded")(blocks)

    def rows(self, name: str, dim: int) -> tf.Tensor:
        """Embeddings [B, S, dim] of all ids in the table of a name, lists event by event.

        Where a file is sent one row of the user's own lists, their events, which come last, are
        left out there.
        """
        return self._stored(name, dim)

    def flat(self, embeddings: tf.Tensor) -> tf.Tensor:
        """[B, F, D] -> [B, F * D]; Reshape is slow in TFLite."""
        import tf_keras as keras

        return keras.layers.Flatten(name=FLATTEN)(embeddings)

    def model(self, logit: tf.Tensor, name: str) -> keras.Model:
        """The model from the inputs to a logit [B, 1]."""
        import tf_keras as keras

        inputs = {IDS: self._ids}
        if self._numeric is not None:
            inputs[NUMERIC] = self._numeric
        return keras.Model(inputs, logit, name=name)


def _columns(tensor: tf.Tensor, first: int, last: int, name: str) -> tf.Tensor:
    from ranklite.models.layers.pooling import Columns

    return Columns(first, last, name=name)(tensor)
