"""Which tensors of a layer tfmot quantizes; apart from the technique, so that loading finds it."""

from __future__ import annotations

from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

_quantizers = tfmot.quantization.keras.quantizers


@keras.utils.register_keras_serializable("ranklite")
class QuantizeWeights(tfmot.quantization.keras.QuantizeConfig):
    """int8 kernel, symmetric, and optionally an int8 output, asymmetric.

    Args:
      output: Quantize the output too.
      kernel: Quantize the kernel.
    """

    def __init__(self, output: bool = False, kernel: bool = True) -> None:
        self.output = output
        self.kernel = kernel

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        if not self.kernel:
            return []
        quantizer = _quantizers.LastValueQuantizer(
            num_bits=8, per_axis=False, symmetric=True, narrow_range=True
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
        return [
            _quantizers.MovingAverageQuantizer(
                num_bits=8, per_axis=False, symmetric=False, narrow_range=False
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return {"output": self.output, "kernel": self.kernel}
