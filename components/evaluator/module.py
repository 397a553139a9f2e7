"""Hooks for TFX's Evaluator: TFMA scores TFLite files in ai-edge-litert, the runtime that ships.

TFMA's own TFLite extractor runs TensorFlow's interpreter without its delegates, reads the default
signature only, and puts -1 where it does not find a feature. This one scores with the signature that
the model specification names. `serving_raw` reads raw Examples, which makes models comparable
whose vocabularies differ: tonight's and the last blessed one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma

from models.layout import IDS, NUMERIC
from models.lite import LiteModel


def transformed_inputs(extracts: dict[str, Any], names: list[str]) -> dict[str, np.ndarray]:
    """Inputs of `serving_default` from TFMA's batched features.

    Raises:
      KeyError: The examples lack an input.
    """
    features = extracts[tfma.FEATURES_KEY]
    inputs = {}
    for name in names:
        if name not in features:
            raise KeyError(f"the examples have no {name!r}, only {sorted(features)}")
        dtype = {IDS: np.int64, NUMERIC: np.float32}[name]
        inputs[name] = np.stack([np.asarray(row, dtype).reshape(-1) for row in features[name]])
    return inputs


class LitePredict(beam.DoFn):
    """Adds the scores of one or two TFLite files to TFMA's batched extracts."""

    def __init__(self, files: dict[str, bytes], signatures: dict[str, str]) -> None:
        self._files = files
        self._signatures = signatures
        self._models: dict[str, LiteModel] = {}

    def setup(self) -> None:
        self._models = {name: LiteModel(content) for name, content in self._files.items()}

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        raise NotImplementedError
