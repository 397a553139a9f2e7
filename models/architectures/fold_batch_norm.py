"""Folds batch normalization into the dense layers before it, exactly."""

from __future__ import annotations

import numpy as np

from ranklite.models.architectures.checkpoint import Checkpoint


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
    folded = checkpoint.rebuilt(batch_norm=False)
    old = {layer.name: layer.get_weights() for layer in checkpoint.model.layers}
    for layer in folded.model.layers:
        if layer.get_weights():
            layer.set_weights(old[layer.name])
    for hidden in checkpoint.parts.hidden:
        if hidden.norm is None:
            continue
        norm = checkpoint.model.get_layer(hidden.norm)
        gamma, beta, mean, variance = (w.astype(np.float64) for w in norm.get_weights())
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel, bias = old[hidden.dense]
        dense = folded.model.get_layer(hidden.dense)
        dense.set_weights([kernel * scale, (bias - mean) * scale + beta])
        for branch in hidden.branches:
            folded.model.get_layer(branch).set_weights([old[branch][0] * scale])
    return folded
