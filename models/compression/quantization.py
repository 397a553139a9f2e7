"""Quantization: calibrated, trained on with tfmot (Jacob et al. 2018), or after training only."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from models import data, progress, training
from models.checkpoint import Checkpoint
from models.compression.base import (
    KeepZeros,
    PostConditionFailed,
    Splits,
    Technique,
    compress,
    fine_tuning,
    lost_zeros,
    masks,
)
from models.compression.clustering import (
    CLUSTERED,
    KeepClusters,
    clustered_weights,
    distinct_values,
)
from models.compression.equalization import equalize
from models.compression_config import Quantization
from models.config import TrainingConfig
from models.deepfm import FLATTEN, TOWER, build_deepfm
from models.embeddings import EMBEDDING, WRAPPED_LAYERS, table_layers
from models.folding import fold_batch_norm
from models.layout import FeatureLayout
from models.quantize_config import QuantizeWeights
from models.recipe_rules import NotCompressible, check_four_bits, check_single_valued
from models.row_quantization import RowQuantizedEmbedding, SummedProducts
from models.sparsity import sparsity, total_sparsity

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
      kernels: Of the tower's kernels, by layer name; 8 where a layer is not named.
      table: The embedding table's format.
      activations: 8 or 16.
    """

    kernels: dict[str, int]
    table: str = "int8"
    activations: int = 8

    @classmethod
    def of(cls, config: Quantization, hidden: int) -> Bits:
        """What a configuration without `mixed` says for a tower of `hidden` layers."""
        bits = 8 if config.bits == "mixed" else int(config.bits)
        kernels = {f"{TOWER}_{k}": bits for k in range(hidden)}
        if config.format == "int16x8":  # a table with one scale would be stored in 16 bits
            table = config.table if config.table != "int8" else "int8_per_row"
            return cls(kernels, table, activations=16)
        return cls(kernels, config.table)

    @property
    def row_bits(self) -> int | None:
        """8 or 4 where each row has a scale of its own."""
        return {"int8_per_row": 8, "int4_per_row": 4}.get(self.table)


def _quantize_configs(
    layout: FeatureLayout, bits: Bits, table: dict[str, bool], stored: set[str]
) -> dict[str, QuantizeWeights]:
    """Where the fake-quantizers go, by layer name.

    The tower computes in integers from the table to its last hidden layer. The sum that makes the
    logit stays float, since an int8 logit has a few hundred distinct values. A standardized number
    keeps its float branch, which is small, because an outlier would eat its int8 range; the first
    hidden layer then needs a range of its own before the two are added. Rows with scales of their
    own reach the factorization machine as they are; only the tower's input gets a common range.

    Args:
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
        configs[FLATTEN] = output  # what comes from float arithmetic needs a range
    for k, (name, kernel_bits) in enumerate(bits.kernels.items()):
        added = k == 0 and layout.num_numeric > 0
        configs[name] = config(output=added, kernel_bits=kernel_bits)
        configs[f"{name}_relu"] = output
    return configs


def rounding_forms(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Models without batch normalization that compute the same function but round differently.

    Returns:
      The folded model, and the equalized one unless its kernels are clustered: equalizing gives
      every unit another factor, which shared values would not survive.
    """
    folded = fold_batch_norm(checkpoint)
    clustered = any(name.startswith(TOWER) for name in clustered_weights(folded.model))
    return [folded] if clustered else [folded, equalize(folded)]


