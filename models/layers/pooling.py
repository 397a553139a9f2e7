"""Pooling of the embeddings of multi-valued fields, and the parts of inputs that it reads."""

from __future__ import annotations

import itertools
from typing import Any

import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import PADDING_ROW, FeatureLayout

# Lists of one length side by side from which on their means are computed together: each list is ten
# operations, which every copy of a model traces and every export converts.
_TOGETHER = 8


def columns(inputs: tf.Tensor, start: int, count: int, training: bool | None = None) -> tf.Tensor:
    """Some columns of [B, N, ...], and all of them at no cost.

    Args:
      inputs: [B, N, ...].
      start: The first column.
      count: How many.
      training: True gives the same by an operator with a cheaper gradient; files get the other.
    """
    return inputs if count == inputs.shape[1] else _cut(inputs, start, count, training)


def _cut(inputs: tf.Tensor, start: int, count: int, training: bool | None) -> tf.Tensor:
    if training is not True:
        return inputs[:, start : start + count]
    # The gradient of a slice writes zeros for all that it left out, one number at a time: it took
    # a third of a step. That of a split is a concatenation.
    sizes = [start, count, inputs.shape[1] - start - count]
    part = tf.split(inputs, [size for size in sizes if size], axis=1)[int(start > 0)]
    # As many operators as a slice has: dropout draws by the number of its operator in the graph.
    return tf.identity(part)


@keras.utils.register_keras_serializable("ranklite")
class Columns(keras.layers.Layer):
    """Columns `start` to `stop` - 1 of [B, N], or of embeddings [B, S, D].

    They belong to one part of a layout: the user's own lists, or what comes before them. A file
    reads each part with as many rows as it has (`ranklite.models.export.once_per_user`).
    """

    def __init__(self, start: int, stop: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start, self.stop = start, stop

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return columns(inputs, self.start, self.stop - self.start, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.utils.register_keras_serializable("ranklite")
class Together(keras.layers.Concatenate):
    """All vectors [B, F, D] of a row: the first `own` blocks are the candidate's, the others what
    became of the user's own lists, which a file repeats for each candidate only here."""

    def __init__(self, own: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "axis": 1})
        self.own = own

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "own": self.own}


@keras.utils.register_keras_serializable("ranklite")
class FieldPooling(keras.layers.Layer):
    """Averages the embeddings of each multi-valued field over its values, padding left out.

    A field of ids i_1 ... i_L becomes  sum_l [i_l != 0] E_l / max(1, #{l: i_l != 0}), the input
    vector of a multi-hot field whose entries sum to one (Rendle 2012, section 3). A field with P
    pools becomes P vectors  sum_l w_pl E_l  with weights that are given.

    Args:
      lengths: Columns of each field, in order; they add up to S.
      pools: Pools of each field, 0 for a plain mean; None: no field has any.
      encoded: Which fields an encoder reads, and are left out here; None: none.
      apart: Whether the result is a list, to be put together with others.

    Call args:
      inputs: `ids` [B, S] int32, embeddings [B, S, D] float and, where there are pools, weights
        [B, sum of pools * length].

    Returns:
      [B, F, D] of the embeddings' dtype; F counts a field without pools once, and each pool. Or a
      list of such blocks: the single-valued fields, then one for each vector of a list.
    """

    def __init__(
        self,
        lengths: tuple[int, ...],
        pools: tuple[int, ...] | None = None,
        encoded: tuple[bool, ...] | None = None,
        apart: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.apart = apart
        self.lengths = tuple(lengths)
        self.pools = tuple(pools) if pools else (0,) * len(self.lengths)
        self.encoded = tuple(encoded) if encoded else (False,) * len(self.lengths)

    def call(
        self, inputs: tuple[tf.Tensor, ...], training: bool | None = None
    ) -> tf.Tensor | list[tf.Tensor]:
        ids, embeddings = inputs[:2]
        single = self.lengths.count(1)  # FeatureLayout puts the single-valued fields first
        pooled, start, first = [], single, 0
        if single:
            pooled.append(_cut(embeddings, 0, single, training))
        for length, pools, is_encoded, count in self._runs(single):
            values = columns(embeddings, start, count * length, training)
            if is_encoded:
                first += pools * length
            elif pools:
                # A product and a sum: behind 4-bit kernels the converter has no float matmul.
                for _ in range(pools):
                    weight = tf.cast(inputs[2][:, first : first + length], values.dtype)
                    pooled.append(_weighted_sum(values, weight))
                    first += length
            else:
                here = ids[:, start : start + count * length]
                pooled.append(_means(values, tf.cast(here != PADDING_ROW, values.dtype), count))
            start += count * length
        if self.apart:
            return pooled
        return tf.concat(pooled, axis=1) if len(pooled) > 1 else pooled[0]

    def _runs(self, single: int) -> list[tuple[int, int, bool, int]]:
        """Length, pools and whether it is encoded of each list, and of how many like it at once."""
        runs = []
        lists = list(zip(self.lengths, self.pools, self.encoded, strict=True))[single:]
        for (length, pools, is_encoded), some in itertools.groupby(lists):
            count = len(list(some))
            is_plain = not (pools or is_encoded or self.apart)
            at_once = count if is_plain and count >= _TOGETHER else 1
            runs += [(length, pools, is_encoded, at_once)] * (count // at_once)
        return runs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "lengths": list(self.lengths),
            "pools": list(self.pools),
            "encoded": list(self.encoded),
            "apart": self.apart,
        }


def _means(values: tf.Tensor, present: tf.Tensor, count: int) -> tf.Tensor:
    """Of lists one after the other, [B, count * L, D], and [B, count * L] of 0 and 1, of what is
    there -> [B, count, D]."""
    if count == 1:
        most = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1)
        return _weighted_sum(values, present / most)
    width, dim = values.shape[1:]
    values = tf.reshape(values, [-1, count, width // count, dim])
    present = tf.reshape(present, [-1, count, width // count, 1])
    weights = present / tf.maximum(tf.reduce_sum(present, axis=2, keepdims=True), 1)
    return tf.reduce_sum(values * weights, axis=2)


def _weighted_sum(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """[B, L, D] and [B, L] -> [B, 1, D]."""
    # Not `weights[:, :, None]`, of which a file has a slice that takes all.
    weights = tf.reshape(weights, [-1, weights.shape[1], 1])
    return tf.reduce_sum(values * weights, axis=1, keepdims=True)


def pooling_of(
    layout: FeatureLayout, name: str, encodes: bool = False, apart: bool = False
) -> FieldPooling:
    """The pooling of the lists of a layout.

    Args:
      layout: Of the fields.
      name: Of the layer.
      encodes: Whether lists with an encoder are left to it.
      apart: Whether it gives a list of blocks.
    """
    return FieldPooling(
        tuple(field.length for field in layout.fields),
        tuple(field.pools for field in layout.fields),
        tuple(encodes and field.encoder != "pool" for field in layout.fields),
        apart=apart,
        name=name,
        dtype=tf.float32,
    )
