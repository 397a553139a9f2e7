"""Which units of the tower matter, and the narrower model that is left without the others.

Li et al. 2017 (https://arxiv.org/abs/1608.08710) remove by norm, Molchanov et al. 2017
(https://arxiv.org/abs/1611.06440) by a first-order Taylor expansion of the loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
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
    for hidden in checkpoint.parts.hidden:
        incoming = np.square(layers[hidden.dense][0].astype(np.float64)).sum(axis=0)
        for branch in hidden.branches:
            incoming += np.square(layers[branch][0].astype(np.float64)).sum(axis=0)
        norm = np.sqrt(incoming)
        if hidden.norm is not None:
            gamma, _, _, variance = layers[hidden.norm]
            epsilon = checkpoint.model.get_layer(hidden.norm).epsilon
            norm *= np.abs(gamma) / np.sqrt(variance + epsilon)
        outgoing = np.hstack(
            [layers[r.layer][0][r.first_row :][: hidden.units] for r in hidden.readers]
        )
        scores.append(norm * np.linalg.norm(outgoing.astype(np.float64), axis=1))
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
    hidden = [model.get_layer(layer.activation).output for layer in checkpoint.parts.hidden]
    probe = keras.Model(model.inputs, [model.output, *hidden])

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
    narrower = checkpoint.rebuilt(hidden_units=widths)
    layers = _weights(checkpoint)
    for hidden, units in zip(checkpoint.parts.hidden, kept, strict=True):
        for part in (hidden.dense, *hidden.branches, hidden.norm):
            if part is not None:
                layers[part] = [weight[..., units] for weight in layers[part]]
    removed: dict[str, list[int]] = {}
    for hidden, units in zip(checkpoint.parts.hidden, kept, strict=True):
        gone = np.setdiff1d(np.arange(hidden.units), units)
        for reader in hidden.readers:
            removed.setdefault(reader.layer, []).extend(reader.first_row + gone)
    for name, rows in removed.items():
        kernel, *bias = layers[name]
        layers[name] = [np.delete(kernel, np.array(rows, np.int64), axis=0), *bias]
    for name, weights in layers.items():
        narrower.model.get_layer(name).set_weights(weights)
    return narrower


def _weights(checkpoint: Checkpoint) -> dict[str, list[npt.NDArray[np.float32]]]:
    """The weights of the layers that have some, by layer name."""
    weights = {layer.name: layer.get_weights() for layer in checkpoint.model.layers}
    return {name: some for name, some in weights.items() if some}
