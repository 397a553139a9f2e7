"""Pooling of the embeddings of a multi-valued field."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import PADDING_ROW


@keras.utils.register_keras_serializable("ranklite")
class FieldPooling(keras.layers.Layer):
    """Averages the embeddings of each multi-valued field over its values, padding left out.

    A field of ids i_1 ... i_L becomes  sum_l [i_l != 0] E_l / max(1, #{l: i_l != 0}), the input
    vector of a multi-hot field whose entries sum to one (Rendle 2012, section 3).

    Args:
      lengths: Columns of each field, in order; they add up to S.

    Call args:
      inputs: `ids` [B, S] int64 and embeddings [B, S, D] float.

    Returns:
      [B, len(lengths), D] of the embeddings' dtype.
    """

    def __init__(self, lengths: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lengths = tuple(lengths)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        ids, embeddings = inputs
        single = self.lengths.count(1)  # FeatureLayout puts the single-valued fields first
        pooled, start = [embeddings[:, :single]] if single else [], single
        for length in self.lengths[single:]:
            present = tf.cast(ids[:, start : start + length] != PADDING_ROW, embeddings.dtype)
            weight = present / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1)
            values = embeddings[:, start : start + length]
            pooled.append(tf.reduce_sum(values * weight[:, :, None], axis=1, keepdims=True))
            start += length
        return tf.concat(pooled, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lengths": list(self.lengths)}
