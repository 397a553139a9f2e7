"""What a step leaves behind and later fine-tunings must not undo: zeros, and shared values."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.compression.sparsity import prunable_weights
from ranklite.models.compression.technique import Invariant
from ranklite.models.compression.techniques import TECHNIQUES

CLUSTERED = 256  # a kernel with as few distinct values was clustered
_SAMPLE = 4096


class Zeros(Invariant):
    """Weights that are zero stay zero."""

    def callback(self, model: keras.Model) -> keras.callbacks.Callback:
        return KeepZeros(model, masks(model))

    def broken(self, before: keras.Model, after: keras.Model) -> str:
        lost = lost_zeros(masks(before), after)
        return f"pruned weights are no longer zero: {lost}" if lost else ""


class Clusters(Invariant):
    """Weights that are equal stay equal."""

    def callback(self, model: keras.Model) -> keras.callbacks.Callback:
        return KeepClusters(model)

    def broken(self, before: keras.Model, after: keras.Model) -> str:
        now = distinct_values(after)
        spread = {n: now[n] for n, count in clustered_weights(before).items() if now[n] > count}
        return f"clustered weights have drifted apart: {spread}" if spread else ""


def left_by(techniques: Sequence[str]) -> dict[str, Invariant]:
    """The invariants of a model, by name.

    Args:
      techniques: Names of those that were applied to it, from its checkpoint.
    """
    paths: dict[str, str] = {}
    for name in techniques:
        paths |= TECHNIQUES.get(name).leaves
    left = {}
    for name, path in paths.items():
        module, _, kind = path.partition(":")
        left[name] = getattr(importlib.import_module(module), kind)()
    return left


class KeepZeros(keras.callbacks.Callback):
    """Puts weights back to zero, after every step, that were zero before the first one.

    Args:
      model: The model being trained.
      masks: By layer name, True where a weight may change; from `masks`.
    """

    def __init__(self, model: keras.Model, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
        super().__init__()
        weights = prunable_weights(model)
        self._pairs = [(weights[name], mask.astype(np.float32)) for name, mask in masks.items()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for weight, mask in self._pairs:
            weight.assign(weight * mask)


def masks(model: keras.Model) -> dict[str, npt.NDArray[np.bool_]]:
    """Where the weights of layers with zeros are not zero."""
    return {
        name: values != 0.0
        for name, weight in prunable_weights(model).items()
        if not (values := weight.numpy()).all()
    }


def lost_zeros(before: dict[str, npt.NDArray[np.bool_]], model: keras.Model) -> dict[str, int]:
    """Number of weights a layer, masked in `before`, that are no longer zero."""
    weights = prunable_weights(model)
    counts = {
        name: int(np.count_nonzero(weights[name].numpy()[~mask])) for name, mask in before.items()
    }
    return {name: count for name, count in counts.items() if count}


def distinct_values(model: keras.Model) -> dict[str, int]:
    """Number of distinct values in each kernel of the tower and in the embedding table.

    Where a sample alone has more than `CLUSTERED`, the number is that of the sample: a large table
    takes long to sort.
    """
    counts = {}
    for name, weight in prunable_weights(model).items():
        values = weight.numpy().ravel()
        counts[name] = len(np.unique(values[:_SAMPLE]))
        if counts[name] <= CLUSTERED:
            counts[name] = len(np.unique(values))
    return counts


def clustered_weights(model: keras.Model) -> dict[str, int]:
    """Distinct values of the kernels, and of the table, whose weights share some but zero.

    Each value has four weights or more on average: zeros alone, which pruning made, are not meant.
    """
    weights = prunable_weights(model)
    return {
        name: count
        for name, count in distinct_values(model).items()
        if count <= min(CLUSTERED, 1 + np.count_nonzero(weights[name].numpy()) // 4)
    }


class KeepClusters(keras.callbacks.Callback):
    """Keeps weights equal that were equal before the first step: each gets its cluster's mean.

    Args:
      model: The model being trained; kernels with more than `CLUSTERED` distinct values, or with
        few weights a value, are left alone.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._clusters = []
        weights = prunable_weights(model)
        for name in clustered_weights(model):
            values, cluster = np.unique(weights[name].numpy(), return_inverse=True)
            self._clusters.append((weights[name], tf.constant(cluster.reshape(-1)), len(values)))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for weight, cluster, count in self._clusters:
            means = tf.math.unsorted_segment_mean(tf.reshape(weight, [-1]), cluster, count)
            weight.assign(tf.reshape(tf.gather(means, cluster), weight.shape))
