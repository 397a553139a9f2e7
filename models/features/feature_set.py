"""The configured features and the columns with a role, as data; no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from ranklite.models.config import Name, Strict
from ranklite.models.features.kind import FeatureKind, Number
from ranklite.models.features.kinds import KINDS
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.registered import Registered

Feature = Annotated[FeatureKind, Registered(KINDS, "kind")]


class FeatureSet(Strict):
    """The features and the columns with a role: all that Transform has to know.

    Attributes:
      features: The model's inputs in order.
      label: Name of the column in the Examples that holds 0 or 1.
      user: Column that identifies the user, for per-user metrics and the cold-start slice.
      item: Column that identifies the item, for the popularity and cold-start slices.
      slices: Columns by whose values the evaluation is sliced as well.

    Example:
        >>> features = FeatureSet.model_validate(
        ...     {
        ...         "features": [
        ...             {"kind": "categorical", "name": "user"},
        ...             {"kind": "numeric", "name": "price", "missing_indicator": True},
        ...         ]
        ...     }
        ... )
        >>> features.numeric_names
        ['price', 'price_is_missing']
    """

    features: tuple[Feature, ...] = Field(min_length=1)
    label: Name = "label"
    user: Name | None = None
    item: Name | None = None
    slices: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> FeatureSet:
        names = [feature.name for feature in self.features]
        twice = _twice(names)
        if twice:
            raise ValueError(f"features named twice: {', '.join(twice)}")
        if not self.id_features:
            raise ValueError(
                "a factorization machine needs a categorical feature: give one of kind categorical "
                "or multi_categorical, or cut a numeric one with `buckets`"
            )
        if self.label in names or self.label in [c.name for c in self.raw_columns]:
            raise ValueError(
                f"{self.label!r} is the label and cannot be a feature: the model would read the "
                "answer"
            )
        twice = _twice(self.numeric_names)
        if twice:
            raise ValueError(f"several features give the number {', '.join(twice)}: rename one")
        return self

    @property
    def raw_columns(self) -> tuple[RawColumn, ...]:
        """The columns that the features read, each once, in the order of the configuration.

        Raises:
          ValueError: Two features read a column differently.
        """
        columns: dict[str, RawColumn] = {}
        for feature in self.features:
            for column in feature.raw_columns():
                first = columns.setdefault(column.name, column)
                if not column.reads_like(first):
                    raise ValueError(
                        f"feature {feature.name!r} reads the column {column.name!r} as "
                        f"{column.dtype}, or as another list, than a feature before it"
                    )
        return tuple(columns.values())

    @property
    def id_features(self) -> list[FeatureKind]:
        """Features that become ids, in the order of the layout."""
        with_ids = [feature for feature in self.features if feature.is_id]
        return sorted(with_ids, key=lambda feature: feature.id_length > 1)

    @property
    def numbers(self) -> list[Number]:
        """The numbers of all features, in order."""
        return [number for feature in self.features for number in feature.numbers]

    @property
    def numeric_names(self) -> list[str]:
        """Names of the columns of `numeric`."""
        return [name for number in self.numbers for name in number.columns]

    @property
    def input_columns(self) -> list[str]:
        """Columns of the log that Transform reads."""
        names = [column.name for column in self.raw_columns] + [self.label, *self.slices]
        return list(dict.fromkeys(names + ([self.user] if self.user else [])))

    @property
    def modules(self) -> list[str]:
        """The modules of the kinds that are used: what a digest of code has to cover besides."""
        return sorted({KINDS.module(feature.kind) for feature in self.features})

    def changing_with_item(self, columns: Sequence[str]) -> tuple[str, ...]:
        """What changes where a row gets another item, besides the item itself.

        Args:
          columns: Columns of the log that belong to the item.

        Returns:
          Them, and the features and numbers that are made of nothing else.

        Raises:
          ValueError: A feature reads the item's columns and others: no row of the train split says
            what it is for this item there.
        """
        of_item = {self.item, *columns}
        names = list(columns)
        for feature in self.features:
            read = {column.name for column in feature.raw_columns()}
            if feature.name == self.item or not read & of_item:
                continue
            if read - of_item:
                raise ValueError(
                    f"feature {feature.name!r} reads {', '.join(sorted(read - of_item))} beside "
                    "columns of the item: it is unknown for an item that is drawn anew"
                )
            names += [feature.name, *(number.name for number in feature.numbers)]
        return tuple(dict.fromkeys(names))

    def is_categorical(self, name: str | None) -> bool:
        """Whether a column is a feature that may be the user or the item."""
        return any(feature.name == name and feature.is_categorical for feature in self.features)


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
