"""The inputs of a model and the tables that it looks its ids up in, for any family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.layers.table_config import Table

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
      numeric: [B, N] float32; None where the layout has no numbers.
    """

    def __init__(self, layout: FeatureLayout, table: Table, stddev: float) -> None:
        import tensorflow as tf
        import tf_keras as keras

        from ranklite.models.layers.tables import build_lookup

        self._lengths = tuple(field.length for field in layout.fields)
        self._ids = keras.Input((layout.num_ids,), dtype=tf.int64, name=IDS)
        self.numeric = (
            keras.Input((layout.num_numeric,), name=NUMERIC) if layout.num_numeric else None
        )
        self._stored = build_lookup(self._ids, layout, table, stddev)

    def lookup(self, name: str, dim: int) -> tf.Tensor:
        """Embeddings [B, F, dim] of the fields in the table of a name; the mean of many values."""
        import tensorflow as tf

        from ranklite.models.layers.pooling import FieldPooling

        table = self._stored(name, dim)
        if max(self._lengths) == 1:
            return table
        pooling = FieldPooling(self._lengths, name=f"{name}_pooled", dtype=tf.float32)
        return pooling((self._ids, table))

    def flat(self, embeddings: tf.Tensor) -> tf.Tensor:
        """[B, F, D] -> [B, F * D]; Reshape is slow in TFLite."""
        import tf_keras as keras

        return keras.layers.Flatten(name=FLATTEN)(embeddings)

    def model(self, logit: tf.Tensor, name: str) -> keras.Model:
        """The model from the inputs to a logit [B, 1]."""
        import tf_keras as keras

        inputs = {IDS: self._ids}
        if self.numeric is not None:
            inputs[NUMERIC] = self.numeric
        return keras.Model(inputs, logit, name=name)
