"""TFMA's slices of whole batches: one extract a batch and slice, not one a row.

TFMA takes batches apart before it looks for the slices of a row, and hands each row on once a
slice. Here rows of equal values are asked for once, of TFMA's own slicer, and go on together, for
metrics that take arrays (`ranklite.components.evaluator.metrics`).
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.slicer import slicer_lib

_NEEDED = (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY)


class SliceBatches(beam.DoFn):
    """Takes a batch of extracts apart by slice.

    Args:
      specs: What to slice by.
    """

    def __init__(self, specs: Sequence[tfma.SlicingSpec]) -> None:
        self._specs = list(specs)

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Gives labels and predictions of the rows of each slice."""
        for key, rows in slices(extracts, self._specs).items():
            yield {
                **{name: _take(extracts[name], rows) for name in _NEEDED},
                tfma.SLICE_KEY_TYPES_KEY: [key],
            }


def slices(
    extracts: dict[str, Any], specs: Sequence[tfma.SlicingSpec]
) -> dict[tfma.slicer.SliceKeyType, list[int]]:
    """The rows of a batch in each slice that it has rows of.

    Args:
      extracts: TFMA's, of a batch.
      specs: What to slice by.
    """
    features = extracts[tfma.FEATURES_KEY]
    number = len(extracts[tfma.INPUT_KEY])
    found: dict[tfma.slicer.SliceKeyType, list[int]] = {}
    for spec in specs:
        columns = [c for c in (*spec.feature_keys, *spec.feature_values) if c in features]
        each: Iterable[tuple[Any, ...]] = (
            zip(*(_values(features[c], number) for c in columns), strict=True)
            if columns
            else itertools.repeat((), number)
        )
        rows_of: dict[tuple[Any, ...], list[int]] = collections.defaultdict(list)
        for row, values in enumerate(each):
            rows_of[values].append(row)
        asked = [tfma.slicer.SingleSliceSpec(spec=spec)]
        for values, rows in rows_of.items():
            row_features = {
                column: np.array([value for value in some if value is not None], object)
                for column, some in zip(columns, values, strict=True)
            }
            for key in slicer_lib.get_slices_for_features_dicts([], row_features, asked):
                found.setdefault(key, []).extend(rows)
    return found


def _values(feature: Any, number: int) -> Iterable[tuple[Any, ...]]:
    """The values of each row of a batch's feature: any number of them, none where it is missing."""
    if isinstance(feature, np.ndarray):
        return map(tuple, feature.reshape(number, -1).tolist())
    counts = np.bincount(feature.indices[:, 0], minlength=number)  # tfma.types.VarLenTensorValue
    parts = np.split(feature.values, np.cumsum(counts)[:-1])
    return (tuple(part.tolist()) for part in parts)


def _take(value: Any, rows: Sequence[int]) -> Any:
    """Rows of an array, or of one a model."""
    if isinstance(value, dict):
        return {name: _take(part, rows) for name, part in value.items()}
    return value[rows]
