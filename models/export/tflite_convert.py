"""Exports a model to one TFLite file with two signatures over the same weights."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile

import tensorflow as tf

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.export.serving_module import ServingModule
from ranklite.models.export.target import ENCODER, NotExportable
from ranklite.models.export.tflite_strip import slim
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.layers.quantizers import QuantizeWeights
from ranklite.models.layers.row_quantization import RowQuantizedEmbedding


def _has_four_bits(checkpoint: Checkpoint) -> bool:
    """Whether a kernel has 4 bits, which the converter is then told to store as such."""
    configs = (getattr(layer, "quantize_config", None) for layer in checkpoint.model.layers)
    return any(
        isinstance(config, QuantizeWeights) and config.kernel and config.kernel_bits == 4
        for config in configs
    )


def to_tflite(checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
    """Converts a model, batch normalization folded, to TFLite's builtin operators.

    Args:
      checkpoint: The model; its `format` says how its weights are stored.
      raw: Adds the signature on raw features; its vocabularies become arrays in the file.

    Returns:
      The file. `serving_default` takes `ids` [B, S] int32 and `numeric` [B, N] float32 (where
      N > 0); `serving_raw` takes what `raw.input_signature()` says. Both give `score` [B, 1]
      float32, the probability of a positive.

    Raises:
      NotExportable: An operator would need TensorFlow's Flex delegate.
    """
    if checkpoint.config.batch_norm:
        checkpoint = fold_batch_norm(checkpoint)
    with contextlib.ExitStack() as stack:
        for layer in checkpoint.model.layers:
            if isinstance(layer, RowQuantizedEmbedding):
                stack.enter_context(layer.stored())
        module = ServingModule(checkpoint, raw)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = os.path.join(folder, "saved_model")
        tf.saved_model.save(module, path, module.functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            path, signature_keys=list(module.functions)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if checkpoint.format != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if checkpoint.format == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if _has_four_bits(checkpoint):
            converter._experimental_low_bit_qat = True
        try:
            content: bytes = converter.convert()
        except Exception as error:
            flex = re.search(r"TF Select ops: (.*)", str(error))
            if flex is None:
                raise
            raise NotExportable(
                f"TFLite has no builtin operator for {flex.group(1)}; the model may use only what "
                "TFLite has, since the Flex delegate does not ship to phones"
            ) from error
    notes = {} if raw is None or raw.takes_strings else {ENCODER: json.dumps(raw.encoder.entry())}
    return slim(content, notes)
