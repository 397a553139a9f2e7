"""Ranges of the outputs of a float model, measured before it is quantized."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.fake_quantization import Bits, quantize_configs, set_ranges
from ranklite.models.training import data
from ranklite.models.training.splits import Splits

CALIBRATION_ROWS = 1024


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

    @tf.function(autograph=False, input_signature=[data.specs(checkpoint.layout)])
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


def start_ranges(
    model: keras.Model, checkpoint: Checkpoint, bits: Bits, splits: Splits, batches: int
) -> None:
    """Calibrates the ranges of a fake-quantized model.

    Args:
      model: From `fake_quantized`; it is changed.
      checkpoint: The float model that it was made of.
      bits: What its layers got.
      splits: Its train split is read.
      batches: Batches of CALIBRATION_ROWS to read.
    """
    configs = quantize_configs(checkpoint, bits)
    names = [name for name, config in configs.items() if config.output]
    ranges = calibrate(checkpoint, names, splits, batches, seed=0)
    set_ranges(model, ranges, symmetric=bits.activations == 16)
