"""Weight clustering with tfmot: the weights of a layer share a few values (Han et al. 2016,
"Deep Compression", https://arxiv.org/abs/1510.00149)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ranklite.models.architectures import family
from ranklite.models.compression.sizes import check_kernels, check_one_matrix, kernel_shapes
from ranklite.models.compression.technique import (
    Dimension,
    FineTuned,
    PostConditionFailed,
    Splits,
    Step,
)

if TYPE_CHECKING:
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.training.config import TrainingConfig


TOWER = "`tower` clusters kernels"


class Clustering(Step):
    """Weights that share a few values, found by k-means and trained on.

    Attributes:
      clusters: Most distinct values of a layer.
      tower: Cluster the hidden layers of the deep tower.
      embeddings: Cluster the embedding table.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["cluster"]
    clusters: int = Field(16, ge=2, le=256)
    tower: bool = True
    embeddings: bool = False
    epochs: int = Field(1, ge=1)
    learning_rate: float = Field(1e-4, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _clusters_something(self) -> Clustering:
        if not (self.tower or self.embeddings):
            raise ValueError("cluster needs `tower: true`, `embeddings: true` or both")
        return self


class Cluster(FineTuned[Clustering]):
    """Replaces each weight by the nearest of k centroids and trains the centroids on.

    Batch normalization is folded and the units evened out first: a factor a unit would drive equal
    weights apart later. Weights that are zero stay zero. The file is as large as before, but
    compresses better.
    """

    settings = Clustering
    stage = "clustered"
    place = 500
    component = "Clusterer"
    leaves = {"clusters": "ranklite.models.compression.invariants:Clusters"}
    keeps = frozenset({"zeros"})
    dimensions = (Dimension("clusters", (0, 16), "clusters{}", (0, 0, 0, 0, 0)),)
    example = {"clusters": 8, "epochs": 1}

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        return {"clusters": point["clusters"], "epochs": 1} if point["clusters"] else None

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        if self.config.embeddings:
            check_one_matrix(model)
        else:
            check_kernels(kernel_shapes(model, features), TOWER)
        return model

    def check(self, checkpoint: Checkpoint) -> None:
        if self.config.embeddings:
            check_one_matrix(checkpoint.config)
        else:
            check_kernels(checkpoint.parts.kernels, TOWER)

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
        from ranklite.models.compression.equalization import equalize

        return equalize(fold_batch_norm(checkpoint))

    def _in_scope(self, model: keras.Model, name: str) -> bool:
        role = family.role(model, name)
        if role is None:  # the embedding table
            return self.config.embeddings
        return self.config.tower and role == "kernel"

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        import tf_keras as keras
        from tensorflow_model_optimization.python.core.clustering.keras import cluster_config
        from tensorflow_model_optimization.python.core.clustering.keras.experimental import (
            cluster as experimental,
        )

        from ranklite.models.compression.fine_tuning import copy
        from ranklite.models.compression.sparsity import prunable_weights

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
        from tensorflow_model_optimization.python.core.clustering.keras import (
            cluster as clustering,
        )

        return clustering.strip_clustering(model)

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        from ranklite.models.compression.invariants import distinct_values, lost_zeros, masks

        if lost := lost_zeros(masks(before.model), model):
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        counts = distinct_values(model)
        for name, count in counts.items():
            if self._in_scope(model, name) and count > self.config.clusters:
                raise PostConditionFailed(
                    f"{name} has {count} distinct values, {self.config.clusters} were asked for"
                )
        return {"distinct_values": counts}
