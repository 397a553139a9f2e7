"""L1 regularization by proximal steps (Beck & Teboulle 2009, https://doi.org/10.1137/080716542)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


class SoftThreshold(keras.callbacks.Callback):
    r"""Shrinks weights towards zero after every step, and to exactly zero where they arrive.

    The proximal step of the penalty  l1 sum_i |w_i|  for the rate lr_t of the step:

        w_i <- sign(w_i) max(|w_i| - lr_t l1, 0)

    It follows Adam's step instead of joining the gradient, so that a weight's shrinkage does not
    depend on the size of its gradients (as Loshchilov & Hutter 2019 decouple weight decay, with the
    rate in place of their schedule). Unlike a gradient of l1 sign(w) it gives exact zeros and does
    not swing around them.

    Args:
      weights: Dense kernels; a step costs their size.
      l1: Weight of the penalty.
    """

    def __init__(self, weights: Sequence[tf.Variable], l1: float) -> None:
        super().__init__()
        self._weights, self._l1 = weights, l1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        threshold = keras.backend.get_value(self.model.optimizer.lr) * self._l1
        for weight in self._weights:
            weight.assign(tf.sign(weight) * tf.maximum(tf.abs(weight) - threshold, 0.0))
