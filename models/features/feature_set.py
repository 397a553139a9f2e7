"""The configured features and the columns with a role, as data; no TensorFlow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ranklite.models.config import Name, Strict


class CategoricalFeature(Strict):
    """One value a row, looked up in a vocabulary made from the train split.

    Attributes:
      name: Column of the log (or of the query's result).
      dtype: What an app sends to the raw signature: `string` or `int64`.
      min_count: Values seen less often in the train split share the out-of-vocabulary row.
      max_vocabulary: Keep only the most frequent values; None keeps all.
    """

    kind: Literal["categorical"]
    name: Name
    dtype: Literal["string", "int64"] = "string"
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)


class MultiCategoricalFeature(Strict):
    """Several values a row (genres, tags); their embeddings are averaged into one field.

    Attributes:
      name: Column of the log: a list, or a string that `separator` splits.
      dtype: `string` or `int64`.
      max_length: Values kept a row, the first ones; longer lists are cut.
      separator: Splits a string column; None for columns that are lists already.
      min_count: As for `CategoricalFeature`.
      max_vocabulary: As for `CategoricalFeature`.
    """

    kind: Literal["multi_categorical"]
    name: Name
    dtype: Literal["string", "int64"] = "string"
    max_length: int = Field(ge=1, le=1000)
    separator: str | None = Field(None, min_length=1)
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)


class NumericFeature(Strict):
    """A number a row; missing values (null or NaN) are legal.

    Either standardized, z = (x - mean) / std over the train split, with the mean in place of a
    missing value, or (`buckets`) cut at train quantiles into a categorical field in which a missing
    value has a row of its own.

    Attributes:
      name: Column of the log.
      log: Compress first with sign(x) * log(1 + |x|).
      buckets: Number of quantile buckets; None standardizes instead.
      missing_indicator: Standardized only: add a second column that is 1 where x is missing.
    """

    kind: Literal["numeric"]
    name: Name
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


Feature = Annotated[
    CategoricalFeature | MultiCategoricalFeature | NumericFeature, Field(discriminator="kind")
]


class FeatureSet(Strict):
    """The features and the columns with a role: all that Transform has to know.

    Attributes:
      features: The model's inputs in order.
      label: Name of the column in the Examples that holds 0 or 1.
      user: Column that identifies the user, for per-user metrics and the cold-start slice.
      item: Column that identifies the item, for the popularity and cold-start slices.
      slices: Columns by whose values the evaluation is sliced as well.
    """

    features: tuple[Feature, ...] = Field(min_length=1)
    label: Name = "label"
    user: Name | None = None
    item: Name | None = None
    slices: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> FeatureSet:
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"features named twice: {', '.join(twice)}")
        if all(f.kind == "numeric" and f.buckets is None for f in self.features):
            raise ValueError(
                "a factorization machine needs a categorical feature: give one of kind categorical "
                "or multi_categorical, or cut a numeric one with `buckets`"
            )
        if self.label in names:
            raise ValueError(
                f"{self.label!r} is the label and cannot be a feature: the model would read the "
                "answer"
            )
        return self
