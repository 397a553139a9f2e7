"""Forms of a model that compute the same function but round differently."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.architectures.parts import Hidden, Reader
from ranklite.models.compression.fine_tuning import copy
from ranklite.models.compression.invariants import clustered_weights
from ranklite.models.layers.table_config import EMBEDDING

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
    parts = checkpoint.parts
    for _ in range(_SWEEPS):
        for hidden in parts.hidden:
            kernel, bias = model.get_layer(hidden.dense).get_weights()
            inward = np.maximum(np.abs(kernel).max(axis=0), np.abs(bias))
            outward = np.max([_outward(model, hidden, r) for r in hidden.readers], axis=0)
            alive = (inward > 0) & (outward > 0)
            scale = np.ones_like(inward)
            scale[alive] = 1 / inward[alive]
            if any(reader.layer in parts.kernels for reader in hidden.readers):
                scale[alive] = np.sqrt(outward[alive] / inward[alive])
            scale[alive] /= np.exp(np.mean(np.log(scale[alive])))
            for name in (hidden.dense, *hidden.branches):
                layer = model.get_layer(name)
                layer.set_weights([weight * scale for weight in layer.get_weights()])
            for reader in hidden.readers:
                layer = model.get_layer(reader.layer)
                kernel, *rest = layer.get_weights()
                kernel[reader.first_row :][: hidden.units] /= scale[:, None]
                layer.set_weights([kernel, *rest])
    return dataclasses.replace(checkpoint, model=model)


def rounding_forms(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Models without batch normalization that compute the same function but round differently.

    Returns:
      The folded model, and the equalized one unless its kernels are clustered: equalizing gives
      every unit another factor, which shared values would not survive. Without hidden layers there
      is one form.
    """
    folded = fold_batch_norm(checkpoint)
    clustered = any(name != EMBEDDING for name in clustered_weights(folded.model))
    return [folded] if clustered or not folded.parts.hidden else [folded, equalize(folded)]


def _outward(model: keras.Model, hidden: Hidden, reader: Reader) -> npt.NDArray[np.float32]:
    """The largest weight [units] that a reader gives each unit."""
    kernel = model.get_layer(reader.layer).get_weights()[0]
    rows: npt.NDArray[np.float32] = kernel[reader.first_row :][: hidden.units]
    return np.abs(rows).max(axis=1)
