"""The preprocessing function that TFX's Transform finds by its dotted name."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ranklite.models.features import transform as transform_fn
from ranklite.models.features.feature_set import FeatureSet


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, str]) -> dict[str, tf.Tensor]:
    """Transforms raw features.

    Args:
      inputs: Tensors of a batch, by column.
      custom_config: `features` is the JSON of a FeatureSet.

    Returns:
      Ids, numeric features and the label, by the names that the model takes.
    """
    features = FeatureSet.model_validate_json(custom_config["features"])
    return transform_fn.preprocessing_fn(inputs, features)
