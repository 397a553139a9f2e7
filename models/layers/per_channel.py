"""Kernels with a scale for each unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

_quantizers = tfmot.quantization.keras.quantizers
LEAST_RANGE = 1e-4  # of a kernel: the bias of one of zeros still fits into 32 bits
_SPREAD = 2.0**-12  # least range of a unit, in that of its kernel: a bias is stored in steps of it


@keras.utils.register_keras_serializable("ranklite")
class PerChannelDense(keras.layers.Dense):
    """A Dense layer that a file stores as a convolution of 1 x 1.

    It is the same product, as fast, but the converter gives scales of their own to the channels of
    a convolution only: the kernel of a product it would have to transpose, which it refuses for
    numbers that do not share a scale.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = self.kernel if len(self.kernel.shape) == 4 else self.kernel[None, None]
        outputs = tf.nn.conv2d(inputs[:, None, None], kernel, strides=1, padding="VALID")
        outputs = tf.reshape(outputs, [-1, self.units])
        return outputs + self.bias if self.use_bias else outputs


class PerChannelQuantizer(_quantizers.LastValueQuantizer):  # type: ignore[name-defined]
    """Fake-quantizes a kernel [inputs, units], unit by unit, to [1, 1, inputs, units].

    In this form the convolution reads it: nothing may come between a range and its reader. The
    range of a unit is its largest weight, or a share of the kernel's largest where all of its
    weights are smaller still, since the unit's bias is an integer times a step of that range.

    Args:
      bits: 8.
    """

    def __init__(self, bits: int = 8) -> None:
        super().__init__(num_bits=bits, per_axis=True, symmetric=True, narrow_range=True)

    def __call__(
        self, inputs: tf.Tensor, training: bool, weights: dict[str, tf.Variable], **kwargs: Any
    ) -> tf.Tensor:
        low, high = weights["min_var"], weights["max_var"]
        if training:
            bound = unit_ranges(tf.stop_gradient(inputs))
            low, high = low.assign(-bound), high.assign(bound)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            inputs[None, None], low, high, num_bits=self.num_bits, narrow_range=True
        )

    def get_config(self) -> dict[str, Any]:
        return {"bits": self.num_bits}


def unit_ranges(kernel: tf.Tensor | npt.NDArray[np.float32]) -> tf.Tensor:
    """Range [units] of each unit of a kernel [inputs, units]: its weights lie within +- that."""
    size = tf.abs(kernel)
    return tf.maximum(tf.reduce_max(size, axis=0), LEAST_RANGE + _SPREAD * tf.reduce_max(size))
