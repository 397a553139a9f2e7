"""The fused feature layout: the contract between preprocessing, model and exported file.

All fields share one embedding table and one id tensor, so that a model of any number of fields
costs one gather. Row 0 of the table is padding. Field f owns the rows `offset_f` to
`offset_f + rows_f - 1`:

    offset_f + 0   out of vocabulary (a new or rare value)
    offset_f + 1   missing (null, or an empty string)
    offset_f + 2 + k   value k of the vocabulary (most frequent first), or bucket k
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

PADDING_ROW = 0
OOV = 0
MISSING = 1
RESERVED_ROWS = 2

IDS = "ids"
NUMERIC = "numeric"
LABEL = "label"
TIMESTAMP = "timestamp"  # of raw Examples, in seconds, where the log has a time

# What stands for a missing value in the raw signature; a number is missing where it is not finite.
MISSING_STRING = ""
MISSING_INT64 = -(2**63)
MISSING_FLOAT = float("nan")


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of the fused id tensor.

    Attributes:
      name: The feature it comes from.
      start: Its first column in `ids`.
      length: Its number of columns: 1, or the maximum length of a multi-valued feature.
      offset: Its first row in the table.
      rows: Its number of rows, the reserved ones included.
    """

    name: str
    start: int
    length: int
    offset: int
    rows: int

    @property
    def oov_row(self) -> int:
        """Row of values that are not in the vocabulary."""
        return self.offset + OOV

    @property
    def missing_row(self) -> int:
        """Row of missing values."""
        return self.offset + MISSING


@dataclasses.dataclass(frozen=True)
class FeatureLayout:
    """Where each feature lives in the two input tensors, `ids` [B, S] and `numeric` [B, N].

    Attributes:
      fields: The id fields, in column order, single-valued ones before multi-valued ones.
      numeric: Names of the columns of `numeric`.

    Example:
        >>> layout = FeatureLayout.build([("tags", 3, 10), ("user", 1, 100)], ["price"])
        >>> [(field.name, field.start, field.length, field.offset) for field in layout.fields]
        [('user', 0, 1, 1), ('tags', 1, 3, 103)]
        >>> layout.num_ids, layout.table_rows  # with padding, and two reserved rows a field
        (4, 115)
    """

    fields: tuple[Field, ...]
    numeric: tuple[str, ...] = ()

    @classmethod
    def build(
        cls, sizes: Sequence[tuple[str, int, int]], numeric: Sequence[str] = ()
    ) -> FeatureLayout:
        """Lays out fields one after the other.

        Args:
          sizes: (name, length, vocabulary size or number of buckets) of each id field.
          numeric: Names of the standardized columns.

        Returns:
          The layout; single-valued fields keep their order and come before multi-valued ones.
        """
        fields, start, offset = [], 0, PADDING_ROW + 1
        for name, length, values in sorted(sizes, key=lambda size: size[1] > 1):
            field = Field(name, start, length, offset, values + RESERVED_ROWS)
            fields.append(field)
            start, offset = start + length, offset + field.rows
        return cls(tuple(fields), tuple(numeric))

    @property
    def num_ids(self) -> int:
        """S, the number of columns of `ids`."""
        return sum(field.length for field in self.fields)

    @property
    def num_numeric(self) -> int:
        """N, the number of columns of `numeric`."""
        return len(self.numeric)

    @property
    def table_rows(self) -> int:
        """Rows of the fused embedding table, padding included."""
        return PADDING_ROW + 1 + sum(field.rows for field in self.fields)

    def field(self, name: str) -> Field:
        """The field of a feature.

        Raises:
          KeyError: There is no id field of that name.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"no id field {name!r}; there are {[f.name for f in self.fields]}")

    def to_dict(self) -> dict[str, Any]:
        """The layout as JSON-ready data; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FeatureLayout:
        """Reads what `to_dict` wrote."""
        return cls(tuple(Field(**field) for field in data["fields"]), tuple(data["numeric"]))
