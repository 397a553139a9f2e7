"""Which weights can be pruned, and how many of them are zero."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures import family
from ranklite.models.layers.table_config import EMBEDDING


def prunable_weights(model: keras.Model) -> dict[str, tf.Variable]:
    """The kernels of the family and the embedding table, by their layer's own name.

    A table that is composed of several matrices has no row that is an embedding, and is left out.
    A wrapper of tfmot replaces the attribute by a tensor and keeps the variable for itself.
    """
    result = {}
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        table = inner.name == EMBEDDING and isinstance(inner, keras.layers.Embedding)
        kind = "embeddings:0" if table else "kernel:0"
        if table or (family.role(model, inner.name) and isinstance(inner, keras.layers.Dense)):
            result[inner.name] = next(v for v in layer.trainable_weights if v.name.endswith(kind))
    return result


def sparsity(model: keras.Model) -> dict[str, float]:
    """Share of zeros in each kernel and in the embedding table."""
    return {
        name: float(np.mean(weight.numpy() == 0.0))
        for name, weight in prunable_weights(model).items()
    }


def total_sparsity(model: keras.Model) -> float:
    """Share of zeros over all kernels and the embedding table."""
    values = [weight.numpy() for weight in prunable_weights(model).values()]
    counted = sum(v.size for v in values)  # none of a composed table without kernels beside it
    return float(sum(np.sum(v == 0.0) for v in values) / max(1, counted))
