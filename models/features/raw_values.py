"""Values as an app or a CSV file has them, as the arrays that a raw signature takes. numpy only."""

from __future__ import annotations

import itertools
import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features.layout import MISSING_INT64
from ranklite.models.features.raw_column import RawColumn

NUMPY: dict[str, Any] = {"string": np.object_, "int64": np.int64, "float32": np.float32}
_INT64 = range(-(2**63), 2**63)
_SEPARATOR = "|"  # of lists in a text, where the log had lists


def array(column: RawColumn, rows: list[Any]) -> npt.NDArray[Any]:
    """An input of the raw signature from the converted values of some rows."""
    return np.array(rows, NUMPY[column.dtype])


def convert(column: RawColumn, value: Any) -> Any:
    """What a raw signature takes of a value.

    Args:
      column: Where it belongs.
      value: A str, int, float or None, or a list of them; "" and NaN are missing too.

    Returns:
      A value of the column's type, its missing value where there is none; a list of exactly
      `column.length` of them for a list.

    Raises:
      ValueError: It is not of the column's type.
    """
    if column.length is None:
        return _converted(column, value)
    parts = _parts(value, column.separator)
    kept = [_converted(column, part) for part in parts[: column.length]]
    return kept + [column.missing] * (column.length - len(kept))


def parse(column: RawColumn, text: str | None) -> Any:
    """What a field of a CSV file means: a text, a list of texts, or None."""
    if not column.is_list:
        return text or None
    return [part for part in (text or "").split(column.separator or _SEPARATOR) if part]


def _is_missing(value: Any) -> bool:
    return (
        value is None or value in ("", b"") or (isinstance(value, numbers.Real) and value != value)
    )


def _parts(value: Any, separator: str | None) -> list[Any]:
    """The present values of a list, or of what stands for one; ingestion drops blanks too."""
    if isinstance(value, str) and separator:
        value = value.split(separator)
    elif not isinstance(value, (list, tuple, np.ndarray)):
        value = [value]
    texts = (part.strip(" ") if isinstance(part, str) else part for part in value)
    present = [not _is_missing(text) and text != MISSING_INT64 for text in texts]
    return list(itertools.compress(value, present))


def _converted(column: RawColumn, value: Any) -> Any:
    try:
        if _is_missing(value):
            return column.missing
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        if column.dtype == "string":
            if not isinstance(value, (str, bytes, numbers.Integral)):
                raise TypeError
            return value if isinstance(value, bytes) else str(value).encode()
        if column.dtype == "int64":
            if isinstance(value, numbers.Real) and not float(value).is_integer():
                raise TypeError
            if int(value) not in _INT64:
                raise OverflowError
            return int(value)
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{column.name} = {value!r} is not of type {column.dtype}") from error