class Quantize(Technique[Quantization]):
    """Calibrates the ranges of a model without batch normalization; trains with fake-quantization.

    tfmot starts its ranges at +-6 and moves them by a thousandth a step, which a short fine-tuning
    never recovers from: the ranges are measured first, over some batches of the float model. Zeros
    that pruning left stay zeros.
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
        return self._bits or Bits.of(self.config, len(checkpoint.config.hidden_units))

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        return fold_batch_norm(checkpoint)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        configs = self._configs(checkpoint)
        row_bits = self.bits(checkpoint).row_bits

        def annotate(layer: keras.layers.Layer) -> keras.layers.Layer:
            if row_bits and isinstance(layer, keras.layers.Embedding):
                bits = row_bits if layer.output_dim > 1 else 8
                return RowQuantizedEmbedding.from_config({**layer.get_config(), "bits": bits})
            if layer.name == f"{TOWER}_out" and 4 in self.bits(checkpoint).kernels.values():
                return SummedProducts.from_config(layer.get_config())
            if layer.name not in configs:
                return layer
            return tfmot.quantization.keras.quantize_annotate_layer(layer, configs[layer.name])

        copy = build_deepfm(checkpoint.layout, checkpoint.config)
        annotated = keras.models.clone_model(copy, clone_function=annotate)
        with tfmot.quantization.keras.quantize_scope(WRAPPED_LAYERS):
            model = tfmot.quantization.keras.quantize_apply(annotated, scheme=_AsAnnotated())
        for layer in model.layers:
            inner = getattr(layer, "layer", layer)
            source = checkpoint.model.get_layer(inner.name)
            for name in ("kernel", "bias", "embeddings", "factors", "rows"):
                if isinstance(getattr(source, name, None), tf.Variable):
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
            if inner is not None and inner.name in ranges:
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
            checkpoint.layout, self.bits(checkpoint), table_layers(checkpoint.model), stored
        )

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        return [KeepClusters(model), KeepZeros(model, masks(model))]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        lost = lost_zeros(masks(before.model), model)
        if lost:
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        clusters = {n: c for n, c in distinct_values(before.model).items() if c <= CLUSTERED}
        spread = {n: c for n, c in distinct_values(model).items() if c > clusters.get(n, c)}
        if spread:
            raise PostConditionFailed(f"clustered weights have drifted apart: {spread}")
        return {"sparsity": total_sparsity(model), "sparsity_by_layer": sparsity(model)}


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


def weight_bytes(checkpoint: Checkpoint, bits: Bits) -> int:
    """Bytes that a file stores of a float model's weights: integers, the scales of rows, floats."""
    tables = table_layers(checkpoint.model)
    total = 0
    for layer in checkpoint.model.layers:
        for weight in layer.weights:
            count = weight.shape.num_elements()
            if isinstance(layer, keras.layers.Embedding):
                row_bits = bits.row_bits if bits.row_bits and layer.output_dim > 1 else 8
                scales = weight.shape[0] if bits.row_bits and layer.output_dim > 1 else 0
                total += count * row_bits // 8 + scales
            elif weight.shape.rank == 2 and (layer.name in bits.kernels or tables.get(layer.name)):
                total += count * bits.kernels.get(layer.name, 8) // 8
            else:
                total += count * weight.dtype.size
    return total


def choose_bits(config: Quantization, folded: Checkpoint, splits: Splits) -> Bits:
    """Gives 4 bits to the layers where that costs least, until the weights fit.

    The sensitivity of a layer is the rise of the validation log loss when it alone goes from 8 to
    4 bits in the calibrated model; layers are taken in order of the rise for each byte saved (Dong
    et al. 2019 order by curvature, https://arxiv.org/abs/1905.03696; measuring is exact and cheap
    for a tower of a few layers).

    Args:
      config: With `max_weight_bytes`.
      folded: The float model without batch normalization.
      splits: Data to calibrate and measure on.

    Raises:
      NotCompressible: Not even 4 bits everywhere fit; the message has the least that does.
    """
    hidden = [f"{TOWER}_{k}" for k in range(len(folded.config.hidden_units))]
    start = Bits(dict.fromkeys(hidden, 8), "int8_per_row")
    candidates = {
        name: dataclasses.replace(start, kernels={**start.kernels, name: 4}) for name in hidden
    }
    candidates[EMBEDDING] = dataclasses.replace(start, table="int4_per_row")
    limit = config.max_weight_bytes
    assert limit is not None
    least = weight_bytes(folded, Bits(dict.fromkeys(hidden, 4), "int4_per_row"))
    if least > limit:
        raise NotCompressible(
            f"max_weight_bytes is {limit:,}, but with 4 bits everywhere the weights still take "
            f"{least:,}: raise it, remove rows or units first, or choose a smaller model"
        )

    def log_loss(bits: Bits) -> float:
        technique = Quantize(config, bits)
        model = technique.wrap(folded, 1)
        technique.initialize(model, folded, splits)
        return training.evaluate(model, folded.layout, splits.eval)["log_loss"]

    base, size = log_loss(start), weight_bytes(folded, start)
    rise = {
        name: (log_loss(bits) - base) / (size - weight_bytes(folded, bits))
        for name, bits in candidates.items()
    }
    chosen = start
    for name in sorted(rise, key=lambda name: rise[name]):
        if weight_bytes(folded, chosen) <= limit:
            break
        if name == EMBEDDING:
            chosen = dataclasses.replace(chosen, table="int4_per_row")
        else:
            chosen = dataclasses.replace(chosen, kernels={**chosen.kernels, name: 4})
    return chosen


