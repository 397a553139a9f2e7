"""What a person looks at where the loss of a training is not finite: the numbers that it read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ranklite.models.features.layout import NUMERIC, FeatureLayout
from ranklite.models.training import data

NAMED = 3
_ROWS = 8192  # read at a time


def largest_numbers(layout: FeatureLayout, files: Sequence[str]) -> dict[str, float]:
    """The largest magnitude of each number that a model reads; not finite where one row's is not.

    Args:
      layout: Of the features.
      files: Gzipped TFRecord files of transformed Examples.
    """
    largest = np.zeros(layout.num_numbers)
    if layout.num_numbers:
        for features, _ in data.in_order(files, layout, _ROWS):
            numbers = np.abs(features[NUMERIC].numpy()[:, : layout.num_numbers])
            largest = np.maximum(largest, numbers.max(axis=0))  # which NaN passes through
    return {name: float(value) for name, value in zip(layout.numeric, largest, strict=True)}


def words(largest: Mapping[str, float]) -> str:
    """The numbers that are not finite; without any, those that are largest.

    Args:
      largest: From `largest_numbers`.

    Example:
        >>> words({"age": 3.2, "price": math.nan})
        'price is not finite in rows of the train split: look at its values in the log'
        >>> words({"age": 3.2, "price": 178.4})
        'the largest numbers of the train split are, as the model reads them, price 178, age 3.2'
        >>> words({})
        'the model reads no numbers that might be too large'
    """
    if not largest:
        return "the model reads no numbers that might be too large"
    if infinite := [name for name, value in largest.items() if not math.isfinite(value)]:
        return (
            f"{', '.join(infinite)} is not finite in rows of the train split: look at its values "
            "in the log"
        )
    ordered = sorted(largest, key=lambda name: -largest[name])[:NAMED]
    named = ", ".join(f"{name} {largest[name]:.3g}" for name in ordered)
    return f"the largest numbers of the train split are, as the model reads them, {named}"
