"""A column of raw values: what a log holds, an Example carries and an app sends.

Most of what a kind of feature has to say follows from the type of its columns: SQL and Arrow at
ingest, the schema, the raw signature, the decoding of Examples, what a scorer makes of a value. The
column says it here, once for all kinds; a kind whose column needs more overrides a method in a
subclass. Neither TensorFlow nor pydantic is imported, since a scorer reads columns too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ranklite.models.features import sql_values
from ranklite.models.features.layout import MISSING_FLOAT, MISSING_INT64, MISSING_STRING
from ranklite.models.features.past import Past

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2

Dtype = Literal["string", "int64", "float32"]

Value = bytes | int | float

_MISSING: dict[str, Value] = {
    "string": MISSING_STRING.encode(),
    "int64": MISSING_INT64,
    "float32": MISSING_FLOAT,
}
_UNSEEN: dict[str, Value] = {"string": b"\x02never seen", "int64": 2**62, "float32": 1e6}


@dataclasses.dataclass(frozen=True)
class RawColumn:
    """A column of raw values.

    Attributes:
      name: Its name, in Examples and in the raw signature.
      dtype: Of a value: `string`, `int64` or `float32`.
      length: Most values a row, the first ones; None for a single value.
      separator: What splits the text of a list; None where the log has lists.
      categories: Whether values are categories, whose shares are compared for drift, and not
        magnitudes.
      kind: The kind of feature that reads it, for those who read `model.json`.
      column: Its name in the log, where that is another.
      past: How it is computed from earlier rows; None where the log has it. An app may leave such a
        column out: it is missing then.
      stored: `uint8` or `float32` where the file holds values of it, which are taken where an app
        sends none; "" where it holds none.
      stored_from: Events that a key outside of the vocabulary has to have for that.

    Example:
        >>> genres = RawColumn("genres", "string", length=3, separator="|")
        >>> genres.is_list, genres.missing
        (True, b'')
    """

    name: str
    dtype: Dtype
    length: int | None = None
    separator: str | None = None
    categories: bool = True
    kind: str = ""
    column: str = ""
    past: Past | None = None
    stored: str = ""
    stored_from: int = 1

    @property
    def source(self) -> str:
        """Its name in the log."""
        return self.column or self.name

    @property
    def is_list(self) -> bool:
        """Whether a row has several values."""
        return self.length is not None

    @property
    def missing(self) -> Value:
        """What stands for a missing value: "", -2**63 or NaN."""
        return _MISSING[self.dtype]

    @property
    def unseen(self) -> Value:
        """A value that no log has, for the checks of a file."""
        return _UNSEEN[self.dtype]

    def reads_like(self, other: RawColumn) -> bool:
        """Whether two features that read this column agree about it."""
        if self is other:
            return True
        return dataclasses.replace(self, kind="") == dataclasses.replace(other, kind="")

    # Ingest

    def sql(self, kind: str, held: str | None = None) -> tuple[str, str | None]:
        """SQL of the column in its declared type, and of what is wrong with a value, if anything.

        Args:
          kind: DuckDB's type of the column in the log; `JSON` for a value of a JSONL line.
          held: As of `sql_values.scalar`.

        Raises:
          Unconvertible: The column cannot become what is declared.
        """
        if self.is_list:
            return sql_values.values(self.source, kind, self.dtype, self.separator, held)
        return sql_values.scalar(self.source, kind, self.dtype, held)

    def arrow_type(self) -> pa.DataType:
        """Type of the column in an Arrow table."""
        import pyarrow as pa

        types = {"string": pa.string(), "int64": pa.int64(), "float32": pa.float32()}
        return pa.list_(types[self.dtype]) if self.is_list else types[self.dtype]

    # Schema and statistics

    def schema_type(self) -> int:
        """TensorFlow Metadata's FeatureType."""
        from tensorflow_metadata.proto.v0 import schema_pb2

        types = {
            "string": schema_pb2.BYTES,
            "int64": schema_pb2.INT,
            "float32": schema_pb2.FLOAT,
        }
        return int(types[self.dtype])

    @property
    def counts_integers(self) -> bool:
        """Whether statistics have to count the column's integers, which are categories."""
        return self.dtype == "int64" and self.categories

    def describe(self, entry: schema_pb2.Feature) -> None:
        """Writes type, number of values and domain into an entry of a schema."""
        entry.type = self.schema_type()
        if not self.is_list:
            entry.value_count.max = 1
        if self.dtype == "float32":
            entry.float_domain.disallow_inf = True
        elif self.counts_integers:
            entry.int_domain.is_categorical = True

    def compare(self, comparator: schema_pb2.FeatureComparator, threshold: float) -> None:
        """Sets how far the column's values may drift, or differ between splits."""
        if self.dtype == "float32" or not self.categories:
            comparator.jensen_shannon_divergence.threshold = threshold
        else:
            comparator.infinity_norm.threshold = threshold

    # Serving

    def entry(self) -> dict[str, Any]:
        """What `model.json` says of the column: all that a scorer has to know."""
        entry: dict[str, Any] = {"name": self.name, "kind": self.kind, "dtype": self.dtype}
        if self.is_list:
            entry |= {"max_length": self.length, "separator": self.separator}
        if self.column:
            entry["column"] = self.column
        if self.past:
            entry |= {"past": self.past.entry(), "stored": self.stored}
        return entry

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> RawColumn:
        """Reads what `entry` wrote."""
        return cls(
            entry["name"],
            entry.get("dtype", "float32"),
            entry.get("max_length"),
            entry.get("separator"),
            kind=entry.get("kind", ""),
            column=entry.get("column", ""),
            past=Past.of_entry(entry.get("past")),
            stored=entry.get("stored", ""),
        )

    @classmethod
    def of_input(cls, name: str, shape: list[int], dtype: Any) -> RawColumn:
        """The column that an input of a raw signature [B] or [B, length] takes."""
        return cls(name, dtype, shape[1] if len(shape) == 2 else None)

    def digest_entry(self) -> tuple[str, str, str, int]:
        """What has to be equal for two files to be comparable on the same raw rows."""
        dtype = "" if self.dtype == "float32" else self.dtype
        return self.name, self.kind, dtype, self.length or 0
