"""Pruning by first-order Taylor importance (Molchanov et al. 2019, "Importance Estimation for
Neural Network Pruning", https://arxiv.org/abs/1906.10771)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from ranklite.models.compression.patterns import PruningScope
from ranklite.models.compression.sparsity import prunable_weights
from ranklite.models.training.lazy_adam import LazyAdam
from ranklite.models.training.resume import Arrays

WINDOW = 100  # batches that the average of the importance goes over, about
DECAY = 1 - 1 / WINDOW

Schedule = Callable[[PruningScope, int], "tfmot.sparsity.keras.PruningSchedule"]


class TaylorAdam(LazyAdam):
    r"""`LazyAdam` that also keeps the Taylor importance of some weights, from their gradients.

    To first order, the loss L changes by  -g_i w_i  when weight i becomes zero, g_i = dL / dw_i. Of
    the squares, over the batches of the training, it keeps the moving average

        I_i <- d I_i + (1 - d) (g_i w_i)^2,    d = 0.99

    A step costs the size of these weights more; other gradients, sparse ones above all, pass by.

    Args:
      weights: Dense weights to judge, by name.
      learning_rate: As for `LazyAdam`.
      l2: As for `LazyAdam`.
      ridge: As for `LazyAdam`.

    Attributes:
      importance: I by name, in the shape of the weight.
    """

    def __init__(
        self,
        weights: dict[str, tf.Variable],
        learning_rate: float,
        l2: float = 0.0,
        ridge: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, l2, ridge)
        self.importance = {
            name: tf.Variable(tf.zeros_like(weight), trainable=False)
            for name, weight in weights.items()
        }
        self._of_weight = {weights[name].ref(): i for name, i in self.importance.items()}

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, tf.Variable]], *args: Any, **kwargs: Any
    ) -> tf.Operation:
        pairs = list(grads_and_vars)
        for gradient, weight in pairs:
            importance = self._of_weight.get(weight.ref())
            if importance is not None:
                square = tf.square(gradient * weight)
                importance.assign(DECAY * importance + (1 - DECAY) * square)
        return super().apply_gradients(pairs, *args, **kwargs)

    def variables(self) -> list[tf.Variable]:
        return [*super().variables(), *self.importance.values()]


def keep_mask(
    importance: npt.NDArray[np.float32], scope: PruningScope, sparsity: float
) -> npt.NDArray[np.bool_]:
    """Which weights of a kernel stay: the most important ones that the pattern allows.

    A block is as important as the sum of its weights. Pattern 2:4 keeps the two most important of
    each four inputs of a unit.

    Args:
      importance: [inputs, units].
      scope: Its pattern divides the kernel.
      sparsity: Share of the weights that go, but for rounding to whole blocks; 2:4 ignores it.

    Returns:
      [inputs, units], True where a weight stays; at least one block does.
    """
    rows, columns = importance.shape
    if scope.pattern == "2:4":
        fours = importance.reshape(rows // 4, 4, columns)
        rank = np.argsort(np.argsort(-fours, axis=1, kind="stable"), axis=1)
        return (rank < 2).reshape(rows, columns)
    height, width = scope.block_size
    blocks = importance.reshape(rows // height, height, columns // width, width).sum(axis=(1, 3))
    kept = max(1, round(blocks.size * (1 - sparsity)))
    keep = np.zeros(blocks.shape, np.bool_)
    keep.flat[np.argsort(-blocks, axis=None, kind="stable")[:kept]] = True
    return keep.repeat(height, axis=0).repeat(width, axis=1)


class TaylorMasks(keras.callbacks.Callback):
    """Recomputes masks from the importance that `TaylorAdam` keeps, and applies them every step.

    A weight that was masked once stays at zero: without a weight, nothing tells its importance.

    Args:
      model: The model being trained, by a `TaylorAdam`.
      scopes: How to prune its layers, by layer name.
      schedule: Gives tfmot's schedule for a scope and the steps of an epoch.
    """

    def __init__(
        self, model: keras.Model, scopes: dict[str, PruningScope], schedule: Schedule
    ) -> None:
        super().__init__()
        weights = prunable_weights(model)
        self._scopes, self._schedule = scopes, schedule
        self._weights = {name: weights[name] for name in scopes}
        self._masks = {name: np.ones(w.shape, np.float32) for name, w in self._weights.items()}
        self._step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._schedules = {
            name: self._schedule(scope, self.params["steps"])
            for name, scope in self._scopes.items()
        }

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        for name, scope in self._scopes.items():
            due, sparsity = self._schedules[name](self._step)
            if due and scope.sparsity:
                importance = self.model.optimizer.importance[name].numpy()
                importance[self._masks[name] == 0] = -1.0  # below all others, which are squares
                self._masks[name] = keep_mask(importance, scope, float(sparsity)).astype(np.float32)
            self._weights[name].assign(self._weights[name] * self._masks[name])

    def state(self) -> Arrays:
        return {"step": np.array(self._step), **{f"mask/{n}": m for n, m in self._masks.items()}}

    def resume(self, state: Arrays) -> None:
        self._step = int(state["step"])
        self._masks = {name: state[f"mask/{name}"] for name in self._masks}
