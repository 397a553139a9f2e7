"""The configured features and the columns with a role, as data; no TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ranklite.models.config import Name, Strict
from ranklite.models.features.kind import FeatureKind, Number
from ranklite.models.features.kinds import KINDS
from ranklite.models.features.layout import ListField
from ranklite.models.features.past import SESSION, SESSION_GAP, SUMS
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.registered import Registered
from ranklite.models.repeats import twice

Feature = Annotated[FeatureKind, Registered(KINDS, "kind")]


class FeatureSet(Strict):
    """The features and the columns with a role: all that Transform has to know.

    Attributes:
      label: Name of the column in the Examples that holds 0 or 1.
      user: Column that identifies the user, for per-user metrics and the cold-start slice.
      features: The model's inputs in order.
      item: Column that identifies the item, for the popularity and cold-start slices.
      slices: Columns by whose values the evaluation is sliced as well.
      session_gap: Minutes without an event after which the user's next one starts a session.

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

    label: Name = "label"
    user: Name | None = None
    features: tuple[Feature, ...] = Field(min_length=1)
    item: Name | None = None
    slices: tuple[Name, ...] = ()
    session_gap: float = Field(SESSION_GAP, gt=0.0)

    @field_validator("features")  # after `user`, which it knows
    @classmethod
    def _bound(
        cls, features: tuple[FeatureKind, ...], info: ValidationInfo
    ) -> tuple[FeatureKind, ...]:
        named = {feature.name: feature for feature in features}
        return tuple(feature.bound(named, info.data.get("user")) for feature in features)

    @model_validator(mode="after")
    def _names_fit(self) -> FeatureSet:
        names = [feature.name for feature in self.features]
        if same := twice(names):
            raise ValueError(f"features named twice: {', '.join(same)}")
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
        if same := twice(self.numeric_names):
            raise ValueError(f"several features give the number {', '.join(same)}: rename one")
        self._check_past()
        return self

    def _check_past(self) -> None:
        """Raises ValueError where a column of the past is made of what no event has."""
        logged = {column.name for column in self.logged_columns}
        logged |= {name for name in (self.user, self.item) if name}
        lists = {column.name for column in self.logged_columns if column.is_list}
        no_numbers = {c.name for c in self.logged_columns if c.dtype == "string"} | lists
        for feature in self.features:
            for column in feature.raw_columns():
                past = column.past
                if past is None:
                    continue
                known = f"it is none of {', '.join(sorted(logged))}"
                for key in past.by:
                    if key not in logged:
                        raise ValueError(f"feature {feature.name!r}: by: {key!r}: {known}")
                if past.stat in SUMS:  # of any column of numbers that the log has
                    if past.of in {*no_numbers, self.user, self.item}:
                        raise ValueError(
                            f"feature {feature.name!r}: the {past.stat} of {past.of!r}, which is "
                            "no column of numbers"
                        )
                elif past.of not in ("", self.label, *logged):
                    raise ValueError(f"feature {feature.name!r}: of: {past.of!r}: {known}")
                elif past.of in lists:
                    raise ValueError(
                        f"feature {feature.name!r}: the {past.stat} of {past.of!r}, which is a list"
                    )
                if past.as_of == SESSION and self.user is None:
                    raise ValueError(
                        f"feature {feature.name!r}: as_of: session: a session is a user's; name "
                        "the column of the user in the key `user`"
                    )

    def model_copy(self, **changes: Any) -> FeatureSet:
        """As pydantic's; what is remembered is of the features that it was computed of."""
        copy = super().model_copy(**changes)
        copy.__dict__.pop("raw_columns", None)
        return copy

    @functools.cached_property
    def raw_columns(self) -> tuple[RawColumn, ...]:
        """The columns that the features read, each once, in the order of the configuration.

        They are asked for many times, and of thousands of features take a hundredth of a second.

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
    def logged_columns(self) -> tuple[RawColumn, ...]:
        """The raw columns that the log has."""
        return tuple(column for column in self.raw_columns if column.past is None)

    @property
    def event_columns(self) -> tuple[RawColumn, ...]:
        """Columns of numbers of the log that no feature reads: those of events are aggregated."""
        logged = {self.label, *(column.name for column in self.logged_columns)}
        summed = [c.past.of for c in self.past_columns if c.past and c.past.stat in SUMS]
        return tuple(RawColumn(of, "float32") for of in dict.fromkeys(summed) if of not in logged)

    @property
    def ingested_columns(self) -> tuple[RawColumn, ...]:
        """All typed columns that are read from the log."""
        return (*self.logged_columns, *self.event_columns)

    @property
    def past_columns(self) -> tuple[RawColumn, ...]:
        """The raw columns that are computed from earlier rows."""
        return tuple(column for column in self.raw_columns if column.past is not None)

    @property
    def history(self) -> FeatureKind | None:
        """The longest list of the user's events, if any."""
        lists = [f for f in self.id_features if f.pools and f.row_owner]
        return max(lists, key=lambda feature: feature.id_length) if lists else None

    @property
    def stores_state(self) -> bool:
        """Whether a file holds aggregates of the past."""
        return any(column.stored for column in self.raw_columns)

    def is_of_user(self, column: RawColumn) -> bool:
        """Whether a column of the past is the user's own: his device can keep it."""
        return column.past is not None and self.user in column.past.by

    def is_shared(self, feature: FeatureKind) -> bool:
        """Whether all candidates of a user share a feature: one row of it is enough for them."""
        return all(
            column.past is not None and column.past.is_only_of(self.user)
            for column in feature.raw_columns()
        )

    def _is_list_of_user(self, feature: FeatureKind) -> bool:
        """Whether a feature is a list of the user's own, of values that the candidate has too."""
        return feature.id_length > 1 and bool(feature.row_owner) and self.is_shared(feature)

    @property
    def list_fields(self) -> dict[str, ListField]:
        """What the layout has to know of lists, by feature."""
        return {
            f.name: ListField(
                f.row_owner, len(f.pools), f.sequence_encoder, self._is_list_of_user(f)
            )
            for f in self.id_features
            if not f.is_single_valued
        }

    @property
    def id_features(self) -> list[FeatureKind]:
        """Features that become ids, in the order of the layout."""
        with_ids = [feature for feature in self.features if feature.is_id]
        return sorted(
            with_ids, key=lambda f: (f.id_length > 1, bool(f.row_owner), self._is_list_of_user(f))
        )

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
            columns_read = feature.raw_columns()
            # The past changes with the item only where that is its key, and with the time besides.
            keys = {key for column in columns_read if column.past for key in column.past.by}
            read = {column.name for column in columns_read} | keys
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
