"""The deep tower that families share:  h_k = relu(BN(h_{k-1} W_k + b_k)), with dropout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.parts import Hidden, Reader

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

TOWER = "tower"
OUT = f"{TOWER}_out"

# Keras's 0.99 needs hundreds of steps to follow the weights; an epoch here may have fifty.
BATCH_NORM_MOMENTUM = 0.9


def glorot_uniform(inputs: int, units: int) -> keras.initializers.Initializer:
    """Glorot & Bengio 2010 for a kernel that is a part of one of `inputs` rows."""
    import tf_keras as keras

    limit = math.sqrt(6 / (inputs + units))
    return keras.initializers.RandomUniform(-limit, limit)


def build_tower(flat: tf.Tensor, numeric: tf.Tensor | None, settings: FamilySettings) -> tf.Tensor:
    """The logit of the tower: one Dense unit, `tower_out`, on its hidden layers.

    Args:
      flat: [B, I] what it reads.
      numeric: [B, N] standardized numbers that it reads as well, if any.
      settings: Widths and rates.

    Returns:
      [B, 1] float32, under mixed precision too: 8 bits of mantissa would leave a few hundred
      distinct scores.
    """
    return build_out(build_hidden(flat, numeric, settings))


def build_out(hidden: tf.Tensor) -> tf.Tensor:
    """The logit [B, 1] of the last hidden layer [B, units]."""
    import tensorflow as tf
    import tf_keras as keras

    return keras.layers.Dense(1, dtype=tf.float32, name=OUT)(hidden)


def build_hidden(flat: tf.Tensor, numeric: tf.Tensor | None, settings: FamilySettings) -> tf.Tensor:
    """The hidden layers of the tower.

    The first hidden layer adds two products instead of concatenating its inputs, which is the same
    function and leaves each input its own int8 range later.

    Args:
      flat: [B, I] what it reads.
      numeric: [B, N] standardized numbers that it reads as well, if any.
      settings: Widths and rates.

    Returns:
      [B, units] the last one. The layers are named `tower_<k>`, `tower_<k>_bn` and
      `tower_<k>_relu`; the first one has `tower_0_numeric` beside it.
    """
    import tf_keras as keras

    hidden = flat
    for k, units in enumerate(settings.hidden_units):
        name = f"{TOWER}_{k}"
        # The two kernels of the first layer start as the one of a concatenation would.
        width = hidden.shape[1] + (numeric.shape[1] if k == 0 and numeric is not None else 0)
        hidden = keras.layers.Dense(
            units, kernel_initializer=glorot_uniform(width, units), name=name
        )(hidden)
        if k == 0 and numeric is not None:
            branch = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer=glorot_uniform(width, units),
                name=f"{name}_numeric",
            )(numeric)
            hidden = keras.layers.Add(name=f"{name}_add")([hidden, branch])
        if settings.batch_norm:
            hidden = keras.layers.BatchNormalization(
                momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"
            )(hidden)
        hidden = keras.layers.ReLU(name=f"{name}_relu")(hidden)
        if settings.dropout:
            hidden = keras.layers.Dropout(settings.dropout, name=f"{name}_dropout")(hidden)
    return hidden


def tower_parts(
    inputs: int, numeric: int, settings: FamilySettings, readers: tuple[str, ...] = (OUT,)
) -> dict[str, Any]:
    """The share of a tower in `Parts`, as keyword arguments.

    Args:
      inputs: I, the columns that it reads.
      numeric: N, the numbers that it reads as well.
      settings: Widths and rates.
      readers: Names of the Dense layers that read the last hidden layer.

    Returns:
      `hidden`, `kernels`, `small_kernels`, `ranges` and `heads`; empty where there is no tower.
    """
    if not settings.hidden_units:
        return {"hidden": (), "kernels": {}, "small_kernels": {}, "ranges": (), "heads": ()}
    rows = [inputs, *settings.hidden_units]
    names = [f"{TOWER}_{k}" for k in range(len(settings.hidden_units))]
    small = {f"{TOWER}_0_numeric": (numeric, settings.hidden_units[0])} if numeric else {}
    hidden = tuple(
        Hidden(
            dense=name,
            inputs=rows[k],
            units=units,
            activation=f"{name}_relu",
            readers=tuple(Reader(reader) for reader in (names[k + 1 : k + 2] or readers)),
            branches=tuple(small) if k == 0 else (),
            norm=f"{name}_bn" if settings.batch_norm else None,
        )
        for k, (name, units) in enumerate(zip(names, settings.hidden_units, strict=True))
    )
    added = [layer.dense for layer in hidden if layer.branches]
    return {
        "hidden": hidden,
        "kernels": {layer.dense: (layer.inputs, layer.units) for layer in hidden},
        "small_kernels": {**small, OUT: (rows[-1], 1)},
        "ranges": (*added, *(layer.activation for layer in hidden)),
        "heads": (OUT,),
    }
