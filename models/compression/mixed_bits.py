"""Mixed bit widths, chosen by what they cost, layer by layer."""

from __future__ import annotations

import dataclasses

import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.calibration import start_ranges
from ranklite.models.compression.fake_quantization import Bits, fake_quantized
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.layers.table_config import EMBEDDING
from ranklite.models.layers.tables import table_layers
from ranklite.models.training import fit as training
from ranklite.models.training.splits import Splits


def weight_bytes(checkpoint: Checkpoint, bits: Bits) -> int:
    """Bytes that a file stores of a float model's weights: integers, the scales of rows, floats."""
    tables = table_layers(checkpoint.model)
    total = 0
    for layer in checkpoint.model.layers:
        for weight in layer.weights:
            count = weight.shape.num_elements()
            if isinstance(layer, keras.layers.Embedding):
                by_row = bits.row_bits if layer.output_dim > 1 else None
                total += count * (by_row or 8) // 8 + (weight.shape[0] if by_row else 0)
            elif weight.shape.rank == 2 and (layer.name in bits.kernels or tables.get(layer.name)):
                total += count * bits.kernels.get(layer.name, 8) // 8
            else:
                total += count * weight.dtype.size
    return total


def choose_bits(folded: Checkpoint, splits: Splits, limit: int, batches: int) -> Bits:
    """Gives 4 bits to the layers where that costs least, until the weights fit.

    The sensitivity of a layer is the rise of the validation log loss when it alone goes from 8 to
    4 bits in the calibrated model; layers are taken in order of the rise for each byte saved (Dong
    et al. 2019 order by curvature, https://arxiv.org/abs/1905.03696; measuring is exact and cheap
    for a tower of a few layers).

    Args:
      folded: The float model without batch normalization.
      splits: Data to calibrate and measure on.
      limit: Bytes of all weights.
      batches: Train batches that set the ranges.

    Raises:
      NotCompressible: Not even 4 bits everywhere fit; the message has the least that does.
    """
    kernels = list(folded.parts.kernels)
    start = Bits(dict.fromkeys(kernels, 8), "int8_per_row")
    candidates = {
        name: dataclasses.replace(start, kernels={**start.kernels, name: 4}) for name in kernels
    }
    candidates[EMBEDDING] = dataclasses.replace(start, table="int4_per_row")
    least = weight_bytes(folded, Bits(dict.fromkeys(kernels, 4), "int4_per_row"))
    if least > limit:
        raise NotCompressible(
            f"max_weight_bytes is {limit:,}, but with 4 bits everywhere the weights still take "
            f"{least:,}: raise it, remove rows or units first, or choose a smaller model"
        )

    def log_loss(bits: Bits) -> float:
        model = fake_quantized(folded, bits)
        start_ranges(model, folded, bits, splits, batches)
        return training.evaluate(model, folded.layout, splits.eval)["log_loss"]

    base, size = log_loss(start), weight_bytes(folded, start)
    rise = {
        name: (log_loss(bits) - base) / (size - weight_bytes(folded, bits))
        for name, bits in candidates.items()
    }
    chosen = start
    for name in sorted(rise, key=lambda name: rise[name]):
        if weight_bytes(folded, chosen) <= limit:
            break
        if name == EMBEDDING:
            chosen = dataclasses.replace(chosen, table="int4_per_row")
        else:
            chosen = dataclasses.replace(chosen, kernels={**chosen.kernels, name: 4})
    return chosen
