"""Interactions of features: factorization machine, inner product and first-order sum."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.utils.register_keras_serializable("ranklite")
class FactorizationMachine(keras.layers.Layer):
    r"""Second-order interactions of all pairs of inputs (Rendle 2010), in linear time:

        sum_{i<j} <v_i, v_j> x_i x_j = 1/2 sum_d [ (sum_i v_id x_i)^2 - sum_i (v_id x_i)^2 ]

    An id field has x = 1 and its embedding as v; each numeric column x_j has a v_j of its own,
    which this layer holds.

    Call args:
      inputs: Embeddings [B, F, D], or the pair of them and `numeric` [B, N].

    Args:
      stddev: Standard deviation of the initial factors of the numeric columns.

    Returns:
      [B, 1] of the embeddings' dtype.
    """

    def __init__(self, stddev: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev

    def build(self, input_shape: Any) -> None:
        if isinstance(input_shape, (list, tuple)) and isinstance(
            input_shape[0], (list, tuple, tf.TensorShape)
        ):
            (_, _, dim), (_, numeric) = map(tuple, input_shape)
            self.factors = self.add_weight(
                "factors",
                shape=(numeric, dim),
                initializer=keras.initializers.RandomNormal(0.0, self.stddev),
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor | tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        if isinstance(inputs, (list, tuple)):
            embeddings, numeric = inputs
            total = tf.reduce_sum(embeddings, axis=1) + tf.matmul(numeric, self.factors)
            squares = tf.reduce_sum(tf.square(embeddings), axis=1) + tf.matmul(
                tf.square(numeric), tf.square(self.factors)
            )
        else:
            total = tf.reduce_sum(inputs, axis=1)
            squares = tf.reduce_sum(tf.square(inputs), axis=1)
        return 0.5 * tf.reduce_sum(tf.square(total) - squares, axis=1, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}


@keras.utils.register_keras_serializable("ranklite")
class InnerProduct(keras.layers.Layer):
    """Inner products of two vectors a row:  [B, D], [B, D] -> [B, 1]."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        left, right = inputs
        return tf.reduce_sum(left * right, axis=1, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())


@keras.utils.register_keras_serializable("ranklite")
class FieldSum(keras.layers.Layer):
    """Sums first-order weights over the fields: [B, F, 1] -> [B, 1].

    Args:
      use_bias: Add a trained w_0, of a model in which no other layer has one.
    """

    def __init__(self, use_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        if self.use_bias:
            self.bias = self.add_weight("bias", shape=(1,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        total = tf.reduce_sum(inputs, axis=1)
        return total + self.bias if self.use_bias else total

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_bias": self.use_bias}
