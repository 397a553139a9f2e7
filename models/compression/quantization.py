"""Calibrated int8 quantization-aware training with tfmot (Jacob et al. 2018)."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from models import data, training
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
    sparsity,
    total_sparsity,
)
from models.config import Quantization, TrainingConfig
from models.deepfm import TOWER, build_deepfm
from models.embeddings import WRAPPED_LAYERS, table_layers
from models.folding import fold_batch_norm
from models.layout import FeatureLayout
from models.quantize_config import QuantizeWeights

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


def _quantize_configs(
    layout: FeatureLayout, hidden: int, table: dict[str, bool]
) -> dict[str, QuantizeWeights]:
    """Where the fake-quantizers go, by layer name.

    The tower computes in int8 from the table to its last hidden layer. The sum that makes the logit
    stays float, since an int8 logit has a few hundred distinct values. A standardized number keeps
    its float branch, which is small, because an outlier would eat its int8 range; the first hidden
    layer then needs a range of its own before the two are added.

    Args:
      layout: Of the model.
      hidden: Its number of hidden layers.
      table: What its tables are made of, from `table_layers`.
    """
    output = QuantizeWeights(output=True, kernel=False)
    configs = {name: QuantizeWeights(output=True, kernel=kernel) for name, kernel in table.items()}
    if any(field.length > 1 for field in layout.fields):
        configs["flatten"] = output  # pooling computes in float: its result needs a range
    for k in range(hidden):
        added = k == 0 and layout.num_numeric > 0
        configs[f"{TOWER}_{k}"] = QuantizeWeights(output=added)
        configs[f"{TOWER}_{k}_relu"] = output
    return configs


class Quantize(Technique[Quantization]):
    """Folds batch normalization, calibrates the ranges and trains on with fake-quantization.

    tfmot starts its ranges at +-6 and moves them by a thousandth a step, which a short fine-tuning
    never recovers from: the ranges are measured first, over some batches of the float model. Zeros
    that pruning left stay zeros.
    """

    def check(self, checkpoint: Checkpoint) -> None:
        """Every DeepFM can be quantized."""

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        return fold_batch_norm(checkpoint)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        configs = self._configs(checkpoint)

        def annotate(layer: keras.layers.Layer) -> keras.layers.Layer:
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
                    _variable(layer, inner, name).assign(getattr(source, name))
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
                for variable in layer.variables:
                    if variable.name.endswith("output_min:0"):
                        variable.assign(low)
                    elif variable.name.endswith("output_max:0"):
                        variable.assign(high)

    def _configs(self, checkpoint: Checkpoint) -> dict[str, QuantizeWeights]:
        return _quantize_configs(
            checkpoint.layout,
            len(checkpoint.config.hidden_units),
            table_layers(checkpoint.model),
        )

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        return [KeepZeros(model, masks(model))]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        lost = lost_zeros(masks(before.model), model)
        if lost:
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        return {"sparsity": total_sparsity(model), "sparsity_by_layer": sparsity(model)}


def _variable(layer: keras.layers.Layer, inner: keras.layers.Layer, name: str) -> tf.Variable:
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
    folded = fold_batch_norm(checkpoint)
    technique = Quantize(config)
    calibrated = technique.wrap(folded, 1)
    technique.initialize(calibrated, folded, splits)
    before = training.evaluate(calibrated, folded.layout, splits.eval)
    quantized = dataclasses.replace(
        folded,
        model=calibrated,
        metrics={**before, **technique.verify(folded, calibrated), "chosen": "calibrated"},
    )
    figures = {f"calibrated_{name}": value for name, value in before.items()}
    if config.epochs:
        trained = compress(
            technique,
            checkpoint,
            splits,
            training_config,
            log_dir=log_dir and os.path.join(log_dir, "quantized"),
        )
        figures |= {f"trained_{name}": trained.metrics[name] for name in before}
        if trained.metrics["log_loss"] <= before["log_loss"]:
            trained.metrics["chosen"] = "trained"
            quantized = trained
    quantized.metrics.update(figures)
    control = train_control(config, folded, splits, training_config, log_dir=log_dir)
    return quantized, control


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
