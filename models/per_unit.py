"""Kernels with a scale for each unit."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

_quantizers = tfmot.quantization.keras.quantizers


@keras.utils.register_keras_serializable("ranklite")
class PerUnitDense(keras.layers.Dense):
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


class PerUnitQuantizer(_quantizers.LastValueQuantizer):  # type: ignore[name-defined]
    """Fake-quantizes a kernel [inputs, units], unit by unit, to [1, 1, inputs, units].

    In this form the convolution reads it: nothing may come between a range and its reader.

    Args:
      bits: 8.
    """

    def __init__(self, bits: int = 8) -> None:
        super().__init__(num_bits=bits, per_axis=True, symmetric=True, narrow_range=True)

    def __call__(self, inputs: tf.Tensor, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        return super().__call__(inputs[None, None], training, weights, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"bits": self.num_bits}
