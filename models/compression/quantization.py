"""Quantization: calibrated, trained on with tfmot (Jacob et al. 2018), or after training only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.architectures.parts import Parts
from ranklite.models.compression.clustering import KeepClusters, clustered_weights, distinct_values
from ranklite.models.compression.config import Quantization
from ranklite.models.compression.rules import check_four_bits, check_single_valued
from ranklite.models.compression.sparsity import sparsity, total_sparsity
from ranklite.models.compression.technique import (
    KeepZeros,
    PostConditionFailed,
    Splits,
    Technique,
    lost_zeros,
    masks,
)
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.per_channel import LEAST_RANGE, PerUnitDense, unit_ranges
from ranklite.models.layers.quantizers import QuantizeWeights
from ranklite.models.layers.row_quantization import RowQuantizedEmbedding, SummedProducts
from ranklite.models.layers.tables import WRAPPED_LAYERS, table_layers
from ranklite.models.training import data
from ranklite.models.training.config import TrainingConfig

CALIBRATION_ROWS = 1024


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
      per_unit: Whether the large kernels have a scale for each unit.
    """

    kernels: dict[str, int]
    table: str = "int8"
    activations: int = 8
    per_unit: bool = False

    @classmethod
    def of(cls, config: Quantization, names: Iterable[str]) -> Bits:
        """What a configuration without `mixed` says for kernels of some names."""
        kernels = dict.fromkeys(names, 8 if config.bits == "mixed" else int(config.bits))
        if config.format == "int16x8":  # a table with one scale would be stored in 16 bits
            table = config.table if config.table != "int8" else "int8_per_row"
            return cls(kernels, table, activations=16)
        return cls(kernels, config.table, per_unit=config.scales == "unit")

    @property
    def row_bits(self) -> int | None:
        """8 or 4 where each row has a scale of its own."""
        return {"int8_per_row": 8, "int4_per_row": 4}.get(self.table)


def _quantize_configs(
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
            per_unit=bits.per_unit,
        )
    return configs


