"""Folds batch normalization into the dense layers before it, exactly."""

from __future__ import annotations

import dataclasses

import numpy as np

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import TOWER, build_deepfm


def fold_batch_norm(checkpoint: Checkpoint) -> Checkpoint:
    r"""Rebuilds a model without batch normalization that computes the same function.

    After training, batch normalization is the affine map  y = s (x - mu) + beta  with
    s = gamma / sqrt(sigma^2 + eps),  so

        BN(x W + z V + b) = x (W s) + z (V s) + s (b - mu) + beta

    A column is scaled as a whole, so zeros of a pruned kernel stay zeros. TFLite cannot fold the
    normalization itself once fake-quantization stands between it and the dense layer.

    Args:
      checkpoint: A float model, with or without batch normalization.

    Returns:
      A checkpoint of its own whose config has `batch_norm` False.
    """
    config = checkpoint.config.model_copy(update={"batch_norm": False})
    model = build_deepfm(checkpoint.layout, config)
    old = {layer.name: layer.get_weights() for layer in checkpoint.model.layers}
    for layer in model.layers:
        if layer.get_weights():
            layer.set_weights(old[layer.name])
    if checkpoint.config.batch_norm:
        for k in range(len(config.hidden_units)):
            name = f"{TOWER}_{k}"
            norm = checkpoint.model.get_layer(f"{name}_bn")
            gamma, beta, mean, variance = (w.astype(np.float64) for w in norm.get_weights())
            scale = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = old[name]
            model.get_layer(name).set_weights([kernel * scale, (bias - mean) * scale + beta])
            branch = f"{name}_numeric"
            if branch in old:
                model.get_layer(branch).set_weights([old[branch][0] * scale])
    return dataclasses.replace(checkpoint, model=model, config=config)
