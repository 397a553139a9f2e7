"""A number a row, standardized or cut into buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ranklite.models.features import layout
from ranklite.models.features.kind import Example, FeatureKind, Number
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.constants import Learned
    from ranklite.models.features.kind import Keep, Lookup, Raw

_BOUNDARIES = "boundaries"
_QUANTILE_ERROR = 0.001


class NumericFeature(FeatureKind):
    """A number a row; missing values (null or NaN) are legal.

    Either standardized, z = (x - mean) / std over the train split, within 10 deviations, with the
    mean in place of a missing value, or (`buckets`) cut at train quantiles into a categorical field
    in which a missing value has a row of its own.

    Attributes:
      name: Column of the log.
      log: Compress first with sign(x) * log(1 + |x|).
      buckets: Number of quantile buckets; None standardizes instead.
      missing_indicator: Standardized only: add a second column that is 1 where x is missing.
    """

    kind: Literal["numeric"]
    log: bool = False
    buckets: int | None = Field(None, ge=2, le=10_000)
    missing_indicator: bool = False

    @model_validator(mode="after")
    def _indicator_needs_standardization(self) -> NumericFeature:
        if self.buckets is not None and self.missing_indicator:
            raise ValueError(
                f"feature {self.name!r}: missing_indicator goes without buckets, since a missing "
                "value has a bucket of its own"
            )
        return self

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Prices, plain or by their logarithm, and hours in buckets; some are missing."""
        prices = (1.5, 20.0, None, 3.0, 0.0, -4.25, 1.5, 100.0, 7.0)
        hours = (0.0, 23.0, 12.0, None, 12.5, 6.0, 7.0, 18.0, 3.0)
        return (
            Example({"name": "price"}, tuple({"price": x} for x in prices)),
            Example(
                {"name": "spent", "log": True, "missing_indicator": True},
                tuple({"spent": x} for x in prices),
            ),
            Example({"name": "hour", "buckets": 3}, tuple({"hour": x} for x in hours)),
        )

    def raw_columns(self) -> tuple[RawColumn, ...]:
        """A column of numbers."""
        return (
            RawColumn(self.name, "float32", categories=False, kind=self.kind, column=self.column),
        )

    @property
    def id_length(self) -> int:
        """One id where it is cut into buckets."""
        return 0 if self.buckets is None else 1

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Itself, where it is standardized."""
        if self.buckets is not None:
            return ()
        return (Number(self.name, missing_indicator=self.missing_indicator),)

    def to_numbers(self, raw: Raw) -> list[tf.Tensor]:
        """The number, or its logarithm."""
        from ranklite.models.features.rules import squash

        x = raw[self.name]
        return [squash(x) if self.log else x]

    def learn_ids(self, raw: Raw, keep: Keep) -> tuple[tf.Tensor, tf.Tensor | int]:
        """Rows by bucket; the boundaries are quantiles."""
        import tensorflow as tf
        import tensorflow_transform as tft

        from ranklite.models.features.rules import is_present

        (x,) = self.to_numbers({self.name: tf.cast(raw[self.name], tf.float64)})
        x = tf.cast(x, tf.float32)
        boundaries = keep(
            _BOUNDARIES,
            tft.quantiles(tf.boolean_mask(x, is_present(x)), self.buckets, epsilon=_QUANTILE_ERROR),
        )
        bucket = tf.searchsorted(tf.reshape(boundaries, [-1]), tf.reshape(x, [-1]), side="right")
        rows = tf.reshape(tf.cast(bucket, tf.int64), tf.shape(x)) + layout.RESERVED_ROWS
        rows = tf.where(is_present(x), rows, tf.constant(layout.MISSING, tf.int64))
        return rows, self.buckets or 0

    def id_values(self, learned: Learned) -> int:
        """The number of buckets."""
        return self.buckets or 0

    def constants(self, learned: Learned) -> dict[str, Any]:
        """The boundaries, ascending."""
        return {_BOUNDARIES: learned.constant(_BOUNDARIES, self.name).tolist()}

    def lookup(self, constants: Mapping[str, Any], field: layout.Field) -> Lookup:
        """TFLite has an operator for it."""
        import tensorflow as tf

        from ranklite.models.features.rules import is_present

        def bucket(raw: Raw) -> tf.Tensor:
            (x,) = self.to_numbers(raw)
            present = tf.where(is_present(x), x, tf.zeros_like(x))
            index = tf.raw_ops.Bucketize(input=present, boundaries=constants[_BOUNDARIES])
            rows = index + (field.offset + layout.RESERVED_ROWS)
            rows = tf.where(is_present(x), rows, tf.constant(field.missing_row, tf.int32))
            return tf.reshape(rows, [-1, 1])

        return bucket
