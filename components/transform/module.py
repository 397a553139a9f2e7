"""The preprocessing function that TFX's Transform finds by its dotted name."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ranklite.models.features import transform as transform_fn
from ranklite.models.features.feature_set import FeatureSet


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, str]) -> dict[str, tf.Tensor]:
    """Transforms raw features as `custom_config["features"]`, JSON of a FeatureSet, says."""
    features = FeatureSet.model_validate_json(custom_config["features"])
    return transform_fn.preprocessing_fn(inputs, features)
