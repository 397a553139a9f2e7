"""What the encoders of lists weigh; no TensorFlow."""

from __future__ import annotations

from ranklite.models.features.layout import FeatureLayout

ATTENTION_UNITS = 16  # of the hidden layer that weighs an event


def encoder_weights(layout: FeatureLayout, dim: int) -> int:
    """How many weights the encoders of a layout have, biases left out.

    Args:
      layout: Of the fields.
      dim: Size of an embedding.
    """
    total = 0
    for field in layout.fields:
        outcomes = max(1, field.pools)
        if field.encoder == "attention":
            total += ATTENTION_UNITS * (3 * dim + outcomes + 1)
        elif field.encoder == "gru":
            total += 3 * dim * (2 * dim + outcomes)
    return total
