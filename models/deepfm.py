"""DeepFM (Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
IJCAI 2017, https://arxiv.org/abs/1703.04247) as a functional Keras model over a fused layout."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

from models.config import DeepFMConfig
from models.embeddings import EMBEDDING, LINEAR, build_lookup
from models.layout import IDS, NUMERIC, PADDING_ROW, FeatureLayout

TOWER = "tower"
LOGIT = "logit"
FLATTEN = "flatten"

# Keras's 0.99 needs hundreds of steps to follow the weights; an epoch here may have fifty.
BATCH_NORM_MOMENTUM = 0.9


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
class FieldSum(keras.layers.Layer):
    """Sums first-order weights over the fields: [B, F, 1] -> [B, 1]."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(inputs, axis=1)

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())  # Keras refuses to save a layer that has none of its own


def _glorot_uniform(inputs: int, units: int) -> keras.initializers.Initializer:
    """Glorot & Bengio 2010 for a kernel that is a part of one of `inputs` rows."""
    limit = math.sqrt(6 / (inputs + units))
    return keras.initializers.RandomUniform(-limit, limit)


def build_deepfm(layout: FeatureLayout, config: DeepFMConfig) -> keras.Model:
    """Builds a DeepFM:  logit = w_0 + <w, x> + FM(x) + tower(x).

    The linear part, the factorization machine and the tower read the same fused ids; FM and tower
    share one embedding table. The first hidden layer adds two products instead of concatenating its
    inputs, which is the same function and leaves each input its own int8 range later.

    Args:
      layout: Where the features live in the inputs.
      config: Sizes and rates.

    Returns:
      A functional model from {`ids`: [B, S] int64, `numeric`: [B, N] float32 (where N > 0)} to the
      logit [B, 1] float32. Its layers are named `embedding`, `linear`, `fm`, `tower_<k>`,
      `tower_<k>_bn`, `tower_out` and `logit`; a table that is not stored whole has more of them.
    """
    ids = keras.Input((layout.num_ids,), dtype=tf.int64, name=IDS)
    inputs = {IDS: ids}
    stored = build_lookup(ids, layout, config)
    lengths = tuple(field.length for field in layout.fields)

    def lookup(name: str, dim: int) -> tf.Tensor:
        table = stored(name, dim)
        if max(lengths) == 1:
            return table
        return FieldPooling(lengths, name=f"{name}_pooled", dtype=tf.float32)((ids, table))

    # The terms of the logit are float32 under mixed precision too: 8 bits of mantissa would leave a
    # few hundred distinct scores, and squares of sums minus sums of squares cancel.
    embeddings = lookup(EMBEDDING, config.embedding_dim)  # [B, F, D]
    terms = [FieldSum(name="linear_sum", dtype=tf.float32)(lookup(LINEAR, 1))]  # <w, x>
    flat = keras.layers.Flatten(name=FLATTEN)(embeddings)  # [B, F * D]; Reshape is slow in TFLite
    fm_inputs: Any = embeddings
    numeric = None
    if layout.num_numeric:
        numeric = inputs[NUMERIC] = keras.Input((layout.num_numeric,), name=NUMERIC)
        fm_inputs = (embeddings, numeric)
        terms.append(
            keras.layers.Dense(1, use_bias=False, dtype=tf.float32, name="linear_numeric")(numeric)
        )
    terms.append(
        FactorizationMachine(config.embedding_stddev, dtype=tf.float32, name="fm")(fm_inputs)
    )

    hidden = flat
    for k, units in enumerate(config.hidden_units):
        name = f"{TOWER}_{k}"
        # The two kernels of the first layer start as the one of a concatenation would.
        width = hidden.shape[1] + (layout.num_numeric if k == 0 else 0)
        hidden = keras.layers.Dense(
            units, kernel_initializer=_glorot_uniform(width, units), name=name
        )(hidden)
        if k == 0 and numeric is not None:
            branch = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer=_glorot_uniform(width, units),
                name=f"{name}_numeric",
            )(numeric)
            hidden = keras.layers.Add(name=f"{name}_add")([hidden, branch])
        if config.batch_norm:
            hidden = keras.layers.BatchNormalization(
                momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"
            )(hidden)
        hidden = keras.layers.ReLU(name=f"{name}_relu")(hidden)
        if config.dropout:
            hidden = keras.layers.Dropout(config.dropout, name=f"{name}_dropout")(hidden)
    terms.append(keras.layers.Dense(1, dtype=tf.float32, name=f"{TOWER}_out")(hidden))
    logit = keras.layers.Add(name=LOGIT, dtype=tf.float32)(terms)
    return keras.Model(inputs, logit, name="deepfm")
