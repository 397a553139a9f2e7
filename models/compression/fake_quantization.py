"""Fake-quantizers of tfmot in a float model: where they go, and how their ranges start."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.parts import Parts
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.per_channel import LEAST_RANGE, PerChannelDense, unit_ranges
from ranklite.models.layers.quantizers import QuantizeWeights, unwrapped_variable, weight_names
from ranklite.models.layers.row_quantization import RowQuantizedEmbedding, SummedProducts
from ranklite.models.layers.tables import WRAPPED_LAYERS, table_layers
from ranklite.models.memory import give_back


class _AsAnnotated(tfmot.quantization.keras.QuantizeScheme):
    """Quantizes what was annotated and rearranges nothing: every range is placed by hand."""

    class _Layout:
        def apply(self, model: keras.Model, layers: Any) -> tuple[keras.Model, Any]:
            return model, layers

    class _Registry:
        def supports(self, layer: Any) -> bool:
            return False

        def get_quantize_config(self, layer: Any) -> None:
            return None

    def get_layout_transformer(self) -> Any:
        return self._Layout()

    def get_quantize_registry(self) -> Any:
        return self._Registry()


@dataclasses.dataclass(frozen=True)
class Bits:
    """How many bits everything gets.

    Attributes:
      kernels: Of the large kernels, by layer name; 8 where a layer is not named.
      table: The embedding table's format.
      activations: 8 or 16.
      per_channel: Whether the large kernels have a scale for each unit.
    """

    kernels: dict[str, int]
    table: str = "int8"
    activations: int = 8
    per_channel: bool = False

    @property
    def row_bits(self) -> int | None:
        """8 or 4 where each row has a scale of its own."""
        return {"int8_per_row": 8, "int4_per_row": 4}.get(self.table)


def _by_layer(
    parts: Parts, layout: FeatureLayout, bits: Bits, table: dict[str, bool], stored: set[str]
) -> dict[str, QuantizeWeights]:
    """Where the fake-quantizers go, by layer name.

    The large kernels compute in integers, from the table to the last hidden layer. The sum that
    makes the logit stays float, since an int8 logit has a few hundred distinct values. A
    standardized number keeps its float branch, which is small, because an outlier would eat its
    int8 range; a product then needs a range of its own before the two are added. Rows with scales
    of their own reach float arithmetic as they are; only what a kernel reads gets a common range.

    Args:
      parts: Of the model.
      layout: Of the model.
      bits: How many there are.
      table: What its tables are made of, from `table_layers`.
      stored: Those of them that are looked up in.
    """

    def config(**changes: Any) -> QuantizeWeights:
        return QuantizeWeights(output_bits=bits.activations, **changes)

    output = config(output=True, kernel=False)
    configs = {
        name: config(output=True, kernel=kernel)
        for name, kernel in table.items()
        if not (bits.row_bits and name in stored)
    }
    if bits.row_bits or any(field.length > 1 for field in layout.fields):
        configs |= dict.fromkeys(parts.inputs, output)  # they come from float arithmetic
    configs |= dict.fromkeys(parts.ranges, output)
    for name in parts.kernels:
        configs[name] = config(
            output=name in parts.ranges,
            kernel_bits=bits.kernels.get(name, 8),
            per_channel=bits.per_channel,
        )
    return configs


def quantize_configs(checkpoint: Checkpoint, bits: Bits) -> dict[str, QuantizeWeights]:
    """Where the fake-quantizers of a model without batch normalization go, by layer name."""
    stored = {
        layer.name for layer in checkpoint.model.layers if isinstance(layer, keras.layers.Embedding)
    }
    return _by_layer(
        checkpoint.parts, checkpoint.layout, bits, table_layers(checkpoint.model), stored
    )


@tf.autograph.experimental.do_not_convert  # as in a training step (`RankingModel.train_step`)
def fake_quantized(checkpoint: Checkpoint, bits: Bits) -> keras.Model:
    """The model with fake-quantizers, their ranges not set.

    Args:
      checkpoint: A float model without batch normalization; it is not changed.
      bits: What each layer gets.
    """
    configs = quantize_configs(checkpoint, bits)
    row_bits = bits.row_bits
    heads = checkpoint.parts.heads if 4 in bits.kernels.values() else ()

    def annotate(layer: keras.layers.Layer) -> keras.layers.Layer:
        if row_bits and isinstance(layer, keras.layers.Embedding):
            own = row_bits if layer.output_dim > 1 else 8
            return RowQuantizedEmbedding.from_config({**layer.get_config(), "bits": own})
        if layer.name in heads:
            return SummedProducts.from_config(layer.get_config())
        if layer.name not in configs:
            return layer
        if configs[layer.name].per_channel:
            layer = PerChannelDense.from_config(layer.get_config())
        return tfmot.quantization.keras.quantize_annotate_layer(layer, configs[layer.name])

    annotated = keras.models.clone_model(checkpoint.rebuilt().model, clone_function=annotate)
    model = annotated
    if configs:  # tfmot refuses a model without any: rows with scales of their own, and no kernel
        with tfmot.quantization.keras.quantize_scope(WRAPPED_LAYERS):
            model = tfmot.quantization.keras.quantize_apply(annotated, scheme=_AsAnnotated())
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        source = checkpoint.model.get_layer(inner.name)
        for name in weight_names(source):
            unwrapped_variable(layer, inner, name).assign(getattr(source, name))
        if isinstance(layer, RowQuantizedEmbedding):
            layer.fit_unit()
    del annotated
    give_back()  # tfmot makes two models on the way
    return model


def set_ranges(
    model: keras.Model, ranges: dict[str, tuple[float, float]], *, symmetric: bool
) -> None:
    """Starts the ranges of a fake-quantized model: outputs as measured, kernels by their weights.

    Args:
      model: From `fake_quantized`; it is changed.
      ranges: Least and greatest output by layer name, from `calibrate`.
      symmetric: Whether ranges reach as far below zero as above it, as 16-bit activations do.
    """
    for layer in model.layers:
        inner = getattr(layer, "layer", None)
        if inner is None:
            continue
        _fit_kernel_range(layer)
        if inner.name in ranges:
            low, high = ranges[inner.name]
            if symmetric:
                low, high = -max(-low, high), max(-low, high)
            for variable in layer.variables:
                if variable.name.endswith("output_min:0"):
                    variable.assign(low)
                elif variable.name.endswith("output_max:0"):
                    variable.assign(high)


def _fit_kernel_range(layer: keras.layers.Layer) -> None:
    """Sets the range of a wrapped kernel, for all units or unit by unit, from its weights."""
    result = {variable.name.rpartition("/")[2]: variable for variable in layer.variables}
    if "kernel_max:0" not in result:
        return
    least, greatest = result["kernel_min:0"], result["kernel_max:0"]
    kernel = result["kernel:0"].numpy()
    largest = unit_ranges(kernel) if greatest.shape.rank else max(np.abs(kernel).max(), LEAST_RANGE)
    least.assign(-largest)
    greatest.assign(largest)
