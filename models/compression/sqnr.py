"""What rounding does inside a quantized model, layer by layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.layers.quantizers import unwrapped_variable, weight_names


def sqnr(checkpoint: Checkpoint, inputs: dict[str, npt.NDArray[np.generic]]) -> dict[str, float]:
    r"""Signal to noise ratio of each layer's output, in dB.

        SNR = 10 log10( sum x^2 / sum (x - x')^2 )

    with x the outputs of the float model that has the quantized model's own weights, unrounded, and
    x' those of the quantized model. 40 dB means that the error is a hundredth of the signal; the
    first layer with a low value is where rounding hurts.

    Args:
      checkpoint: A quantized model, its fake-quantizers in it.
      inputs: `ids` [R, S] and `numeric` [R, N].

    Returns:
      By layer name, in the order of the model.
    """
    model = checkpoint.model
    plain = checkpoint.rebuilt().model
    ranges = {*checkpoint.parts.ranges, *checkpoint.parts.inputs}
    rounded, exact = {}, {}
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if isinstance(layer, keras.layers.InputLayer):
            continue
        try:
            twin = plain.get_layer(inner.name)
        except ValueError:  # a quantizer of an input
            continue
        for name in weight_names(twin):
            getattr(twin, name).assign(unwrapped_variable(layer, inner, name))
        if inner.weights or inner.name in ranges:
            rounded[inner.name] = layer.get_output_at(
                -1
            )  # tfmot called it before, in another graph
            exact[inner.name] = twin.output
    features = {name: tf.constant(inputs[name]) for name in plain.input_names}
    noisy = keras.Model(model.inputs, rounded)(features, training=False)
    clean = keras.Model(plain.inputs, exact)(features, training=False)
    result = {}
    for name in exact:
        signal, noise = clean[name].numpy(), noisy[name].numpy() - clean[name].numpy()
        power = float(np.sum(signal.astype(np.float64) ** 2))
        lost = float(np.sum(noise.astype(np.float64) ** 2))
        if power and lost:
            result[name] = 10 * float(np.log10(power / lost))
    return result
