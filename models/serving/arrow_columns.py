"""Columns of Arrow: different texts are encoded once, numbers and lists at once.

Nothing is imported before a column of Arrow is there; its types say by themselves what they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features.column_encoder import ColumnEncoder

Array = npt.NDArray[Any]
OfNumpy = Callable[[ColumnEncoder, Array], Array | None]


def table(stream: Any) -> Any:
    """A pyarrow Table of what has Arrow's PyCapsule interface.

    Raises:
      ValueError: pyarrow is not installed, or too old.
    """
    try:
        pa = importlib.import_module("pyarrow")
        return pa.RecordBatchReader.from_stream(stream).read_all()
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"reading a {type(stream).__name__} needs pyarrow 15 or later: pip install pyarrow"
        ) from error


def encoded(encoder: ColumnEncoder, data: Any, of_numpy: OfNumpy) -> Array | None:
    """What stands for the values of an Array or a ChunkedArray; None where they are of no plain
    type.

    Args:
      encoder: Of the column.
      data: The values.
      of_numpy: Does the same of an array of numbers.

    Raises:
      ValueError: A value is not of the column's type.
    """
    if hasattr(data, "chunks"):
        parts = [encoded(encoder, chunk, of_numpy) for chunk in data.chunks]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        return np.concatenate(known) if len(known) > 1 else known[0]
    types = importlib.import_module("pyarrow.types")
    if types.is_dictionary(data.type):
        return _by_dictionary(encoder, data)
    if types.is_string(data.type) or types.is_large_string(data.type):
        return _by_dictionary(encoder, data.dictionary_encode())
    if encoder.column.is_list:
        if not (types.is_list(data.type) or types.is_large_list(data.type)):
            return None
        flat = _flat(encoder, data.flatten(), of_numpy, types)
        lengths = importlib.import_module("pyarrow.compute").list_value_length(data)
        return None if flat is None else encoder.padded(flat, _filled(lengths, 0))
    return _numbers(encoder, data, of_numpy, types)


def taken(encoder: ColumnEncoder, known: Array, place: Array) -> Array:
    """What stands for values that are given by their place among known ones.

    Args:
      encoder: Of the column.
      known: [U] or [U, length], encoded.
      place: [R]; one that is negative is missing.
    """
    last = np.full((1, *known.shape[1:]), encoder.missing, encoder.dtype)
    made: Array = np.concatenate([known, last])[np.where(place < 0, len(known), place)]
    return made


def _by_dictionary(encoder: ColumnEncoder, data: Any) -> Array:
    words = data.dictionary.to_pylist()
    known = encoder.array(words) if encoder.column.is_list else encoder.flat(words)
    return taken(encoder, known, _filled(data.indices, -1))


def _flat(encoder: ColumnEncoder, data: Any, of_numpy: OfNumpy, types: Any) -> Array | None:
    """What stands for the values of lists, one list after the other."""
    if types.is_string(data.type) or types.is_large_string(data.type):
        data = data.dictionary_encode()
    if types.is_dictionary(data.type):
        known = encoder.flat(data.dictionary.to_pylist())
        return taken(encoder, known, _filled(data.indices, -1))
    return _numbers(encoder.of_parts, data, of_numpy, types)


def _numbers(encoder: ColumnEncoder, data: Any, of_numpy: OfNumpy, types: Any) -> Array | None:
    is_number = types.is_integer(data.type) or types.is_floating(data.type)
    if not is_number and not types.is_boolean(data.type):
        return None
    made = of_numpy(encoder, _filled(data, 0))
    if made is not None and data.null_count:
        made[data.is_null().to_numpy(zero_copy_only=False)] = encoder.missing
    return made


def _filled(data: Any, value: int) -> Array:
    """An array of numbers, with another one where there is none."""
    if data.null_count:
        data = data.fill_null(False if str(data.type) == "bool" else value)
    made: Array = data.to_numpy(zero_copy_only=False)
    return made