class Quantize(Technique[Quantization]):
    """Calibrates the ranges of a model without batch normalization; trains with fake-quantization.

    tfmot starts its ranges at +-6, those of kernels until the first training step, and moves those
    of activations by a thousandth a step, which a short fine-tuning never recovers from: the ranges
    are measured first, over some batches of the float model. Zeros that pruning left stay zeros.
    """

    def __init__(self, config: Quantization, bits: Bits | None = None) -> None:
        super().__init__(config)
        self._bits = bits

    def check(self, checkpoint: Checkpoint) -> None:
        if self.config.format == "int16x8":
            check_single_valued([f.name for f in checkpoint.layout.fields if f.length > 1])
        if self.config.bits != 8:
            check_four_bits(checkpoint.config)

    def bits(self, checkpoint: Checkpoint) -> Bits:
        """How many bits each layer of a model gets."""
        return self._bits or Bits.of(self.config, checkpoint.parts.kernels)

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        return fold_batch_norm(checkpoint)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        configs = self._configs(checkpoint)
        row_bits = self.bits(checkpoint).row_bits
        heads = checkpoint.parts.heads if 4 in self.bits(checkpoint).kernels.values() else ()

        def annotate(layer: keras.layers.Layer) -> keras.layers.Layer:
            if row_bits and isinstance(layer, keras.layers.Embedding):
                bits = row_bits if layer.output_dim > 1 else 8
                return RowQuantizedEmbedding.from_config({**layer.get_config(), "bits": bits})
            if layer.name in heads:
                return SummedProducts.from_config(layer.get_config())
            if layer.name not in configs:
                return layer
            if configs[layer.name].per_unit:
                layer = PerUnitDense.from_config(layer.get_config())
            return tfmot.quantization.keras.quantize_annotate_layer(layer, configs[layer.name])

        annotated = keras.models.clone_model(checkpoint.rebuilt().model, clone_function=annotate)
        with tfmot.quantization.keras.quantize_scope(WRAPPED_LAYERS):
            model = tfmot.quantization.keras.quantize_apply(annotated, scheme=_AsAnnotated())
        for layer in model.layers:
            inner = getattr(layer, "layer", layer)
            source = checkpoint.model.get_layer(inner.name)
            for name in weight_names(source):
                unwrapped_variable(layer, inner, name).assign(getattr(source, name))
            if isinstance(layer, RowQuantizedEmbedding):
                layer.fit_unit()
        return model

    def initialize(self, model: keras.Model, checkpoint: Checkpoint, splits: Splits) -> None:
        ranges = calibrate(
            checkpoint,
            [name for name, c in self._configs(checkpoint).items() if c.output],
            splits,
            self.config.calibration_batches,
            seed=0,
        )
        for layer in model.layers:
            inner = getattr(layer, "layer", None)
            if inner is None:
                continue
            _fit_kernel_range(layer)
            if inner.name in ranges:
                low, high = ranges[inner.name]
                if self.config.format == "int16x8":
                    low, high = -max(-low, high), max(-low, high)
                for variable in layer.variables:
                    if variable.name.endswith("output_min:0"):
                        variable.assign(low)
                    elif variable.name.endswith("output_max:0"):
                        variable.assign(high)

    def _configs(self, checkpoint: Checkpoint) -> dict[str, QuantizeWeights]:
        stored = {
            layer.name
            for layer in checkpoint.model.layers
            if isinstance(layer, keras.layers.Embedding)
        }
        return _quantize_configs(
            checkpoint.parts,
            checkpoint.layout,
            self.bits(checkpoint),
            table_layers(checkpoint.model),
            stored,
        )

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        return [KeepClusters(model), KeepZeros(model, masks(model))]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        lost = lost_zeros(masks(before.model), model)
        if lost:
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        now = distinct_values(model)
        clustered = clustered_weights(before.model)
        spread = {n: now[n] for n, count in clustered.items() if now[n] > count}
        if spread:
            raise PostConditionFailed(f"clustered weights have drifted apart: {spread}")
        return {"sparsity": total_sparsity(model), "sparsity_by_layer": sparsity(model)}


def _fit_kernel_range(layer: keras.layers.Layer) -> None:
    """Sets the range of a wrapped kernel, for all units or unit by unit, from its weights."""
    found = {variable.name.rpartition("/")[2]: variable for variable in layer.variables}
    if "kernel_max:0" not in found:
        return
    least, greatest = found["kernel_min:0"], found["kernel_max:0"]
    kernel = found["kernel:0"].numpy()
    largest = unit_ranges(kernel) if greatest.shape.rank else max(np.abs(kernel).max(), LEAST_RANGE)
    least.assign(-largest)
    greatest.assign(largest)


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


def calibrate(
    checkpoint: Checkpoint, layers: list[str], splits: Splits, batches: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Least and greatest output of some layers of a float model, 0 included.

    Args:
      checkpoint: The float model.
      layers: Names of the layers.
      splits: Its train split is read.
      batches: Batches of CALIBRATION_ROWS to read.
      seed: Which ones.

    Returns:
      (min, max) by layer name.
    """
    model = checkpoint.model
    probe = keras.Model(model.inputs, {name: model.get_layer(name).output for name in layers})

    @tf.function(autograph=False)
    def extremes(features: dict[str, tf.Tensor]) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        outputs = probe(features, training=False)
        return {name: (tf.reduce_min(v), tf.reduce_max(v)) for name, v in outputs.items()}

    low, high = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0.0)
    rows = data.dataset(
        splits.train, checkpoint.layout, CALIBRATION_ROWS, shuffle_rows=100_000, seed=seed
    )
    for features, _ in rows.take(batches):
        for name, (least, greatest) in extremes(features).items():
            low[name] = min(low[name], float(least))
            high[name] = max(high[name], float(greatest))
    return {name: (low[name], max(high[name], low[name] + 1e-6)) for name in layers}
