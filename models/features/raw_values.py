"""Values as an app or a file has them, as the arrays that a raw signature takes. numpy only.

The rules are those of `ranklite.models.features.sql_values`, by which a log is read: the same value
means the same in training and in scoring.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import numbers
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features.layout import MISSING_INT64
from ranklite.models.features.raw_column import RawColumn

NUMPY: dict[str, Any] = {"string": np.object_, "int64": np.int64, "float32": np.float32}
_INT64 = range(-(2**63) + 1, 2**63)  # -2**63 stands for a missing value
_WHOLE = 2.0**53  # from it on a float does not say which integer was meant
_DIGITS = 1000  # of a number that is taken for a text; beyond 4,300 Python writes none
_LONG = 10**_DIGITS
LARGEST = float(np.finfo(np.float32).max)
_INTEGER = re.compile(r" *([+-]?)0*([0-9]{1,19})(?:\.0*)? *")
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *")
_NUMBERS = (numbers.Real, np.bool_, decimal.Decimal)
_SEPARATOR = "|"  # of lists in a text, where the log had lists


def array(column: RawColumn, rows: list[Any]) -> npt.NDArray[Any]:
    """An input of the raw signature from the converted values of some rows."""
    return np.array(rows, NUMPY[column.dtype])


def convert(column: RawColumn, value: Any) -> Any:
    """What a raw signature takes of a value.

    Args:
      column: Where it belongs.
      value: A str, int, float, Decimal, bool or None, or a list of them; "" and NaN are missing
        too.

    Returns:
      A value of the column's type, its missing value where there is none; a list of exactly
      `column.length` of them for a list.

    Raises:
      ValueError: It is not of the column's type.

    Example:
        >>> convert(RawColumn("item", "int64"), "7.0"), convert(RawColumn("user", "string"), 7.0)
        (7, b'7')
    """
    if column.length is None:
        return _converted(column, value)
    # What is cut has to be of the type too, as in a log.
    kept = [_converted(column, part) for part in _parts(column, value)][: column.length]
    return kept + [column.missing] * (column.length - len(kept))


def arrays(
    columns: Sequence[RawColumn], rows: Sequence[Mapping[str, Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Inputs of the raw signature from rows that have a value of each column, or None."""
    return {c.name: array(c, [convert(c, row[c.name]) for row in rows]) for c in columns}


def parse(column: RawColumn, text: str | None) -> Any:
    """What a field of a CSV file means: a text, a list of texts, or None."""
    if not column.is_list or text is None:
        return text or None
    return text.split(column.separator or _SEPARATOR)


def _is_missing(column: RawColumn, value: Any) -> bool:
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return True
    if isinstance(value, str):
        return column.dtype != "string" and value.lower() == "nan"
    if column.dtype == "int64" and isinstance(value, numbers.Integral):
        return bool(value == MISSING_INT64)  # which model.json names for who fills arrays
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return isinstance(value, numbers.Real) and bool(value != value)


def _parts(column: RawColumn, value: Any) -> list[Any]:
    """The present values of a list, or of a text that is one; what is blank is none."""
    is_list = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim)
    if isinstance(value, str) and column.separator:
        value = value.split(column.separator)
    elif not is_list and _is_missing(column, value):
        value = []
    elif not is_list:
        raise _wrong(column, value, "is no list")
    present = [
        not (isinstance(part, str) and not part.strip(" ")) and not _is_missing(column, part)
        for part in value
    ]
    return list(itertools.compress(value, present))


def _converted(column: RawColumn, value: Any) -> Any:
    if _is_missing(column, value):
        return column.missing
    converted = _CONVERT[column.dtype](value)
    if converted is None:
        raise _wrong(column, value, f"is not of type {column.dtype}")
    return converted


def _wrong(column: RawColumn, value: Any, what: str) -> ValueError:
    try:
        shown = repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        shown = f"a {type(value).__name__} of very many digits"
    return ValueError(f"{column.name} = {shown[:100]}{'...' * (len(shown) > 100)} {what}")


def _string(value: Any) -> bytes | None:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:  # half of a pair of surrogates
            return None
    if isinstance(value, (bool, np.bool_)):
        return b"true" if value else b"false"
    if isinstance(value, _NUMBERS):
        whole = _whole(value)
        return None if whole is None or abs(whole) >= _LONG else str(whole).encode()
    if isinstance(value, uuid.UUID):
        return str(value).encode()
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat().encode()
    return None


def _int64(value: Any) -> int | None:
    if isinstance(value, str):
        match = _INTEGER.fullmatch(value)
        number = int(match[1] + match[2]) if match else None
    elif isinstance(value, _NUMBERS):
        number = _whole(value)
    else:
        return None
    return number if number is not None and number in _INT64 else None


def _float32(value: Any) -> float | None:
    if isinstance(value, str):
        value = value if _NUMBER.fullmatch(value) else None
    elif not isinstance(value, _NUMBERS):
        value = None
    try:
        number = None if value is None else float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return number if number is not None and abs(number) <= LARGEST else None


def _whole(value: Any) -> int | None:
    """A number as an integer, where it is one for certain."""
    if isinstance(value, (numbers.Integral, np.bool_)):
        return int(value)
    if isinstance(value, decimal.Decimal):  # it is exact, however many digits it has
        few = value.is_finite() and value.adjusted() < _DIGITS  # or an int of it takes for ever
        return int(value) if few and value == value.to_integral_value() else None
    number = float(value)
    return int(number) if abs(number) < _WHOLE and number.is_integer() else None


_CONVERT: dict[str, Any] = {"string": _string, "int64": _int64, "float32": _float32}
