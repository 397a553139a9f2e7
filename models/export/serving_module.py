"""A model's signatures as TensorFlow functions, from which a converter starts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.evaluation.score_calibration import ScoreCalibration
from ranklite.models.export import once_per_user
from ranklite.models.export.target import SCORE, SERVING_DEFAULT, SERVING_RAW
from ranklite.models.features.layout import IDS, NUMERIC
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.layers.row_quantization import RowQuantizedEmbedding


class ServingModule(tf.Module):
    """The functions that become signatures.

    Args:
      checkpoint: The model.
      raw: Adds the signature on raw features; its vocabularies become arrays.

    Attributes:
      functions: Concrete functions by the name of their signature, each from inputs by name to
        `score` [B, 1] float32, the probability of a positive.
    """

    def __init__(self, checkpoint: Checkpoint, raw: RawFeatures | None) -> None:
        super().__init__()
        # Of the model its variables alone are tracked: to save it as one would trace each layer.
        model = checkpoint.model
        self.model_variables, self.raw = model.variables, raw
        layout = checkpoint.layout
        inputs = {IDS: tf.TensorSpec([None, layout.num_ids], tf.int32, name=IDS)}
        if layout.num_numeric:
            inputs[NUMERIC] = tf.TensorSpec([None, layout.num_numeric], tf.float32, name=NUMERIC)

        has_parts = once_per_user.has_parts(model)
        # Of rows with scales of their own the converter rounds what is looked up together with a
        # kernel's input. Then both signatures have to look it up alike, at a cost of 8 % here.
        is_split = has_parts and any(
            isinstance(layer, RowQuantizedEmbedding) for layer in model.layers
        )

        def probability(logits: tf.Tensor) -> dict[str, tf.Tensor]:
            return {SCORE: tf.sigmoid(calibrated(logits, checkpoint.calibration))}

        def score(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            if not is_split:
                return probability(model(features, training=False))
            parts = once_per_user.split(features, layout)
            return probability(once_per_user.logits(model, layout, *parts, as_many=True))

        self.functions: dict[str, Any] = {
            SERVING_DEFAULT: tf.function(
                lambda **features: score(features), autograph=False
            ).get_concrete_function(**inputs)
        }
        if raw is not None:

            def score_raw(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
                if not has_parts:
                    return score(raw(features))
                parts = raw.parts(features)
                return probability(once_per_user.logits(model, layout, *parts))

            self.functions[SERVING_RAW] = tf.function(
                lambda **features: score_raw(features), autograph=False
            ).get_concrete_function(**raw.input_signature())


def calibrated(logits: tf.Tensor, calibration: ScoreCalibration) -> tf.Tensor:
    """Calibrated logits [B, 1] of logits [B, 1], in plain operators."""
    if calibration.is_identity:
        return logits
    result = logits * calibration.slope + calibration.offset
    if calibration.knots:
        above = tf.nn.relu(logits - tf.constant([calibration.knots], tf.float32))
        result += tf.matmul(above, tf.constant([[c] for c in calibration.changes], tf.float32))
    return result
