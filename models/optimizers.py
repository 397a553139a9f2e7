"""An Adam whose step costs what the batch costs, not what the embedding table costs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.utils.register_keras_serializable("ranklite")
class LazyAdam(keras.optimizers.legacy.Adam):
    r"""Adam (Kingma & Ba 2015) that updates only the rows of a table which the batch looked up.

    For a row i in the batch, with g_i the sum of its gradients and t the global step:

        m_i <- b1 m_i + (1 - b1) g_i          v_i <- b2 v_i + (1 - b2) g_i^2
        w_i <- w_i - lr sqrt(1 - b2^t) / (1 - b1^t) * m_i / (sqrt(v_i) + eps)

    Other rows keep their weights and moments, where dense Adam would decay the moments of the whole
    table each step. Dense variables get plain Adam.
    """

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Any = None
    ) -> tf.Operation:
        device, dtype = var.device, var.dtype.base_dtype
        c = (apply_state or {}).get((device, dtype)) or self._fallback_apply_state(device, dtype)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m_rows = c["beta_1_t"] * tf.gather(m, indices) + c["one_minus_beta_1_t"] * grad
        v_rows = c["beta_2_t"] * tf.gather(v, indices) + c["one_minus_beta_2_t"] * tf.square(grad)
        step = c["lr"] * m_rows / (tf.sqrt(v_rows) + c["epsilon"])

        def scatter(op: Any, target: tf.Variable, rows: tf.Tensor) -> tf.Operation:
            return op(resource=target.handle, indices=indices, updates=rows)

        return tf.group(
            scatter(tf.raw_ops.ResourceScatterUpdate, m, m_rows),
            scatter(tf.raw_ops.ResourceScatterUpdate, v, v_rows),
            scatter(tf.raw_ops.ResourceScatterSub, var, step),
        )
