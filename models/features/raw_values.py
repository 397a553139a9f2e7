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
_LARGEST = float(np.finfo(np.float32).max)
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


def plain(column: RawColumn, values: list[Any]) -> npt.NDArray[Any] | None:
    """What `convert` and `array` give, at once, where all values are plain ones of their type.

    Args:
      column: Where they belong.
      values: str of a string, int of an int64, float or int of a float32, lists of these of a list,
        and None.

    Returns:
      The array; None where a value is another, and has to be looked at by itself.
    """
    if column.length is None:
        return _plain(column, values)
    if not all(type(value) is list for value in values):
        return None
    flat = list(itertools.chain.from_iterable(values))
    made = None if None in flat else _plain(column, flat)
    if made is None or _has_gaps(column, flat, made):
        return None
    counts = np.array([len(value) for value in values], np.intp)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept, row = place < column.length, np.repeat(np.arange(len(values)), counts)
    rows = np.full((len(values), column.length), column.missing, NUMPY[column.dtype])
    rows[row[kept], place[kept]] = made[kept]
    return rows


def _has_gaps(column: RawColumn, parts: list[Any], made: npt.NDArray[Any]) -> bool:
    """Whether parts of lists are none, and those after them move up."""
    if column.dtype == "string":
        return not all(part.strip(" ") for part in parts)
    return bool((made == column.missing).any() or (made != made).any())


def _plain(column: RawColumn, values: list[Any]) -> npt.NDArray[Any] | None:
    kinds, missing = set(map(type, values)) - {type(None)}, column.missing
    try:
        if column.dtype == "string" and kinds <= {str}:
            texts = [value.encode() if value else missing for value in values]
            made = np.empty(len(texts), np.object_)
            made[:] = texts
            return made
        if column.dtype == "int64" and kinds <= {int}:
            return np.array([missing if value is None else value for value in values], np.int64)
        if column.dtype == "float32" and kinds <= {float, int}:
            numbers = np.array([missing if v is None else v for v in values], np.float64)
            is_large = np.abs(numbers) > _LARGEST
            return None if is_large.any() else numbers.astype(np.float32)
    except (OverflowError, UnicodeEncodeError):  # an integer of more than 64 bits, half a surrogate
        pass
    return None


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
    if isinstance(value, str) and column.separator:
        value = value.split(column.separator)
    elif not isinstance(value, (list, tuple, np.ndarray)) and _is_missing(column, value):
        value = []
    elif not isinstance(value, (list, tuple, np.ndarray)):
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
    shown = repr(value)
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
        return None if whole is None else str(whole).encode()
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
    return number if number is not None and abs(number) <= _LARGEST else None


def _whole(value: Any) -> int | None:
    """A number as an integer, where it is one for certain."""
    if isinstance(value, (numbers.Integral, np.bool_)):
        return int(value)
    if isinstance(value, decimal.Decimal):  # it is exact, however many digits it has
        return int(value) if value.is_finite() and value == value.to_integral_value() else None
    number = float(value)
    return int(number) if abs(number) < _WHOLE and number.is_integer() else None


_CONVERT: dict[str, Any] = {"string": _string, "int64": _int64, "float32": _float32}
