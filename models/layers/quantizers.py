"""Which tensors of a layer tfmot quantizes; apart from the technique, so that loading finds it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from ranklite.models.layers.per_channel import PerChannelQuantizer

_quantizers = tfmot.quantization.keras.quantizers


@keras.utils.register_keras_serializable("ranklite")
class QuantizeWeights(tfmot.quantization.keras.QuantizeConfig):
    """A kernel of 8 or 4 bits, symmetric, and optionally an output of 8, asymmetric, or 16.

    TFLite's kernels with 16-bit activations take symmetric ones only.

    Args:
      output: Quantize the output too.
      kernel: Quantize the kernel.
      kernel_bits: 8 or 4.
      output_bits: 8 or 16.
      per_channel: The kernel has a scale for each unit; the layer is a `PerChannelDense`.
    """

    def __init__(
        self,
        output: bool = False,
        kernel: bool = True,
        kernel_bits: int = 8,
        output_bits: int = 8,
        per_channel: bool = False,
    ) -> None:
        self.output, self.kernel, self.per_channel = output, kernel, per_channel
        self.kernel_bits, self.output_bits = kernel_bits, output_bits

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        if not self.kernel:
            return []
        if self.per_channel:
            return [(layer.kernel, PerChannelQuantizer(self.kernel_bits))]
        quantizer = _quantizers.LastValueQuantizer(
            num_bits=self.kernel_bits, per_axis=False, symmetric=True, narrow_range=True
        )
        return [(layer.kernel, quantizer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        if self.kernel:
            (layer.kernel,) = quantize_weights

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """There are none."""

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        if not self.output:
            return []
        wide = self.output_bits == 16
        return [
            _quantizers.MovingAverageQuantizer(
                num_bits=self.output_bits, per_axis=False, symmetric=wide, narrow_range=wide
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "kernel": self.kernel,
            "kernel_bits": self.kernel_bits,
            "output_bits": self.output_bits,
            "per_channel": self.per_channel,
        }


def weight_names(layer: keras.layers.Layer) -> list[str]:
    """The weights of a layer that is not wrapped, by the names of its attributes."""
    names = [weight.name.rpartition("/")[2].removesuffix(":0") for weight in layer.weights]
    return [name for name in names if isinstance(getattr(layer, name, None), tf.Variable)]


def unwrapped_variable(
    layer: keras.layers.Layer, inner: keras.layers.Layer, name: str
) -> tf.Variable:
    """A weight of a layer, which a quantizing wrapper keeps for itself if it quantizes it."""
    for variable in layer.trainable_weights:
        if variable.name.endswith(f"{name}:0"):
            return variable
    return getattr(inner, name)
