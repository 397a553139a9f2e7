"""Values of a column as the array that a file takes: what is plain at once, the rest one by one.

`raw_values` says what a value means; here it is done for many of them. Whatever is not plain is
left to it, so that each way gives the same array and the same error.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features import raw_values
from ranklite.models.features.fingerprints import Encoder
from ranklite.models.features.raw_column import RawColumn

Array = npt.NDArray[Any]
Where = Callable[[int], str]  # says which row an error is of

_KEPT = 1 << 16  # encoded values of a column that are kept
_EXACT = 2**53  # from it on a float is equal to integers that it does not stand for
_LARGEST = raw_values.LARGEST
_NONE = type(None)
# Equal values of these stand for the same. As a text True is another than 1; as an integer it is 1.
_SAFE: dict[str, set[type]] = {
    "string": {str, bytes, _NONE},
    "int64": {str, int, _NONE},
    "float32": {str, _NONE},
}


class _Known(dict[Any, Any]):
    """What stands for a value that was seen before; others are made, and kept where that is safe.

    Args:
      make: From a value to what stands for it.
      types: Of values that are kept.
    """

    def __init__(self, make: Callable[[Any], Any], types: set[type]) -> None:
        super().__init__()
        self._make, self._types = make, types

    def __missing__(self, value: Any) -> Any:
        made = self._make(value)
        kind = type(value)
        if kind in self._types and (kind is not int or -_EXACT < value < _EXACT):
            if len(self) >= _KEPT:
                self.clear()
            self[value] = made
        return made


class ColumnEncoder:
    """Encodes the values of a column.

    Args:
      column: The column.
      encoder: Of the file; None where it takes texts and int64 as they are.

    Attributes:
      column: The column.
      dtype: Of what it makes.
      missing: What stands for a missing value there.

    Example:
        >>> sizes = RawColumn("sizes", "float32", length=2)
        >>> ColumnEncoder(sizes, None).array([[1.5, None, 2.0], None]).tolist()
        [[1.5, 2.0], [nan, nan]]
    """

    def __init__(self, column: RawColumn, encoder: Encoder | None) -> None:
        self.column = column
        is_encoded = encoder is not None and column.name in encoder.encodings
        self._encoder = encoder if is_encoded else None
        self._single = RawColumn(column.name, column.dtype)  # a value of it, or of its lists
        self.dtype: Any = np.int32 if is_encoded else raw_values.NUMPY[column.dtype]
        self.missing: Any = self.encoded(raw_values.array(self._single, [column.missing]))[0]
        self._of = _Known(self._made, _SAFE[column.dtype]).__getitem__

    def one(self, value: Any) -> Any:
        """What stands for a value: a number, or a list of `column.length` of them.

        Raises:
          TypeError: It is not of the column's type.
          ValueError: Likewise; `array` says what is wrong.
        """
        length = self.column.length
        if length is None:
            if type(value) is float and self.column.dtype == "float32":
                return value if -_LARGEST <= value <= _LARGEST else self._made(value)
            return self._of(value)
        if type(value) is list and self.dtype is not np.object_:
            missing = self.missing
            parts = [made for made in map(self._of, value) if made != missing and made == made]
            return (parts + [missing] * (length - len(parts)))[:length]
        return self.array([value])[0]

    def array(self, values: Sequence[Any], where: Where = str) -> Array:
        """What stands for some values: [R], or [R, length] of lists.

        Args:
          values: As an app, a file or a query has them.
          where: Names the row of an error by its place among the values.

        Raises:
          ValueError: A value is not of the column's type; the message names row and feature.
        """
        try:
            made = self.flat(values) if self.column.length is None else self._lists(values)
        except (OverflowError, TypeError, ValueError):
            made = None  # one of them is no plain value
        return self._each(values, where) if made is None else made

    def encoded(self, values: Array) -> Array:
        """What stands for values in an array of the column's type, as `raw_values` makes it."""
        if self._encoder is None:
            return values
        return self._encoder.encode({self.column.name: values})[self.column.name]

    def flat(self, values: Sequence[Any]) -> Array:
        """What stands for plain values [R], be they single ones or those of lists.

        Raises:
          OverflowError: One is not plain.
          TypeError: Likewise.
          ValueError: Likewise; `array` says what is wrong.
        """
        if self.column.dtype == "string":
            return np.fromiter(map(self._of, values), self.dtype, len(values))
        kinds = set(map(type, values))
        if self.column.dtype == "int64" and kinds <= {int, _NONE}:
            if _NONE in kinds:
                missing = self.column.missing
                values = [missing if value is None else value for value in values]
            return self.encoded(np.array(values, np.int64))
        if self.column.dtype == "float32" and kinds <= {float, int, _NONE}:
            return self.of_floats(np.array(values, np.float64))  # None is NaN there
        return np.fromiter(map(self._of, values), self.dtype, len(values))

    def of_floats(self, values: Array) -> Array:
        """The same of an array of numbers, for a column of float32.

        Raises:
          ValueError: A number is too large.
        """
        if values.dtype.kind == "f" and (np.abs(values) > _LARGEST).any():
            raise ValueError("a number is too large")
        return values.astype(np.float32)

    def of_integers(self, values: Array) -> Array:
        """The same for a column of int64.

        Raises:
          ValueError: A number is no whole one, or too large.
        """
        if values.dtype.kind == "f":
            whole = values.astype(np.float64)
            absent = whole != whole
            whole[absent] = 0
            if (np.abs(whole) >= _EXACT).any() or (np.floor(whole) != whole).any():
                raise ValueError("a number is no whole one")
            made = whole.astype(np.int64)
            made[absent] = self.column.missing
            return self.encoded(made)
        if values.dtype == np.uint64 and (values > np.uint64(2**63 - 1)).any():
            raise ValueError("a number is too large")
        return self.encoded(values.astype(np.int64))

    @functools.cached_property
    def of_parts(self) -> ColumnEncoder:
        """The encoder of the values of its lists, one by one."""
        return ColumnEncoder(self._single, self._encoder)

    def padded(self, flat: Array, counts: Array) -> Array:
        """Lists [R, length] of encoded values.

        Args:
          flat: Values of all lists, one list after the other; missing ones are left out.
          counts: Values of each list.
        """
        length, missing = self.column.length or 0, self.missing
        present = flat == flat if missing != missing else flat != missing
        if not present.all():
            row = np.repeat(np.arange(len(counts)), counts)[present]
            flat, counts = flat[present], np.bincount(row, minlength=len(counts))
        if counts.max(initial=0) > length:
            begin = np.cumsum(counts) - counts
            flat = flat[np.arange(len(flat)) - np.repeat(begin, counts) < length]
        rows = np.full((len(counts), length), missing, self.dtype)
        rows[np.arange(length) < counts[:, None]] = flat
        return rows

    def _made(self, value: Any) -> Any:
        """What stands for a value, or for one of a list, where what is blank is none."""
        if self.column.is_list and isinstance(value, str) and not value.strip(" "):
            return self.missing
        converted = [raw_values.convert(self._single, value)]
        made = self.encoded(raw_values.array(self._single, converted))[0]
        return made if self.dtype is np.object_ else made.item()

    def _lists(self, values: Sequence[Any]) -> Array | None:
        kinds = set(map(type, values))
        if kinds != {list}:
            values = [self._list(value) for value in values]
        counts = np.fromiter(map(len, values), np.intp, len(values))
        return self.padded(self.flat(list(itertools.chain.from_iterable(values))), counts)

    def _list(self, value: Any) -> list[Any]:
        kind = type(value)
        if kind is list or kind is tuple:
            return list(value)
        if value is None:
            return []
        if kind is str and self.column.separator:
            return list(value.split(self.column.separator))
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iufbUO":
            return list(value.tolist())
        raise TypeError("it is no list")

    def _each(self, values: Sequence[Any], where: Where) -> Array:
        made = []
        for place, value in enumerate(values):
            try:
                made.append(raw_values.convert(self.column, value))
            except ValueError as error:
                raise ValueError(f"{where(place)}: {error}") from error
        return self.encoded(raw_values.array(self.column, made))
