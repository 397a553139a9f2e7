"""Columns of values in whatever holds them: numpy, Arrow, pandas, polars, or plain sequences.

None of these but numpy is imported: a table is asked by its own methods, and only a table that says
nothing but Arrow's PyCapsule interface needs pyarrow to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features.column_encoder import ColumnEncoder, Where
from ranklite.models.serving import arrow_columns

Array = npt.NDArray[Any]
_PLAIN = "iufbUOS"  # kinds of numpy's arrays whose `tolist` gives the values
_REFUSED = (TypeError, ValueError, OverflowError, NotImplementedError, AttributeError)


class Table:
    """A table, by its columns.

    Args:
      table: A mapping of name to column, a pandas or polars DataFrame, a pyarrow Table or
        RecordBatch, a structured array of numpy, or anything with `__arrow_c_stream__`.

    Attributes:
      names: Of its columns.
      rows: How many each has.

    Raises:
      TypeError: It is none of these.
      ValueError: Columns differ in length, or two have one name.

    Example:
        >>> table = Table({"user": ["u1", "u2"], "price": np.array([1.5, np.nan])})
        >>> table.names, table.rows
        (['user', 'price'], 2)
    """

    def __init__(self, table: Any) -> None:
        self._columns = _columns(table)
        self.names = list(self._columns)
        lengths = {name: len(column) for name, column in self._columns.items()}
        self.rows = next(iter(lengths.values()), 0)
        if set(lengths.values()) - {self.rows}:
            raise ValueError(f"the columns differ in length: {lengths}")

    def encoded(
        self, encoder: ColumnEncoder, name: str, start: int, stop: int, where: Where
    ) -> Array:
        """What stands for the values of a column, from row `start` up to `stop`.

        Raises:
          ValueError: A value is not of the column's type.
        """
        part = _part(self._columns[name], start, stop)
        return encoded(encoder, part, where)

    def values(self, name: str) -> list[Any]:
        """All values of a column, None where one is missing."""
        return _values(self._columns[name])


def encoded(encoder: ColumnEncoder, data: Any, where: Where = str) -> Array:
    """What stands for the values of a column.

    Args:
      encoder: Of the column.
      data: Values of it.
      where: Names the row of an error.

    Raises:
      ValueError: A value is not of the column's type.
    """
    try:
        made = _at_once(encoder, data)
    except _REFUSED:
        made = None  # a value has to be looked at by itself
    if made is not None:
        return made
    try:
        values = _values(data)
    except (ArithmeticError, ValueError) as error:  # such as a date beyond the years of Python's
        raise ValueError(
            f"{where(0)} and rows behind it: values of {encoder.column.name}: {error}"
        ) from error
    return encoder.array(values, where)


def _at_once(encoder: ColumnEncoder, data: Any) -> Array | None:
    package = _package(data)
    if package == "pyarrow":
        return arrow_columns.encoded(encoder, data, of_numpy)
    if package == "pandas":
        if (
            hasattr(data.array, "__arrow_array__")
            and "pyarrow" in type(data.array).__name__.lower()
        ):
            return arrow_columns.encoded(encoder, data.array.__arrow_array__(), of_numpy)
        if hasattr(data, "cat"):
            known = encoded(encoder, data.cat.categories)
            return arrow_columns.taken(encoder, known, data.cat.codes.to_numpy())
        if isinstance(data.dtype, np.dtype):
            return of_numpy(encoder, data.to_numpy())
        return None
    if package == "polars":
        return None if data.null_count() else of_numpy(encoder, data.to_numpy())
    return of_numpy(encoder, data) if isinstance(data, np.ndarray) else None


def of_numpy(encoder: ColumnEncoder, values: Array) -> Array | None:
    """What stands for the values of an array of numbers; None where it has others.

    Raises:
      ValueError: A value is not of the column's type.
    """
    kind, dtype = values.dtype.kind, encoder.column.dtype
    if kind not in "iufb" or values.dtype.itemsize > 8 or isinstance(values, np.ma.MaskedArray):
        return None
    if encoder.column.is_list:
        if values.ndim != 2:
            return None
        flat = _numbers(encoder, values.ravel(), dtype)
        counts = np.full(len(values), values.shape[1], np.intp)
        return encoder.padded(flat, counts)
    return _numbers(encoder, values, dtype) if values.ndim == 1 else None


def _numbers(encoder: ColumnEncoder, values: Array, dtype: str) -> Array:
    if dtype == "string":
        different, place = np.unique(values, return_inverse=True)
        made: Array = encoder.flat(different.tolist())[place.reshape(-1)]
        return made
    if dtype == "float32":
        return encoder.of_floats(values)
    return encoder.of_integers(values)


def _columns(table: Any) -> dict[str, Any]:
    package = _package(table)
    if isinstance(table, Mapping):
        columns = {name: _column(values) for name, values in table.items()}
    elif package == "pyarrow" and hasattr(table, "schema") and hasattr(table, "column"):
        names = table.schema.names
        columns = {name: table.column(place) for place, name in enumerate(names)}
        _check_names(list(names))
    elif package in ("pandas", "polars") and hasattr(table, "shape"):
        _check_names(list(table.columns))
        columns = {str(name): table[name] for name in table.columns}
    elif isinstance(table, np.ndarray) and table.dtype.names:
        columns = {name: table[name] for name in table.dtype.names}
    elif hasattr(table, "__arrow_c_stream__"):
        return _columns(arrow_columns.table(table))
    else:
        raise TypeError(
            f"{type(table).__name__} is no table: it takes a mapping of name to column, a pandas "
            "or polars DataFrame, a pyarrow Table or RecordBatch, or what has __arrow_c_stream__"
        )
    return columns


def _check_names(names: list[Any]) -> None:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the table has two columns {', '.join(twice)}")


def _column(values: Any) -> Any:
    """A column as it is, or as a list where it has no length."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{values!r} is no column: it takes an array or a sequence of values")
    has_slices = isinstance(values, (Sequence, np.ndarray)) or _package(values)
    return values if has_slices else list(values)


def _package(data: Any) -> str:
    """`pandas`, `polars` or `pyarrow` where it is of one of these, otherwise empty."""
    package = type(data).__module__.partition(".")[0]
    return package if package in ("pandas", "polars", "pyarrow") else ""


def _part(data: Any, start: int, stop: int) -> Any:
    package = _package(data)
    if start == 0 and stop >= len(data):
        return data
    if package == "pandas":
        return data.iloc[start:stop]
    return data.slice(start, stop - start) if package else data[start:stop]


def _values(data: Any) -> list[Any]:
    package = _package(data)
    if package == "pyarrow":
        return list(data.to_pylist())
    if package == "polars":
        return list(data.to_list())
    if package == "pandas":
        absent = data.isna().to_numpy()
        values = list(data)
        if absent.any():
            values = [None if no else value for value, no in zip(values, absent, strict=True)]
        return values
    if isinstance(data, np.ndarray):
        return list(data.tolist() if data.dtype.kind in _PLAIN else data)
    return list(data)
