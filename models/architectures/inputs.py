"""The inputs of a model and the tables that it looks its ids up in, for any family."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.layers.table_config import EMBEDDING, Table

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

FLATTEN = "flatten"


class Inputs:
    """Keras inputs over a fused layout, and lookups of their ids.

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
        self._ids = keras.Input((layout.num_ids,), dtype=tf.int64, name=IDS)
        self._numeric = (
            keras.Input((layout.num_numeric,), name=NUMERIC) if layout.num_numeric else None
        )
        self.numeric, self._weights = self._numeric, None
        if layout.num_weights:
            from ranklite.models.layers.pooling import NumericColumns

            first, last = layout.num_numbers, layout.num_numeric
            self._weights = NumericColumns(first, last, name=f"{NUMERIC}_weights")(self._numeric)
            self.numeric = (
                NumericColumns(0, first, name=f"{NUMERIC}_numbers")(self._numeric)
                if first
                else None
            )
        self._stored = functools.cache(build_lookup(self._ids, layout, table, stddev))

    def lookup(self, name: str, dim: int) -> tf.Tensor:
        """Embeddings [B, F, dim] of the fields in the table of a name, lists pooled or encoded."""
        from ranklite.models.layers.pooling import pooling_of
        from ranklite.models.layers.sequences import encode

        table = self._stored(name, dim)
        if all(field.length == 1 for field in self._layout.fields):
            return table
        weights = () if self._weights is None else (self._weights,)
        encodes = any(field.encoder != "pool" for field in self._layout.fields)
        if name == EMBEDDING and encodes:
            return encode(self._layout, name, (self._ids, table, *weights))
        return pooling_of(self._layout, f"{name}_pooled")((self._ids, table, *weights))

    def rows(self, name: str, dim: int) -> tf.Tensor:
        """Embeddings [B, S, dim] of all ids in the table of a name, lists event by event."""
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
