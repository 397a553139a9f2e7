"""Pruning of weights and blocks while fine-tuning: by magnitude with tfmot, or by Taylor."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from ranklite.models.architectures import family
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.config import Pruning, PruningScope
from ranklite.models.compression.l1 import SoftThreshold
from ranklite.models.compression.rules import check_one_matrix, check_pattern
from ranklite.models.compression.sparsity import prunable_weights, sparsity, total_sparsity
from ranklite.models.compression.taylor import WINDOW, TaylorAdam, TaylorMasks
from ranklite.models.compression.technique import (
    PostConditionFailed,
    Splits,
    Technique,
    copy,
    fine_tuning,
)
from ranklite.models.training import fit as _training
from ranklite.models.training.config import TrainingConfig

_UPDATES = 100  # how often at most the masks are recomputed along the ramp
_TOLERANCE = 0.02  # a layer's sparsity may miss its target by rounding to whole blocks


class Prune(Technique[Pruning]):
    """Zeroes the least important weights step by step while fine-tuning, then freezes the zeros.

    The sparsity follows tfmot's polynomial schedule  s_t = s + (0 - s) (1 - t / T)^3  up to the end
    of the ramp, or is s from the start; the best epoch is chosen among those after the ramp. By
    magnitude (Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878) tfmot recomputes and applies the
    masks; by Taylor importance `TaylorMasks` does, on the same schedule.
    """

    def _scope(self, role: family.Role | None) -> PruningScope | None:
        if role is None:  # the embedding table
            return self.config.embeddings
        return self.config.tower if role == "kernel" else None

    def check(self, checkpoint: Checkpoint) -> None:
        weights = prunable_weights(checkpoint.model)
        if self.config.embeddings is not None:
            check_one_matrix(checkpoint.config)
        for name, scope in self._scopes(checkpoint.model).items():
            rows, columns = weights[name].shape
            check_pattern(name, rows, columns, scope)

    def first_final_epoch(self) -> int:
        return max(0, math.ceil(self.config.ramp * self.config.epochs) - 1)

    def _scopes(self, model: keras.Model) -> dict[str, PruningScope]:
        """How the layers that are pruned are pruned, by their own name."""
        scopes = {name: self._scope(family.role(model, name)) for name in prunable_weights(model)}
        return {name: scope for name, scope in scopes.items() if scope is not None}

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        if not self.config.l1:
            return checkpoint
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

    def optimizer(self, model: keras.Model, training: TrainingConfig) -> TaylorAdam | None:
        if self.config.importance == "magnitude":
            return None
        weights = prunable_weights(model)
        return TaylorAdam(
            {name: weights[name] for name in self._scopes(model)},
            training.learning_rate,
            training.embedding_l2,
        )

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        if self.config.importance == "magnitude":
            return [tfmot.sparsity.keras.UpdatePruningStep()]
        return [TaylorMasks(model, self._scopes(model), self._schedule)]

    def strip(self, model: keras.Model) -> keras.Model:
        return tfmot.sparsity.keras.strip_pruning(model)

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
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


def holds_two_of_four(kernel: npt.NDArray[np.float32]) -> bool:
    """Whether each four weights in a row of a kernel, or each four in a column, have two zeros.

    Args:
      kernel: [inputs, units].
    """

    def along(matrix: npt.NDArray[np.float32]) -> bool:
        if matrix.shape[1] % 4:
            return False
        fours = matrix.reshape(matrix.shape[0], -1, 4)
        return bool(((fours == 0).sum(axis=2) >= 2).all())

    return along(kernel) or along(kernel.T)
