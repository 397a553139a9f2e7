"""Weight clustering with tfmot: the weights of a layer share a few values (Han et al. 2016,
"Deep Compression", https://arxiv.org/abs/1510.00149)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.clustering.keras import (
    cluster as clustering,
)
from tensorflow_model_optimization.python.core.clustering.keras import (
    cluster_config,
)
from tensorflow_model_optimization.python.core.clustering.keras.experimental import (
    cluster as experimental,
)

from ranklite.models.architectures import family
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression.config import Clustering
from ranklite.models.compression.equalization import equalize
from ranklite.models.compression.rules import check_one_matrix
from ranklite.models.compression.sparsity import prunable_weights
from ranklite.models.compression.technique import (
    PostConditionFailed,
    Splits,
    Technique,
    copy,
    lost_zeros,
    masks,
)
from ranklite.models.training.config import TrainingConfig


class Cluster(Technique[Clustering]):
    """Replaces each weight by the nearest of k centroids and trains the centroids on.

    Batch normalization is folded and the units evened out first: a factor a unit would drive equal
    weights apart later. Weights that are zero stay zero. The file is as large as before, but
    compresses better.
    """

    def check(self, checkpoint: Checkpoint) -> None:
        if self.config.embeddings:
            check_one_matrix(checkpoint.config)

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        return equalize(fold_batch_norm(checkpoint))

    def _in_scope(self, model: keras.Model, name: str) -> bool:
        role = family.role(model, name)
        if role is None:  # the embedding table
            return self.config.embeddings
        return self.config.tower and role == "kernel"

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        model = copy(checkpoint)
        chosen = [name for name in prunable_weights(model) if self._in_scope(model, name)]

        def wrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
            if layer.name not in chosen:
                return layer
            return experimental.cluster_weights(
                layer,
                number_of_clusters=self.config.clusters,
                cluster_centroids_init=(cluster_config.CentroidInitialization.KMEANS_PLUS_PLUS),
                preserve_sparsity=True,
            )

        return keras.models.clone_model(model, clone_function=wrapped)

    def strip(self, model: keras.Model) -> keras.Model:
        return clustering.strip_clustering(model)

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        if lost := lost_zeros(masks(before.model), model):
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        counts = distinct_values(model)
        for name, count in counts.items():
            if self._in_scope(model, name) and count > self.config.clusters:
                raise PostConditionFailed(
                    f"{name} has {count} distinct values, {self.config.clusters} were asked for"
                )
        return {"distinct_values": counts}


CLUSTERED = 256  # a kernel with as few distinct values was clustered
_SAMPLE = 4096


def distinct_values(model: keras.Model) -> dict[str, int]:
    """Number of distinct values in each kernel and in the embedding table.

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
