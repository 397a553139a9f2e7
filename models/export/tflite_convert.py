"""Exports a model to one TFLite file with two signatures over the same weights."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable

import tensorflow as tf

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.export.serving_module import ServingModule
from ranklite.models.export.target import ENCODER
from ranklite.models.export.tflite_saved import Saved, apart
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.layers.quantizers import QuantizeWeights
from ranklite.models.layers.row_quantization import RowQuantizedEmbedding

APART = 100_000_000  # bytes of weights from which on a process of its own converts them
_FLOAT = 4  # bytes


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
    return begin(checkpoint, raw)()


def begin(checkpoint: Checkpoint, raw: RawFeatures | None = None) -> Callable[[], bytes]:
    """Saves a model, for a conversion that does not need it any more.

    Args:
      checkpoint: As `to_tflite` takes it.
      raw: Likewise.

    Returns:
      Gives the file, once; raises NotExportable as `to_tflite` does.
    """
    if checkpoint.config.batch_norm:
        checkpoint = fold_batch_norm(checkpoint)
    weights = sum(weight.shape.num_elements() for weight in checkpoint.model.weights)
    # Removed with the function that is returned, should nobody call it.
    folder = tempfile.TemporaryDirectory()
    with contextlib.ExitStack() as stack:
        for layer in checkpoint.model.layers:
            if isinstance(layer, RowQuantizedEmbedding):
                stack.enter_context(layer.stored())
        module = ServingModule(checkpoint, raw)
        path = os.path.join(folder.name, "saved_model")
        tf.saved_model.save(module, path, module.functions)
        saved = Saved(
            path,
            tuple(module.functions),
            checkpoint.format,
            _has_four_bits(checkpoint),
            {} if raw is None or raw.takes_strings else {ENCODER: json.dumps(raw.encoder.entry())},
        )

    def converted() -> bytes:
        with folder:
            return saved.converted() if weights * _FLOAT < APART else apart(saved)

    return converted
