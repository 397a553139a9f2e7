"""Encoders of a list of events, in the place of its pools: the sequence becomes one vector.

They compute in float whatever the rest of a model does: softmax-like weights, masks and sums of few
terms are cheap, and rounding them costs accuracy. All convert to TFLite's builtin operators at any
batch size, which Keras's own recurrent layers do not.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import PADDING_ROW, FeatureLayout
from ranklite.models.layers.pooling import Columns, columns, pooling_of
from ranklite.models.layers.sequence_sizes import ATTENTION_UNITS
from ranklite.models.layers.table_config import EMBEDDING


@keras.utils.register_keras_serializable("ranklite")
class TargetAttention(keras.layers.Layer):
    r"""Weights events by the candidate (DIN, Zhou et al. 2018, https://arxiv.org/abs/1706.06978):

        a_l = v^T relu(W [h_l, t, h_l * t, h_l - t] + O o_l + b),     u = 1/L sum_l a_l h_l

    h_l is the embedding of event l of L, t that of the candidate, o_l says which outcomes the event
    had. The sum goes over what happened: without an event it is 0. Split by what each part reads, W
    needs no concatenation:

        W [h, t, h * t, h - t] = (W_h + W_d) h + (W_t - W_d) t + W_p (h * t)

    The weights a_l are not normalized, so that many alike events weigh more than one, as in the
    paper. L is the length of the list, events or not: a constant that keeps the sum small.

    Args:
      units: Size of the hidden layer.

    Call args:
      inputs: Events [B, L, D], the candidate [B, D], outcomes [B, L, P]: above 0 those that an
        event had, all 0 where there is none.

    Returns:
      [B, 1, D].
    """

    def __init__(self, units: int = ATTENTION_UNITS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        (_, length, dim), _, (_, _, pools) = map(tuple, input_shape)
        self.length = length
        for name, rows in (("event", dim), ("target", dim), ("product", dim), ("outcome", pools)):
            setattr(self, name, self.add_weight(name, shape=(rows, self.units)))
        self.bias = self.add_weight("bias", shape=(self.units,), initializer="zeros")
        self.score = self.add_weight("score", shape=(self.units, 1))
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        given, target, outcomes = inputs
        events, happened, present = _happened(given, outcomes)
        target = target * tf.reduce_max(present, axis=1)  # see `_happened`
        hidden = (
            tf.matmul(events, self.event)
            + tf.matmul(target, self.target)[:, None]
            + tf.matmul(events * target[:, None], self.product)
            + tf.matmul(happened, self.outcome)
            + self.bias
        )
        weights = tf.matmul(tf.nn.relu(hidden), self.score)  # [B, L, 1]
        return tf.reduce_sum(weights * events, axis=1, keepdims=True) / self.length

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.utils.register_keras_serializable("ranklite")
class UnrolledGRU(keras.layers.Layer):
    r"""A gated recurrent unit (Cho et al. 2014) over the events, the oldest first, as GRU4Rec has
    it (Hidasi et al. 2016, https://arxiv.org/abs/1511.06939):

        z = sigmoid(W_z x + U_z s),   r = sigmoid(W_r x + U_r s)
        c = tanh(W_c x + U_c (r * s)),   s <- (1 - z) s + z c

    x is the embedding of an event, with its outcomes beside it. s starts at 0 and stays where there
    is no event. The loop is unrolled: its length is known, and no operator of control flow is left.

    Call args:
      inputs: Events [B, L, D], newest first, and outcomes [B, L, P]: above 0 those that an event
        had, all 0 where there is none.

    Returns:
      The last state [B, 1, D].
    """

    def build(self, input_shape: Any) -> None:
        (_, self.length, self.dim), (_, _, pools) = map(tuple, input_shape)
        self.kernel = self.add_weight("kernel", shape=(self.dim, 3 * self.dim))
        self.outcome = self.add_weight("outcome", shape=(pools, 3 * self.dim))
        self.gates = self.add_weight(
            "gates", shape=(self.dim, 2 * self.dim), initializer="orthogonal"
        )
        self.candidate = self.add_weight(
            "candidate", shape=(self.dim, self.dim), initializer="orthogonal"
        )
        self.bias = self.add_weight("bias", shape=(3 * self.dim,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        events, happened, present = _happened(*inputs)
        # Kernels are split, not what they give: the converter would round a sigmoid that is cut in
        # two to 8 bits, and a file is faster so. The products with x are those of all steps.
        read = [
            tf.unstack(tf.matmul(events, kernel) + tf.matmul(happened, outcome) + bias, axis=1)
            for kernel, outcome, bias in zip(
                *(tf.split(w, 3, axis=-1) for w in (self.kernel, self.outcome, self.bias)),
                strict=True,
            )
        ]
        update_gate, reset_gate = tf.split(self.gates, 2, axis=1)
        steps = list(zip(*read, tf.unstack(present, axis=1), strict=True))[::-1]
        update, _, fresh, is_event = steps[0]
        state = tf.sigmoid(update) * is_event * tf.tanh(fresh)  # from a state of 0
        for from_x, reset_x, fresh_x, is_event in steps[1:]:
            update = tf.sigmoid(from_x + tf.matmul(state, update_gate))
            reset = tf.sigmoid(reset_x + tf.matmul(state, reset_gate))
            fresh = tf.tanh(fresh_x + tf.matmul(reset * state, self.candidate))
            state += update * is_event * (fresh - state)
        return state[:, None]

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())


@keras.utils.register_keras_serializable("ranklite")
class FieldColumn(keras.layers.Layer):
    """One column [B, D] of embeddings [B, S, D]."""

    def __init__(self, column: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.column = column

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs[:, self.column]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "column": self.column}


@keras.utils.register_keras_serializable("ranklite")
class OtherColumns(keras.layers.Layer):
    """All columns of [B, F, D] but one:  [B, F - 1, D]."""

    def __init__(self, column: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.column = column

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        after = inputs[:, self.column + 1 :]
        return tf.concat([inputs[:, : self.column], after], axis=1) if self.column else after

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "column": self.column}


@keras.utils.register_keras_serializable("ranklite")
class Events(keras.layers.Layer):
    """The events of a list, and what outcomes they had.

    Args:
      start: First column of the list in `ids`.
      length: Columns of the list.
      first: First column of its weights.
      pools: Weights an event; 0: there are none, and whatever is no padding is an event.

    Call args:
      inputs: `ids` [B, S] int32, embeddings [B, S, D] and, where there are pools, weights [B, W].

    Returns:
      Events [B, length, D] and outcomes [B, length, max(1, pools)].
    """

    def __init__(self, start: int, length: int, first: int, pools: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start, self.length, self.first, self.pools = start, length, first, pools

    def call(
        self, inputs: tuple[tf.Tensor, ...], training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        ids, embeddings = inputs[:2]
        events = columns(embeddings, self.start, self.length, training)
        if not self.pools:
            listed = columns(ids, self.start, self.length)
            return events, tf.cast(listed != PADDING_ROW, events.dtype)[:, :, None]
        weights = columns(inputs[2], self.first, self.pools * self.length)
        outcomes = tf.reshape(weights, [-1, self.pools, self.length])
        return events, tf.transpose(outcomes, [0, 2, 1])

    def get_config(self) -> dict[str, Any]:
        own = {"start": self.start, "length": self.length}
        return {**super().get_config(), **own, "first": self.first, "pools": self.pools}


def _happened(events: tf.Tensor, outcomes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What there is of a list.

    The product with the mask is also what keeps a kernel behind it in float arithmetic: where there
    are 4-bit kernels, the converter hands the int8 values of a table to it as they are.

    Args:
      events: [B, L, D].
      outcomes: [B, L, P].

    Returns:
      The events, 0 where there is none; which outcomes they had [B, L, P] and whether there is one
      [B, L, 1], as 1 or 0.
    """
    happened = tf.cast(outcomes > 0, events.dtype)  # a weight is 1 / how many there are
    present = tf.reduce_max(happened, axis=2, keepdims=True)
    return events * present, happened, present


def encode(
    layout: FeatureLayout,
    name: str,
    inputs: tuple[tf.Tensor, ...],
    candidates: tf.Tensor,
    *,
    of_user: bool = False,
) -> list[tf.Tensor]:
    """The vectors of the fields of one part, in blocks [B, F, D]: those of encoders come last.

    Args:
      layout: Of all fields.
      name: Of the table; layers are named `<table>_pooled` and `<table>_<feature>_<encoder>`.
      inputs: From the first column of the part on, `ids` [B, S], embeddings [B, S, D] and, where
        fields have pools, weights [B, W].
      candidates: Embeddings from the first column of all fields on.
      of_user: Whether the part is that of the user's own lists.
    """
    part = layout.part(of_user=of_user)
    encoders = [field.encoder if name == EMBEDDING else "pool" for field in part.fields]
    blocks, first = [], 0
    if all(field.length == 1 for field in part.fields):
        cut = Columns(0, part.num_ids, name=f"{name}_of_candidate", dtype=tf.float32)
        blocks.append(cut(inputs[1]))
    elif "pool" in encoders:
        pooled = f"{name}_pooled_of_user" if of_user else f"{name}_pooled"
        apart = any(field.of_user for field in layout.fields)  # more blocks follow in any case
        vectors = pooling_of(part, pooled, encodes=name == EMBEDDING, apart=apart)(inputs)
        blocks += vectors if apart else [vectors]
    for field, encoder in zip(part.fields, encoders, strict=True):
        if encoder != "pool":
            own = f"{name}_{field.name}_{encoder}"
            events, outcomes = Events(
                field.start,
                field.length,
                first,
                field.pools,
                name=f"{name}_{field.name}_events",
                dtype=tf.float32,
            )(inputs)
            if encoder == "attention":
                target = FieldColumn(
                    layout.field(field.owner).start, name=f"{own}_target", dtype=tf.float32
                )(candidates)
                layer = TargetAttention(name=own, dtype=tf.float32)
                blocks.append(layer((events, target, outcomes)))
            else:
                blocks.append(UnrolledGRU(name=own, dtype=tf.float32)((events, outcomes)))
        first += field.pools * field.length
    return blocks
