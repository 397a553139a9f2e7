"""Counts, rates and the like over earlier rows that share an item, a user, or both with the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from ranklite.models.config import Column, FeatureName
from ranklite.models.features.kind import Example, FeatureKind, Number
from ranklite.models.features.past import AsOf, Past
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.kind import Raw

Stat = Literal["count", "sum", "mean", "rate", "recency", "distinct"]
_SQUASHED = ("count", "sum", "recency", "distinct")  # of any size: their logarithm is read


class AggregateFeature(FeatureKind):
    """Numbers about the earlier rows of the log with the same values of `by`.

    Over the events before the state time of a row (`ranklite.models.features.past`):

        count      how many
        sum, mean  of the column `of`
        rate       (sum + prior * m) / (count + prior), m the mean of `of` in the train split:
                   of the label, or the mean of another column drawn to that of all
        recency    days from the last event to the state time
        distinct   how many values of the column `of`

    Counts, sums and days are read as sign(x) log(1 + |x|), and all are standardized. An aggregate
    by one feature other than the user's, such as the item's, is stored in the file as of the end
    of the log: an app sends the item's id and nothing else, or a fresher value, which is taken
    then.

    Attributes:
      name: The numbers are `<name>_<stat>`, in the raw signature too.
      by: Features, or the user's or item's column, whose values an event and the row share. Of a
        multi-valued one each value is a key, and what they give is added up.
      of: `label`, or a column of numbers of the log, which need be no feature: a rating, seconds
        watched. For `distinct` a column that a feature reads.
      stats: What is computed.
      prior: Events with the mean of the train split that a rate is taken to start with.
      window: Days before the state time that count; None counts all.
      as_of: How fresh the state is when it is served.
      delay: Seconds that it lags behind besides.
      table: How values are stored in the file: `uint8`, of 256 steps between the least and the
        greatest, `float32`, or `none`.
      table_min_count: Events that a key outside of the vocabulary needs to be stored; a key with
        fewer is one without events, unless an app sends its numbers.
    """

    kind: Literal["aggregate"]
    by: tuple[Column, ...] = Field(min_length=1)
    of: FeatureName = "label"
    stats: tuple[Stat, ...] = Field(("count", "rate"), min_length=1)
    prior: float = Field(10.0, gt=0.0)
    window: float | None = Field(None, gt=0.0)
    as_of: AsOf = "day"
    delay: float = Field(0.0, ge=0.0)
    table: Literal["uint8", "float32", "none"] = "uint8"
    table_min_count: int = Field(1, ge=1)

    @field_validator("by", mode="before")
    @classmethod
    def _one_or_several(cls, by: Any) -> Any:
        return (by,) if isinstance(by, str) else by

    @model_validator(mode="after")
    def _computable(self) -> AggregateFeature:
        for what, names in (("by", self.by), ("stats", self.stats)):
            if len(set(names)) < len(names):
                raise ValueError(f"feature {self.name!r}: {what} names one twice")
        if self.column:
            raise ValueError(f"feature {self.name!r}: an aggregate is computed, no column has it")
        if "distinct" in self.stats and self.window is not None:
            raise ValueError(
                f"feature {self.name!r}: distinct values are counted over all the past; leave "
                "`window` out, or give them a feature of their own"
            )
        if "distinct" in self.stats and self.of == "label":
            raise ValueError(f"feature {self.name!r}: distinct needs a column in `of`")
        return self

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Statistics of a shop, with a table in the file and without, and of a user in a shop."""
        rows = tuple({"shop": shop} for shop in ("red", "blue", None, "red", "odd", "blue"))
        shop = {"kind": "categorical", "name": "shop"}
        ways: tuple[dict[str, Any], ...] = (
            {"name": "shop_stats", "by": "shop", "as_of": "second"},
            {"name": "age", "by": ["shop"], "stats": ["recency"], "table": "none"},
            {"name": "visits", "by": ["user", "shop"], "stats": ["count"], "window": 0.5},
        )
        return tuple(Example(way, rows, beside=(shop,)) for way in ways)

    def raw_columns(self) -> tuple[RawColumn, ...]:
        """A number for each statistic."""
        return tuple(
            RawColumn(
                f"{self.name}_{stat}",
                "float32",
                categories=False,
                kind=self.kind,
                past=Past(
                    self.name,
                    self.by,
                    "" if stat in ("count", "recency") else self.of,
                    stat,
                    self.as_of,
                    self.delay,
                    self.window,
                    self.prior if stat == "rate" else 0.0,
                ),
                stored=self.table if self.is_stored else "",
                stored_from=self.table_min_count,
            )
            for stat in self.stats
        )

    @property
    def is_stored(self) -> bool:
        """Whether the file has a table of it: by one key, which is a feature."""
        return len(self.by) == 1 and self.table != "none"

    def bound(self, features: Mapping[str, FeatureKind], user: str | None) -> FeatureKind:
        """Without a table where the key is the user's, or no categorical feature of the model."""
        key = features.get(self.by[0])
        known = key is not None and key.is_categorical and key.name != user
        if self.is_stored and not known:
            return self.model_copy(update={"table": "none"})
        return self

    @property
    def numbers(self) -> tuple[Number, ...]:
        """One for each statistic."""
        return tuple(Number(f"{self.name}_{stat}") for stat in self.stats)

    def to_numbers(self, raw: Raw) -> list[tf.Tensor]:
        """The statistics, those without bounds by their logarithm."""
        import tensorflow as tf

        from ranklite.models.features.rules import squash

        result = []
        for stat in self.stats:
            x = raw[f"{self.name}_{stat}"]
            if stat == "recency":  # -1: there was no event
                x = tf.where(x < 0, tf.constant(float("nan"), x.dtype), x)
            result.append(squash(x) if stat in _SQUASHED else x)
        return result
