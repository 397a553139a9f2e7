"""Forms of a model that compute the same function but round differently."""

from __future__ import annotations

import dataclasses

import numpy as np

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import TOWER
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression.fine_tuning import copy
from ranklite.models.compression.invariants import clustered_weights

_SWEEPS = 3


def equalize(checkpoint: Checkpoint) -> Checkpoint:
    r"""Rescales the hidden units of a model so that one scale serves a whole kernel.

    A file has one scale for each kernel, and folding batch normalization leaves units whose weights
    are many times larger than others', which then round to few distinct values. ReLU lets a factor
    pass,  relu(s z) = s relu(z)  for s > 0, so for each hidden unit j

        W[:, j], b_j, V[:, j]  <-  times s_j        W_next[j, :]  <-  divided by s_j

    leave the model's function as it is (Nagel et al. 2019, "Data-Free Quantization Through Weight
    Equalization and Bias Correction", https://arxiv.org/abs/1906.04721). With r_j the greatest of
    |W[:, j]| and |b_j|, and r'_j that of |W_next[j, :]|,  s_j ~ sqrt(r'_j / r_j)  makes both ranges
    alike; before the output, which stays float,  s_j ~ 1 / r_j  makes all r_j the same. The bias
    counts so that a nearly constant unit does not widen the range of all outputs. The geometric
    mean of the factors is 1: a learning rate fits as before.

    Zeros stay zeros; a unit without inputs or outputs is left alone.

    Args:
      checkpoint: A float model without batch normalization.

    Returns:
      A checkpoint of its own.
    """
    model = copy(checkpoint)
    hidden = [model.get_layer(f"{TOWER}_{k}") for k in range(len(checkpoint.config.hidden_units))]
    branches = [layer for layer in model.layers if layer.name == f"{TOWER}_0_numeric"]
    following = [*hidden[1:], model.get_layer(f"{TOWER}_out")]
    for _ in range(_SWEEPS):
        for k, (layer, after) in enumerate(zip(hidden, following, strict=True)):
            kernel, bias = layer.get_weights()
            after_kernel, *after_bias = after.get_weights()
            inward = np.maximum(np.abs(kernel).max(axis=0), np.abs(bias))
            outward = np.abs(after_kernel).max(axis=1)
            alive = (inward > 0) & (outward > 0)
            scale = np.ones_like(inward)
            scale[alive] = 1 / inward[alive]
            if after in hidden:
                scale[alive] = np.sqrt(outward[alive] / inward[alive])
            scale[alive] /= np.exp(np.mean(np.log(scale[alive])))
            for scaled in [layer, *(branches if k == 0 else [])]:
                scaled.set_weights([weight * scale for weight in scaled.get_weights()])
            after.set_weights([after_kernel / scale[:, None], *after_bias])
    return dataclasses.replace(checkpoint, model=model)


def rounding_forms(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Models without batch normalization that compute the same function but round differently.

    Returns:
      The folded model, and the equalized one unless its kernels are clustered: equalizing gives
      every unit another factor, which shared values would not survive.
    """
    folded = fold_batch_norm(checkpoint)
    clustered = any(name.startswith(TOWER) for name in clustered_weights(folded.model))
    return [folded] if clustered else [folded, equalize(folded)]