def quantize(
    config: Quantization,
    checkpoint: Checkpoint,
    splits: Splits,
    training_config: TrainingConfig,
    *,
    log_dir: str | None = None,
) -> tuple[Checkpoint, Checkpoint]:
    """Quantizes a model and trains its float control.

    Args:
      config: What to do.
      checkpoint: The float model, pruned or not; it is not changed.
      splits: Data to train and validate on.
      training_config: The settings that the float model was trained with.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The quantized model, trained or only calibrated, whichever has the lower log loss on the
      validation split (`chosen` among its metrics says which), and the control: the folded float
      model, trained as long where the configuration asks for it.
    """
    if config.format in ("dynamic_range", "float16"):
        rounded = rounding_forms(checkpoint)[-1]
        metrics = training.evaluate(rounded.model, rounded.layout, splits.eval)
        return dataclasses.replace(rounded, metrics=dict(metrics), format=config.format), rounded
    trainings = 2 if config.control and config.epochs else 1
    start = calibrated(config, checkpoint, splits)
    before = start.metrics
    quantized = dataclasses.replace(
        start.form,
        model=start.model,
        metrics={**before, **start.technique.verify(start.form, start.model)},
        format=config.format,
    )
    figures: dict[str, Any] = {f"calibrated_{name}": value for name, value in before.items()}
    figures["chosen"] = "calibrated"
    if config.epochs:
        with progress.part("quantized" if trainings > 1 else "", 0, trainings):
            trained = compress(
                start.technique,
                start.form,
                splits,
                training_config,
                log_dir=log_dir and os.path.join(log_dir, "quantized"),
            )
        figures |= {f"trained_{name}": trained.metrics[name] for name in before}
        if trained.metrics["log_loss"] <= before["log_loss"]:
            figures["chosen"] = "trained"
            quantized = dataclasses.replace(trained, format=config.format)
    quantized.metrics.update(figures)
    with progress.part("control", trainings - 1, trainings):
        control = train_control(config, start.form, splits, training_config, log_dir=log_dir)
    progress.report(figures={"auc": quantized.metrics["auc"]})
    return quantized, control


class Calibrated(NamedTuple):
    """A calibrated model and what it was made of.

    Attributes:
      form: The float model without batch normalization.
      technique: With the bits that were chosen.
      model: With its fake-quantizers.
      metrics: On the validation split.
    """

    form: Checkpoint
    technique: Quantize
    model: keras.Model
    metrics: dict[str, float]


def calibrated(config: Quantization, checkpoint: Checkpoint, splits: Splits) -> Calibrated:
    """The form of a model that rounds best after calibration, by its validation log loss.

    Args:
      config: What to do.
      checkpoint: The float model; it is not changed.
      splits: Data to calibrate and measure on.

    Raises:
      NotCompressible: The configuration does not fit the model.
    """
    progress.report("calibrating")
    Quantize(config).check(checkpoint)
    candidates = []
    for form in rounding_forms(checkpoint):
        bits = choose_bits(config, form, splits) if config.bits == "mixed" else None
        technique = Quantize(config, bits)
        model = technique.wrap(form, 1)
        technique.initialize(model, form, splits)
        metrics = training.evaluate(model, form.layout, splits.eval)
        candidates.append(Calibrated(form, technique, model, metrics))
    return min(candidates, key=lambda candidate: candidate.metrics["log_loss"])


def train_control(
    config: Quantization,
    checkpoint: Checkpoint,
    splits: Splits,
    training_config: TrainingConfig,
    *,
    log_dir: str | None = None,
) -> Checkpoint:
    """The float model trained as long, on the same batches, with the same weights kept at zero.

    Args:
      config: Of the quantization that it is compared with.
      checkpoint: The float model; it is not changed.
      splits: Data to train and validate on.
      training_config: The settings that the float model was trained with.
      log_dir: Folder for TensorBoard; None logs nothing.

    Returns:
      The model, its batch normalization folded; untrained where `control` is off.
    """
    folded = fold_batch_norm(checkpoint)
    if not (config.control and config.epochs):
        return folded
    metrics = training.fit(
        folded.model,
        folded.layout,
        splits.train,
        splits.eval,
        fine_tuning(training_config, epochs=config.epochs, learning_rate=config.learning_rate),
        log_dir=log_dir and os.path.join(log_dir, "control"),
        callbacks=[KeepZeros(folded.model, masks(folded.model))],
    )
    return dataclasses.replace(folded, metrics=dict(metrics))
