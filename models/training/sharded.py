"""Embedding tables whose rows are divided among the workers of a training.

Worker w of W keeps the rows i with i mod W = w, with their moments: a W-th of what a table takes
while training. A step exchanges what its batch looks up, and no table as a whole:

    1. all workers tell each other the distinct rows that their share of the batch reads;
    2. each answers with those that it keeps;
    3. after the backward pass all tell each other the gradients of what they read, and each updates
       its own rows.

So a table costs a training over W workers what the batch costs, as in `LazyAdam`, which updates the
rows by the same rule. The other weights are replicated, and their gradients are summed, as in
`tf.distribute.MultiWorkerMirroredStrategy`, whose collectives are used.

Asynchronous parameter servers were left aside: their steps use weights of different ages, so that a
training is neither repeatable nor equal to that of one process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.training import peers
from ranklite.models.training.lazy_adam import LazyAdam

_CHUNK = 65_536  # rows of a worker that are collected at a time

Weights = list[npt.NDArray[Any]]


class Shard:
    """A worker's rows of a table. It belongs to no strategy, which would make all copies equal.

    Args:
      table: [rows, D] float32, the whole table.
      rank: w.
      of: W.

    Attributes:
      rows: Of the whole table.
      values: [ceil(rows / W), D]: row i of it is row i W + w of the table, or none.
      slots: What `LazyAdam` keeps of each row.
      whole: The table, once it was collected; None where this is not the chief.
    """

    def __init__(self, table: npt.NDArray[np.float32], rank: int, of: int) -> None:
        self.rows, dim = table.shape
        self.rank, self.of = rank, of
        own = np.zeros((-(-self.rows // of), dim), np.float32)
        kept = table[rank::of]
        own[: len(kept)] = kept
        self.values = tf.Variable(own, trainable=False)
        self.slots = {name: tf.Variable(tf.zeros_like(self.values)) for name in ("m", "v")}
        self.slots["seen"] = tf.Variable(tf.zeros(own.shape[:1]))
        self.whole: npt.NDArray[np.float32] | None = None


class _Asked(NamedTuple):
    """What a batch looks up.

    Attributes:
      place: [B S], of each id among the distinct ones of this worker.
      rows: [U], the distinct rows of all workers, one worker's after the other's.
      own: [M], places in `rows` of those that this worker keeps.
      answered: [V], where this worker's distinct rows are in what all answer.
    """

    place: tf.Tensor
    rows: tf.Tensor
    own: tf.Tensor
    answered: tf.Tensor


class Lookup(NamedTuple):
    """A lookup of a step, whose gradient is asked for."""

    shard: Shard
    asked: _Asked
    values: tf.Tensor  # [V, D]


class _Recording:
    def __init__(self, tape: tf.GradientTape) -> None:
        self.tape = tape
        self.lookups: list[Lookup] = []


_recording: _Recording | None = None


@contextlib.contextmanager
def watched(tape: tf.GradientTape) -> Iterator[list[Lookup]]:
    """Notes the lookups made inside and has a tape watch what they give."""
    global _recording
    _recording = made = _Recording(tape)
    try:
        yield made.lookups
    finally:
        _recording = None


class ShardedEmbedding(keras.layers.Layer):
    """In place of an Embedding: asks all workers for the rows that a batch looks up.

    Args:
      shard: This worker's rows.
      **kwargs: Of a Keras layer.
    """

    def __init__(self, shard: Shard, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Embeddings [B, S, D] of ids [B, S]."""
        shape = tf.concat([tf.shape(ids), self.shard.values.shape[1:]], 0)
        if getattr(getattr(ids, "graph", None), "name", "").endswith("_scratch_graph"):
            return tf.zeros(shape, self.compute_dtype)  # Keras asks for the shape alone
        asked = _ask(ids, self.shard.rank, self.shard.of)
        kept = tf.gather(self.shard.values, tf.gather(asked.rows, asked.own) // self.shard.of)
        values = tf.gather(_gathered(kept), asked.answered)
        if _recording is not None:
            _recording.tape.watch(values)
            _recording.lookups.append(Lookup(self.shard, asked, values))
        embeddings = tf.gather(values, asked.place)
        return tf.cast(tf.reshape(embeddings, shape), self.compute_dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return tf.TensorShape([*shape, self.shard.values.shape[1]])


def _gathered(values: tf.Tensor) -> tf.Tensor:
    """What all workers have, one's after the other's."""
    return tf.distribute.get_replica_context().all_gather(values, axis=0)


def _ask(ids: tf.Tensor, rank: int, of: int) -> _Asked:
    distinct, place = tf.unique(tf.reshape(ids, [-1]))
    counts = _gathered(tf.shape(distinct))
    rows = _gathered(distinct)
    owners = rows % of
    # Answers come owner by owner, those of one in the order in which they were asked for.
    order = tf.argsort(owners, stable=True)
    answered = tf.math.invert_permutation(order)
    first = tf.reduce_sum(counts[:rank])
    own = tf.cast(tf.where(owners == rank)[:, 0], tf.int32)
    return _Asked(place, rows, own, answered[first : first + counts[rank]])


def update(lookup: Lookup, gradient: tf.Tensor, optimizer: LazyAdam) -> None:
    """Updates the rows that this worker keeps, by the gradients of all workers.

    Args:
      lookup: Of this step.
      gradient: [V, D], of what this worker looked up; the loss is the sum over the workers.
      optimizer: Whose rule, rate and step count.
    """
    shard, asked = lookup.shard, lookup.asked
    own = tf.gather(_gathered(tf.convert_to_tensor(gradient)), asked.own)
    rows, place = tf.unique(tf.gather(asked.rows, asked.own) // shard.of)
    summed = tf.math.unsorted_segment_sum(own, place, tf.shape(rows)[0])
    optimizer.update_rows(summed, shard.values, rows, shard.slots)


def shards(model: keras.Model) -> dict[str, Shard]:
    """The shards of a model by the name of their layer; none where its tables are whole."""
    return {
        layer.name: layer.shard for layer in model.layers if isinstance(layer, ShardedEmbedding)
    }


def divided(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """A model of a strategy that has a worker's share of another model's tables.

    Args:
      model: A plain model, the same in each worker.
      strategy: Of the workers, with one device each.
    """
    rank, of = peers.place(strategy)
    held = {
        layer.name: Shard(layer.get_weights()[0], rank, of)
        for layer in model.layers
        if isinstance(layer, keras.layers.Embedding)
    }

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in held:
            return ShardedEmbedding(held[layer.name], name=layer.name, dtype=layer.dtype_policy)
        return layer.__class__.from_config(layer.get_config())

    with strategy.scope():
        copy = keras.models.clone_model(model, clone_function=copied)
        for layer in model.layers:
            if layer.name not in held:
                copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def weights(model: keras.Model) -> Weights:
    """All weights that this process keeps of a model."""
    return [*model.get_weights(), *(shard.values.numpy() for shard in shards(model).values())]


def set_weights(model: keras.Model, values: Weights) -> None:
    """Puts back what `weights` gave."""
    own = shards(model)
    model.set_weights(values[: len(values) - len(own)])
    for shard, value in zip(own.values(), values[len(values) - len(own) :], strict=True):
        shard.values.assign(value)


def collect(model: keras.Model, *, keep: bool) -> None:
    """Puts the tables together, which takes all workers.

    Args:
      model: Of a training that ended.
      keep: Whether this process is to have them.
    """
    strategy = model.distribute_strategy

    def together(part: tf.Tensor) -> tf.Tensor:
        # Copied, so that it is on the device of this worker, as collectives want it.
        return strategy.run(lambda: _gathered(tf.identity(part)))

    gathered = tf.function(together, reduce_retracing=True, autograph=False)
    for shard in shards(model).values():
        rows, dim = shard.values.shape
        table = np.empty((rows * shard.of, dim), np.float32) if keep else None
        for start in range(0, rows, _CHUNK):
            part = gathered(shard.values[start : start + _CHUNK]).numpy()
            if table is not None:
                own = part.reshape(shard.of, -1, dim)
                for rank in range(shard.of):
                    first = start * shard.of + rank
                    table[first : first + own.shape[1] * shard.of : shard.of] = own[rank]
        shard.whole = None if table is None else table[: shard.rows]
