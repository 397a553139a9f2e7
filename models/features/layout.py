"""The fused feature layout: the contract between preprocessing, model and exported file.

All fields share one embedding table and one id tensor, so that a model of any number of fields
costs one gather. Row 0 of the table is padding. Field f owns the rows `offset_f` to
`offset_f + rows_f - 1`:

    offset_f + 0   out of vocabulary (a new or rare value)
    offset_f + 1   missing (null, or an empty string)
    offset_f + 2 + k   value k of the vocabulary (most frequent first), or bucket k
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

PADDING_ROW = 0
OOV = 0
MISSING = 1
RESERVED_ROWS = 2

IDS = "ids"
NUMERIC = "numeric"
LABEL = "label"
TIMESTAMP = "timestamp"  # of raw Examples, in seconds, where the log has a time

# What stands for a missing value; a number is missing where it is not finite. A raw signature takes
# int32 (`ranklite.models.features.fingerprints`), Transform what stands in the log.
MISSING_STRING = ""
MISSING_INT64 = -(2**63)
MISSING_INT32 = -(2**31)
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
      owner: The field whose rows it uses, where it has none of its own: a list of items and the
        item itself.
      pools: Number of weighted means that its embeddings become; 0: one plain mean. The weights
        are columns of `numeric`.
      encoder: What a model makes of its list: `pool`, or the name of an encoder.
      of_user: Whether it is a list of the user's own, which all candidates of a user share.
    """

    name: str
    start: int
    length: int
    offset: int
    rows: int
    owner: str = ""
    pools: int = 0
    encoder: str = "pool"
    of_user: bool = False

    @property
    def num_vectors(self) -> int:
        """Embeddings that a row has of it once its list is pooled."""
        return self.pools if self.pools and self.encoder == "pool" else 1

    @property
    def oov_row(self) -> int:
        """Row of values that are not in the vocabulary."""
        return self.offset + OOV

    @property
    def missing_row(self) -> int:
        """Row of missing values."""
        return self.offset + MISSING


@dataclasses.dataclass(frozen=True)
class ListField:
    """What is special about a list: `owner`, `pools`, `encoder` and `of_user` of its `Field`."""

    owner: str = ""
    pools: int = 0
    encoder: str = "pool"
    of_user: bool = False


@dataclasses.dataclass(frozen=True)
class FeatureLayout:
    """Where each feature lives in the two input tensors, `ids` [B, S] and `numeric` [B, N + W].

    Attributes:
      fields: The id fields, in column order: single-valued ones, multi-valued ones, and last those
        that are lists of the user's own.
      numeric: Names of the first N columns of `numeric`. The W others are the weights of the
        fields with pools, field by field and pool by pool.

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
        cls,
        sizes: Sequence[tuple[str, int, int]],
        numeric: Sequence[str] = (),
        lists: Mapping[str, ListField] | None = None,
    ) -> FeatureLayout:
        """Lays out fields one after the other.

        Args:
          sizes: (name, length, vocabulary size or number of buckets) of each id field.
          numeric: Names of the standardized columns.
          lists: What is special about lists, by name.

        Returns:
          The layout; fields keep their order among the single-valued ones, among the multi-valued
          ones, and among the user's own.
        """
        fields: dict[str, Field] = {}
        special_of = collections.defaultdict(ListField, lists or {})
        start, offset = 0, PADDING_ROW + 1
        for name, length, values in sorted(
            sizes, key=lambda s: (s[1] > 1, special_of[s[0]].of_user)
        ):
            special = special_of[name]
            if special.owner:
                owner = fields[special.owner]
                own = Field(name, start, length, owner.offset, owner.rows)
            else:
                own = Field(name, start, length, offset, values + RESERVED_ROWS)
                offset += own.rows
            fields[name] = dataclasses.replace(own, **dataclasses.asdict(special))
            start += length
        return cls(tuple(fields.values()), tuple(numeric))

    @property
    def owners(self) -> tuple[Field, ...]:
        """The fields with rows of their own, in the order of their rows."""
        return tuple(field for field in self.fields if not field.owner)

    @property
    def num_vectors(self) -> int:
        """F, the embeddings of a row once lists are pooled."""
        return sum(field.num_vectors for field in self.fields)

    @property
    def num_ids(self) -> int:
        """S, the number of columns of `ids`."""
        return sum(field.length for field in self.fields)

    @property
    def num_numbers(self) -> int:
        """N, the numbers among the columns of `numeric`."""
        return len(self.numeric)

    @property
    def num_weights(self) -> int:
        """W, the weights among them."""
        return sum(field.pools * field.length for field in self.fields)

    @property
    def num_numeric(self) -> int:
        """N + W, the number of columns of `numeric`."""
        return self.num_numbers + self.num_weights

    @property
    def table_rows(self) -> int:
        """Rows of the fused embedding table, padding included."""
        return PADDING_ROW + 1 + sum(field.rows for field in self.owners)

    def part(self, *, of_user: bool) -> FeatureLayout:
        """The lists that are the user's own, or all that comes before them.

        Returns:
          A layout of the columns of one part of `ids`, and of its weights alone. What is no list of
          the user's own has the numbers too.
        """
        chosen = [field for field in self.fields if field.of_user == of_user]
        first = chosen[0].start if chosen else 0
        fields = (dataclasses.replace(field, start=field.start - first) for field in chosen)
        return FeatureLayout(tuple(fields), () if of_user else self.numeric)

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
