"""What a file takes, of rows that are mappings or of tables: arrays by the name of a column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features.column_encoder import ColumnEncoder, Where
from ranklite.models.features.fingerprints import Encoder
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.tables import Table

Array = npt.NDArray[Any]
Row = Mapping[str, Any]


class Inputs:
    """Encodes the features of a model.

    Args:
      columns: Its columns.
      encoder: Of the file; None where it takes texts and int64 as they are.
    """

    def __init__(self, columns: Sequence[RawColumn], encoder: Encoder | None) -> None:
        self.encoders = {column.name: ColumnEncoder(column, encoder) for column in columns}
        # One row is put into arrays that stay: to make them takes as long as to fill them.
        self._row = {name: self.missing(name, 1) for name in self.encoders}
        self._into: list[tuple[str, Callable[[Any], Any], Array, bool]] = [
            (name, each.one, self._row[name], each.column.past is None)
            for name, each in self.encoders.items()
        ]

    def of_row(self, row: Row) -> dict[str, Array]:
        """The arrays of one row, which the next call fills anew.

        Raises:
          KeyError: The row lacks a feature.
          ValueError: A value is not of its feature's type.
        """
        if type(row) is dict:
            try:
                for name, one, into, is_needed in self._into:
                    into[0] = one(row[name] if is_needed else row.get(name))
                return self._row
            except (KeyError, OverflowError, TypeError, ValueError):
                pass  # what is wrong, or not plain, is looked at by itself
        return self.of_rows([row])

    def of_rows(
        self, rows: Sequence[Row], first: int = 0, names: Collection[str] | None = None
    ) -> dict[str, Array]:
        """The arrays of some rows.

        Args:
          rows: A mapping a row.
          first: Number of the first one, for errors.
          names: Of the columns; None takes all.

        Raises:
          KeyError: A row lacks a feature.
          ValueError: A value is not of its feature's type.
        """

        def where(place: int) -> str:
            return f"row {first + place}"

        is_plain = set(map(type, rows)) <= {dict}  # of others a look-up may do anything
        return {
            name: encoder.array(self._values(encoder.column, rows, first, is_plain), where)
            for name, encoder in self.encoders.items()
            if names is None or name in names
        }

    def of_items(self, shared: Row, items: Sequence[Row]) -> dict[str, Array]:
        """The arrays of what candidates hold; one that lacks what others have has that of the user.

        Args:
          shared: Features of the user and the context.
          items: A mapping a candidate.
        """
        own = {name for item in items for name in item}
        mixed = items
        if any(len(item) < len(own) for item in items):
            mixed = [{**shared, **item} for item in items]
        return self.of_rows(mixed, names=own)

    def of_shared(
        self, user: Row, own: Collection[str], count: int, once: Collection[str]
    ) -> dict[str, Array]:
        """The arrays of what candidates share: converted once.

        Args:
          user: Features of the user and the context.
          own: Names of what the candidates hold themselves.
          count: Of the candidates.
          once: Names of what is sent as one row for all of them.
        """
        made = self.of_rows([user], names=self.encoders.keys() - own)
        return {
            name: one if name in once else np.broadcast_to(one, (count, *one.shape[1:]))
            for name, one in made.items()
        }

    def of_table(
        self, table: Table, start: int, stop: int, where: Where, *, logged: bool = False
    ) -> dict[str, Array]:
        """The arrays of the rows `start` to `stop` - 1 of a table.

        Args:
          table: It has all columns but those of the past, which are missing where it has not.
          start: The first row.
          stop: The row behind the last one.
          where: Names the row of an error by its place behind the first one.
          logged: Whether columns go by their names in the log.

        Raises:
          KeyError: The table lacks a feature.
          ValueError: A value is not of its feature's type.
        """
        made = {}
        for name, encoder in self.encoders.items():
            column = encoder.column.source if logged else name
            if column in table.names:
                made[name] = table.encoded(encoder, column, start, stop, where)
            elif encoder.column.past is None:
                raise KeyError(
                    f"the table has no column {column!r}; a column of None says that values are "
                    "missing"
                )
            else:
                made[name] = self.missing(name, stop - start)
        return made

    def missing(self, name: str, rows: int) -> Array:
        """A column without values."""
        encoder = self.encoders[name]
        length = encoder.column.length
        return np.full(rows if length is None else (rows, length), encoder.missing, encoder.dtype)

    @staticmethod
    def _values(column: RawColumn, rows: Sequence[Row], first: int, is_plain: bool) -> list[Any]:
        name = column.name
        if column.past is not None:
            return [row.get(name) for row in rows]
        if is_plain:
            try:
                return [row[name] for row in rows]
            except KeyError:
                pass
        for number, row in enumerate(rows, first):
            if name not in row:
                raise KeyError(
                    f"row {number} has no feature {name!r}; None says that a value is missing"
                )
        return [row.get(name) for row in rows]
