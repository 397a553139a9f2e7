"""Pruning of weights and blocks while fine-tuning: by magnitude with tfmot, or by Taylor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ranklite.models.architectures import family
from ranklite.models.compression.patterns import (
    PruningScope,
    check_pattern,
    check_width,
    holds_two_of_four,
)
from ranklite.models.compression.sizes import check_kernels, check_one_matrix, kernel_shapes
from ranklite.models.compression.technique import (
    Dimension,
    FineTuned,
    PostConditionFailed,
    Splits,
    Step,
)

if TYPE_CHECKING:
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.compression.taylor import TaylorAdam
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.training.config import TrainingConfig

_UPDATES = 100  # how often at most the masks are recomputed along the ramp
TOWER = "`tower` prunes kernels"
_TOLERANCE = 0.02  # a layer's sparsity may miss its target by rounding to whole blocks


class Pruning(Step):
    """Pruning of single weights or blocks while fine-tuning.

    Attributes:
      tower: The hidden layers of the deep tower; None leaves them dense.
      embeddings: The embedding table; None leaves it dense.
      importance: What a weight is judged by: its `magnitude` (Zhu & Gupta 2017), or `taylor`, the
        first-order estimate of what the loss gains without it (Molchanov et al. 2019).
      schedule: `polynomial` lets the sparsity grow from 0 to its target over the ramp, `constant`
        goes there at once: with the first step; `taylor` judges for 100 steps first, or for half of
        a shorter ramp. Pattern 2:4 knows no sparsity in between and always goes there at once.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
      ramp: Share of the steps over which the masks are recomputed.
      l1: Weight of an L1 penalty on the tower's kernels, trained with before pruning; 0 for none.
      l1_epochs: Passes over the train split with that penalty.
    """

    technique: Literal["prune"]
    tower: PruningScope | None = None
    embeddings: PruningScope | None = None
    importance: Literal["magnitude", "taylor"] = "magnitude"
    schedule: Literal["polynomial", "constant"] = "polynomial"
    epochs: int = Field(3, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    ramp: float = Field(0.6, gt=0.0, le=1.0)
    l1: float = Field(0.0, ge=0.0)
    l1_epochs: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _is_legal(self) -> Pruning:
        if self.tower is None and self.embeddings is None:
            raise ValueError("prune needs a scope: give `tower`, `embeddings` or both")
        for setting, is_set, reason in _NOT_FOR_EMBEDDINGS:
            if self.embeddings is not None and is_set(self):
                raise ValueError(
                    f"{setting} goes with `tower` alone, not with `embeddings`: {reason}"
                )
        if self.embeddings and self.embeddings.block_size[0] > 1:
            raise ValueError(
                f"embeddings.block_size {list(self.embeddings.block_size)}: rows of a table are no "
                "neighbours of each other; give blocks of 1 row"
            )
        if not self.l1 and self.l1_epochs != 1:
            raise ValueError(
                f"l1_epochs is {self.l1_epochs}, but l1 is 0: give l1 a weight greater than 0 or "
                "leave l1_epochs out"
            )
        return self


# What may not be set where the embedding table is pruned, and why.
_NOT_FOR_EMBEDDINGS: tuple[tuple[str, Callable[[Pruning], bool], str], ...] = (
    (
        "pattern '2:4'",
        lambda step: step.embeddings is not None and step.embeddings.pattern == "2:4",
        "it runs along the inputs of a kernel, and a table has none",
    ),
    (
        "importance 'taylor'",
        lambda step: step.importance == "taylor",
        "rows that batches seldom look up have little gradient and would go first; use magnitude",
    ),
    (
        "l1",
        lambda step: step.l1 > 0,
        "a penalty on all rows makes a step cost what the vocabulary costs; use ridge",
    ),
)


class Prune(FineTuned[Pruning]):
    """Zeroes the least important weights step by step while fine-tuning, then freezes the zeros.

    The sparsity follows tfmot's polynomial schedule  s_t = s + (0 - s) (1 - t / T)^3  up to the end
    of the ramp, or is s from the start; the best epoch is chosen among those after the ramp. By
    magnitude (Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878) tfmot recomputes and applies the
    masks; by Taylor importance `TaylorMasks` does, on the same schedule.
    """

    settings = Pruning
    stage = "pruned"
    place = 400
    component = "Pruner"
    leaves = {"zeros": "ranklite.models.compression.invariants:Zeros"}
    dimensions = (
        Dimension("sparsity", (0.0, 0.5, 0.8), "sparsity{:g}", (0.0, 0.8, 0.0, 0.0, 0.0)),
    )
    example = {"tower": {"sparsity": 0.5}, "epochs": 1, "ramp": 0.5}

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        if point["sparsity"] == 0.0:
            return None
        return {"tower": {"sparsity": point["sparsity"]}, "epochs": 3}

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        if self.config.embeddings is not None:
            check_one_matrix(model)
            check_width(model, self.config.embeddings)
        if self.config.tower is not None:
            kernels = kernel_shapes(model, features)
            check_kernels(kernels, TOWER)
            for name, (rows, columns) in kernels.items():
                check_pattern(name, rows, columns, self.config.tower)
        return model

    def _scope(self, role: family.Role | None) -> PruningScope | None:
        if role is None:  # the embedding table
            return self.config.embeddings
        return self.config.tower if role == "kernel" else None

    def check(self, checkpoint: Checkpoint) -> None:
        from ranklite.models.compression.sparsity import prunable_weights

        weights = prunable_weights(checkpoint.model)
        if self.config.embeddings is not None:
            check_one_matrix(checkpoint.config)
        if self.config.tower is not None:
            check_kernels(checkpoint.parts.kernels, TOWER)
        for name, scope in self._scopes(checkpoint.model).items():
            rows, columns = weights[name].shape
            check_pattern(name, rows, columns, scope)

    def first_final_epoch(self) -> int:
        return max(0, math.ceil(self.config.ramp * self.config.epochs) - 1)

    def _scopes(self, model: keras.Model) -> dict[str, PruningScope]:
        """How the layers that are pruned are pruned, by their own name."""
        from ranklite.models.compression.sparsity import prunable_weights

        scopes = {name: self._scope(family.role(model, name)) for name in prunable_weights(model)}
        return {name: scope for name, scope in scopes.items() if scope is not None}

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        if not self.config.l1:
            return checkpoint

        from ranklite.models.compression.fine_tuning import copy, fine_tuning
        from ranklite.models.compression.l1 import SoftThreshold
        from ranklite.models.compression.sparsity import prunable_weights
        from ranklite.models.training import fit as _training

        model = copy(checkpoint)
        weights = prunable_weights(model)
        _training.fit(
            model,
            checkpoint.layout,
            splits.train,
            splits.eval,
            fine_tuning(
                training, epochs=self.config.l1_epochs, learning_rate=self.config.learning_rate
            ),
            callbacks=[
                SoftThreshold([weights[name] for name in self._scopes(model)], self.config.l1)
            ],
            keep_best=False,  # the penalty costs accuracy now, so that pruning costs less
        )
        return dataclasses.replace(checkpoint, model=model)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        import tensorflow_model_optimization as tfmot
        import tf_keras as keras

        from ranklite.models.compression.fine_tuning import copy

        # tfmot's clone shares variables with its original: start from a copy.
        model = copy(checkpoint)
        if self.config.importance == "taylor":
            return model
        scopes = self._scopes(model)

        def wrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
            scope = scopes.get(layer.name)
            if scope is None or scope.sparsity == 0.0:
                return layer
            settings: dict[str, Any] = {"block_size": scope.block_size}
            if scope.pattern == "2:4":
                settings = {"sparsity_m_by_n": (2, 4)}
            return tfmot.sparsity.keras.prune_low_magnitude(
                layer, pruning_schedule=self._schedule(scope, steps_per_epoch), **settings
            )

        return keras.models.clone_model(model, clone_function=wrapped)

    def _schedule(
        self, scope: PruningScope, steps_per_epoch: int
    ) -> tfmot.sparsity.keras.PruningSchedule:
        """After which steps the masks are recomputed, and for which sparsity."""
        import tensorflow_model_optimization as tfmot

        from ranklite.models.compression.taylor import WINDOW

        steps = max(1, int(self.config.ramp * self.config.epochs * steps_per_epoch))
        frequency = max(1, steps // _UPDATES)
        at_once = self.config.schedule == "constant" or scope.pattern == "2:4"
        begin = 0
        if at_once and self.config.importance == "taylor":
            begin = min(WINDOW, steps // 2)  # the first mask decides all: not from one batch
        ramp = {"begin_step": begin, "end_step": steps - steps % frequency, "frequency": frequency}
        if self.config.schedule == "constant":
            return tfmot.sparsity.keras.ConstantSparsity(scope.sparsity, **ramp)
        return tfmot.sparsity.keras.PolynomialDecay(0.0, scope.sparsity, **ramp)

    def optimizer(
        self, model: keras.Model, training: TrainingConfig, rows: int
    ) -> TaylorAdam | None:
        if self.config.importance == "magnitude":
            return None

        from ranklite.models.compression.sparsity import prunable_weights
        from ranklite.models.compression.taylor import TaylorAdam
        from ranklite.models.training.fit import optimizer_settings

        weights = prunable_weights(model)
        return TaylorAdam(
            {name: weights[name] for name in self._scopes(model)},
            *optimizer_settings(training, rows),
        )

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        if self.config.importance == "magnitude":
            import tensorflow_model_optimization as tfmot

            return [tfmot.sparsity.keras.UpdatePruningStep()]

        from ranklite.models.compression.taylor import TaylorMasks

        return [TaylorMasks(model, self._scopes(model), self._schedule)]

    def strip(self, model: keras.Model) -> keras.Model:
        import tensorflow_model_optimization as tfmot

        return tfmot.sparsity.keras.strip_pruning(model)

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        from ranklite.models.compression.sparsity import (
            prunable_weights,
            sparsity,
            total_sparsity,
        )

        reached = sparsity(model)
        weights = prunable_weights(model)
        for name, scope in self._scopes(model).items():
            if reached[name] < scope.sparsity - _TOLERANCE:
                raise PostConditionFailed(
                    f"{name} has {reached[name]:.3f} zeros, {scope.sparsity} was asked for: give "
                    "pruning more epochs or a shorter ramp"
                )
            if scope.pattern == "2:4" and not holds_two_of_four(weights[name].numpy()):
                raise PostConditionFailed(f"{name} is not 2:4 sparse")
        return {"sparsity": total_sparsity(model), "sparsity_by_layer": reached}
