"""Which units of the tower matter, and the narrower model that is left without the others.

Li et al. 2017 (https://arxiv.org/abs/1608.08710) remove by norm, Molchanov et al. 2017
(https://arxiv.org/abs/1611.06440) by a first-order Taylor expansion of the loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import TOWER, build_deepfm
from ranklite.models.training import data
from ranklite.models.training.splits import Splits

_TAYLOR_ROWS, _TAYLOR_BATCHES = 1024, 64


def norm_importance(checkpoint: Checkpoint) -> list[npt.NDArray[np.float64]]:
    r"""Importance of each hidden unit by the norms of its weights.

    Unit u of a layer with kernel W (and V for the numeric columns) before a layer with kernel U:

        I_u = s_u sqrt(|W_:u|^2 + |V_:u|^2) |U_u:|,    s_u = |gamma_u| / sqrt(sigma_u^2 + eps)

    with s_u = 1 where no batch normalization follows: the norm of the weights as they would be
    folded, times what the next layer makes of the unit. ReLU passes factors on, so multiplying the
    incoming weights by a > 0 and dividing the outgoing ones by it leaves function and I alone.

    Args:
      checkpoint: A float model.

    Returns:
      For each hidden layer, [units] float64.
    """
    layers = _weights(checkpoint)
    scores = []
    for k in range(len(checkpoint.config.hidden_units)):
        name = f"{TOWER}_{k}"
        incoming = np.square(layers[name][0].astype(np.float64)).sum(axis=0)
        if f"{name}_numeric" in layers:
            incoming += np.square(layers[f"{name}_numeric"][0].astype(np.float64)).sum(axis=0)
        norm = np.sqrt(incoming)
        if checkpoint.config.batch_norm:
            gamma, _, _, variance = layers[f"{name}_bn"]
            epsilon = checkpoint.model.get_layer(f"{name}_bn").epsilon
            norm *= np.abs(gamma) / np.sqrt(variance + epsilon)
        outgoing = layers[_next(checkpoint, k)][0].astype(np.float64)
        scores.append(norm * np.linalg.norm(outgoing, axis=1))
    return scores


def taylor_importance(
    checkpoint: Checkpoint, splits: Splits, seed: int
) -> list[npt.NDArray[np.float64]]:
    r"""Importance of each hidden unit by what the loss gains without it, to first order.

    With a_ru the output of unit u (after ReLU) for row r and L_r the row's cross entropy

        I_u = sum_r | a_ru dL_r / da_ru |

    Args:
      checkpoint: A float model, used as in serving.
      splits: Its train split is read, at most 65,536 rows.
      seed: Which ones.

    Returns:
      For each hidden layer, [units] float64.
    """
    model = checkpoint.model
    layers = [f"{TOWER}_{k}_relu" for k in range(len(checkpoint.config.hidden_units))]
    probe = keras.Model(
        model.inputs, [model.output, *(model.get_layer(name).output for name in layers)]
    )

    @tf.function(autograph=False, reduce_retracing=True)
    def batch_importance(features: dict[str, tf.Tensor], label: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logit, *outputs = probe(features, training=False)
            loss = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(label, logit))
        gradients = tape.gradient(loss, outputs)
        return [
            tf.reduce_sum(tf.abs(a * g), axis=0) for a, g in zip(outputs, gradients, strict=True)
        ]

    scores = [np.zeros(units) for units in checkpoint.config.hidden_units]
    rows = data.dataset(
        splits.train, checkpoint.layout, _TAYLOR_ROWS, shuffle_rows=100_000, seed=seed
    )
    for features, label in rows.take(_TAYLOR_BATCHES):
        for total, batch in zip(scores, batch_importance(features, label), strict=True):
            total += batch.numpy()
    return scores


def keep_units(checkpoint: Checkpoint, kept: Sequence[npt.NDArray[np.int64]]) -> Checkpoint:
    """A model with some of the hidden units of another.

    Args:
      checkpoint: A float model; it is not changed.
      kept: For each hidden layer, [width] the indices of the units that stay, in their order.

    Returns:
      A checkpoint of its own whose config has the smaller `hidden_units`. Where the units that went
      had zero outgoing weights, it computes the same function.
    """
    widths = tuple(len(units) for units in kept)
    config = checkpoint.config.model_copy(update={"hidden_units": widths})
    model = build_deepfm(checkpoint.layout, config)
    layers = _weights(checkpoint)
    for k, units in enumerate(kept):
        name = f"{TOWER}_{k}"
        for part in (name, f"{name}_numeric", f"{name}_bn"):
            if part in layers:
                layers[part] = [weight[..., units] for weight in layers[part]]
        kernel, *bias = layers[_next(checkpoint, k)]
        layers[_next(checkpoint, k)] = [kernel[units], *bias]
    for name, weights in layers.items():
        model.get_layer(name).set_weights(weights)
    return dataclasses.replace(checkpoint, model=model, config=config)


def _weights(checkpoint: Checkpoint) -> dict[str, list[npt.NDArray[np.float32]]]:
    """The weights of the layers that have some, by layer name."""
    weights = {layer.name: layer.get_weights() for layer in checkpoint.model.layers}
    return {name: some for name, some in weights.items() if some}


def _next(checkpoint: Checkpoint, k: int) -> str:
    """The layer that reads hidden layer k."""
    last = k + 1 == len(checkpoint.config.hidden_units)
    return f"{TOWER}_out" if last else f"{TOWER}_{k + 1}"
