"""An Adam whose step costs what the batch costs, not what the embedding table costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

_SEEN = "seen"  # slot: the step in which a row was looked up last


@keras.utils.register_keras_serializable("ranklite")
class LazyAdam(keras.optimizers.legacy.Adam):
    r"""Adam (Kingma & Ba 2015) that updates only the rows of a table which the batch looked up.

    For a row i in the batch, with g_i the sum of its gradients and t the number of steps so far:

        g_i <- g_i + (l2 + ridge sqrt(D) (t - t_i)) w_i
        m_i <- b1 m_i + (1 - b1) g_i          v_i <- b2 v_i + (1 - b2) g_i^2
        w_i <- w_i - lr sqrt(1 - b2^t) / (1 - b1^t) * m_i / (sqrt(v_i) + eps)

    Other rows keep their weights and moments, where dense Adam would decay the moments of the whole
    table each step. `l2` is the gradient of the penalty  l2 / 2 sum_{i in batch} |w_i|^2:  a row
    pays once a step in which it is looked up, however often.

    `ridge` is the weight of  ridge / 2 |W|^2  a step, over all weights of rank 2: lambda / R with
    the lambda of ridge regression and R rows an epoch. A row of D columns pays for the steps since
    it was looked up last, at t_i, at once: rare rows pay as much as frequent ones, and a step costs
    what the batch costs. It pays sqrt(D) times as much as a kernel, so that <v_i, v_j>, a sum of D
    products, has the prior variance of a single weight. Dense gradients get plain Adam and `ridge`
    alone.

    Args:
      learning_rate: lr, a number or a schedule.
      l2: Weight of the penalty on looked-up rows.
      ridge: Weight of the penalty on all rows and kernels.
      **kwargs: Of `tf_keras.optimizers.legacy.Adam` (`beta_1`, `beta_2`, `epsilon`, ...).
    """

    def __init__(
        self, learning_rate: Any = 1e-3, l2: float = 0.0, ridge: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.l2, self.ridge = l2, ridge

    def _create_slots(self, var_list: Sequence[tf.Variable]) -> None:
        super()._create_slots(var_list)
        for var in var_list if self.ridge else ():
            if var.shape.rank == 2:
                self.add_slot(var, _SEEN, shape=var.shape[:1])

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
    ) -> tf.Operation:
        if self.ridge and var.shape.rank == 2:
            grad += self.ridge * var
        return super()._resource_apply_dense(grad, var, apply_state)

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Any = None
    ) -> tf.Operation:
        # The base class has summed the gradients of equal indices by now.
        names = ("m", "v", *((_SEEN,) if self.ridge and var.shape.rank == 2 else ()))
        slots = {name: local(self.get_slot(var, name)) for name in names}
        return self.update_rows(grad, var, indices, slots, apply_state)

    def update_rows(
        self,
        grad: tf.Tensor,
        var: tf.Variable,
        indices: tf.Tensor,
        slots: Mapping[str, tf.Variable],
        apply_state: Any = None,
    ) -> tf.Operation:
        """Updates some rows of a table, which may be one that this optimizer keeps no slots of.

        Args:
          grad: [N, D], of the rows.
          var: The table.
          indices: [N], which rows; each once.
          slots: `m`, `v` and `seen` of the table.
          apply_state: What Keras's base class prepared, where it calls.
        """
        key = (var.device, var.dtype.base_dtype)
        c = (apply_state or {}).get(key) or self._fallback_apply_state(*key)
        m, v = slots["m"], slots["v"]
        if self.l2:
            grad += self.l2 * tf.gather(var, indices)
        seen = []
        if self.ridge and var.shape.rank == 2:  # the scales of rows have no prior
            step = tf.cast(self.iterations + 1, var.dtype.base_dtype)
            last = slots[_SEEN]
            gap = step - tf.gather(last, indices)
            weight = self.ridge * math.sqrt(var.shape[1])
            grad += weight * gap[:, None] * tf.gather(var, indices)
            now = tf.fill(tf.shape(indices), step)
            seen = [last.scatter_update(tf.IndexedSlices(now, indices))]
        m_rows = c["beta_1_t"] * tf.gather(m, indices) + c["one_minus_beta_1_t"] * grad
        v_rows = c["beta_2_t"] * tf.gather(v, indices) + c["one_minus_beta_2_t"] * tf.square(grad)
        change = c["lr"] * m_rows / (tf.sqrt(v_rows) + c["epsilon"])
        return tf.group(
            m.scatter_update(tf.IndexedSlices(m_rows, indices)),
            v.scatter_update(tf.IndexedSlices(v_rows, indices)),
            var.scatter_sub(tf.IndexedSlices(change, indices)),
            *seen,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l2": self.l2, "ridge": self.ridge}


def local(variable: tf.Variable) -> tf.Variable:
    """A variable on the device that computes, where a strategy has one on each.

    Rows of such a one cannot be read: it would be read as a whole, and copied as a whole since some
    of its rows are written.
    """
    try:
        handle = variable.handle
    except ValueError:  # no device computes: between the replicas
        return variable
    copies = getattr(variable, "values", ())  # none of a plain variable
    return next((copy for copy in copies if copy.handle is handle), variable)
