"""Builds a model where it is to be trained: in its precision, under its strategy."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures import family, file_limit
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import peers, runtime, sharded
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.lazy_adam import local


def strategy(name: str) -> tf.distribute.Strategy:
    """The distribution strategy of a configuration: `none`, `mirrored` or `multi_worker`.

    That of several workers has to be asked for before TensorFlow does anything else.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return _multi_worker()
    return tf.distribute.get_strategy()


@functools.cache
def _multi_worker() -> tf.distribute.Strategy:
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(model: keras.Model) -> bool:
    """Whether this process is the one of its cluster that writes what was trained."""
    return peers.place(model.distribute_strategy).rank == 0


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name if name == "float32" else f"mixed_{name}")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def build(layout: FeatureLayout, config: FamilySettings, training: TrainingConfig) -> keras.Model:
    """Builds a model ready for `fit`: seeded, in its precision, under its strategy.

    Args:
      layout: Where the features live.
      config: Its family and sizes.
      training: Seed, precision and strategy.

    Returns:
      A model as its family gives it; `as_float32` turns it into a plain one after training.

    Raises:
      FileTooLarge: No file could hold it.
    """
    file_limit.check(layout, config)
    runtime.set_seeds(training.seed)
    chosen = strategy(training.strategy)
    with _precision(training.precision):
        if training.shard_tables:
            model = sharded.divided(family.build(layout, config), chosen)
            gc.collect()  # the whole tables, which a plain model's circles would keep for long
            return model
        with chosen.scope():
            model = family.build(layout, config)
    if training.strategy != "none":
        for layer in model.layers:
            if isinstance(layer, keras.layers.Embedding):
                layer.call = functools.partial(_rows, layer)
    return model


def _rows(table: keras.layers.Embedding, ids: tf.Tensor) -> tf.Tensor:
    """What a table gives, read by row: Keras reads all of a strategy's variable, each step."""
    return tf.cast(tf.gather(local(table.embeddings), ids), table.compute_dtype)


def as_float32(model: keras.Model, layout: FeatureLayout, config: FamilySettings) -> keras.Model:
    """The same model computing in float32, outside of any strategy: what later stages continue."""
    with _precision("float32"):
        plain = family.build(layout, config)
    tables = sharded.shards(model)
    for layer in plain.layers if tables else ():
        own = tables.get(layer.name)
        layer.set_weights([own.whole] if own else model.get_layer(layer.name).get_weights())
    if not tables:
        plain.set_weights(model.get_weights())
    return plain
