"""The protocol of a feature kind: one file says all about it, from the log to the pushed file.

A kind is a class of settings (pydantic) with behaviour. Raw values come in by columns, which say
for themselves how they are read, described, decoded and sent (`models.features.raw_column`); the
kind says what becomes of them:

    raw columns -> ids of the fused table, and / or columns of `numeric`

It does so twice, by the same rules: in Transform, where analyzers learn from the train split, and
inside of the TFLite file, from the constants that were learned, in TFLite's builtin operators.
TensorFlow is imported inside of methods, since a configuration is read without it.

A feature whose ids follow from its values alone is a `ComputedIds`; it says both at once.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ranklite.models.config import Column, FeatureName, Strict
from ranklite.models.features.layout import Field
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.constants import Learned

    # Columns of texts and int64 are int32 in a file (`ranklite.models.features.fingerprints`): no
    # runtime of a browser takes one with an int64 tensor. `columns.MISSING_OF[x.dtype]` is what a
    # missing value is in Transform and there.
    Raw = Mapping[str, tf.Tensor]
    Keep = Callable[[str, tf.Tensor], tf.Tensor]
    Lookup = Callable[[Raw], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Number:
    """A number that a feature gives.

    Attributes:
      name: Of its column of `numeric`.
      standardized: Replaced by z = (x - mean) / std over the train split, with 0 where x is
        missing. All such numbers share one analyzer. Otherwise x itself, with 0 where it is
        missing.
      missing_indicator: Followed by a column `<name>_is_missing`, 1 where x is missing.
    """

    name: str
    standardized: bool = True
    missing_indicator: bool = False

    @property
    def columns(self) -> list[str]:
        """Names of its columns of `numeric`."""
        return [self.name, *[f"{self.name}_is_missing"] * self.missing_indicator]


@dataclasses.dataclass(frozen=True)
class Example:
    """A feature with values of it.

    Attributes:
      settings: Of a feature, without its kind.
      rows: Values of its raw columns as a log has them, a mapping a row, None where one is missing.
        They have enough in common for something to be learned from them. What is computed from the
        past is not among them.
      beside: Settings of the features that it names, with their kinds; rows have their values too.
    """

    settings: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    beside: tuple[dict[str, Any], ...] = ()


class FeatureKind(Strict, abc.ABC):
    """A feature: the settings of its kind, and what they mean.

    Attributes:
      kind: The registered name; a kind narrows it to a literal.
      name: Of the feature: in the signature that an app calls, and of its id field.
      column: Its name in the log, where that is another, such as `Item ID`.
    """

    kind: str
    name: FeatureName
    column: Column | Literal[""] = ""

    @classmethod
    @abc.abstractmethod
    def examples(cls) -> tuple[Example, ...]:
        """Features of this kind with values, all ways to configure it that matter.

        The tests that run every kind take them; their names differ.
        """

    # What it reads

    @abc.abstractmethod
    def raw_columns(self) -> tuple[RawColumn, ...]:
        """The columns that it reads. Other features may read the same ones."""

    def bound(self, features: Mapping[str, FeatureKind], user: str | None) -> FeatureKind:
        """Itself with what it takes from other features.

        Args:
          features: All features by name.
          user: The column that identifies the user, if any.

        Raises:
          ValueError: One that it names is absent, or is none that it can use.
        """
        return self

    # What it gives: the layout

    @property
    def id_length(self) -> int:
        """Its columns of `ids`; 0 where it becomes no id.

        The embeddings of several columns are averaged over those that are not padding.
        """
        return 0

    @property
    def is_id(self) -> bool:
        """Whether it becomes ids: it is a field of the factorization machine then."""
        return self.id_length > 0

    @property
    def is_single_valued(self) -> bool:
        """Whether a row has one id. A list has several, and padding where it has fewer."""
        return self.id_length == 1

    @property
    def row_owner(self) -> str:
        """The categorical feature whose vocabulary, and rows of every table, it uses; "" for none.

        Neither `learn_ids` nor `lookup` is asked for then.
        """
        return ""

    @property
    def pools(self) -> tuple[str, ...]:
        """Names of the weighted means of its embeddings; none takes their mean."""
        return ()

    @property
    def sequence_encoder(self) -> str:
        """What a model makes of its list: `pool`, or the name of an encoder."""
        return "pool"

    @property
    def is_categorical(self) -> bool:
        """Whether it is one value a row, looked up in a vocabulary by frequency.

        Only such a feature can be the user or the item whose cold start is measured, whose rows are
        redrawn as negatives and whose embeddings are shown by name.
        """
        return False

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers that it gives, in order."""
        return ()

    # How it becomes numbers

    def to_numbers(self, raw: Raw) -> list[tf.Tensor]:
        """The values of `numbers`, [B] each, not finite where one is missing.

        Called in Transform with float64 in the place of float32, since its last digit would depend
        on how the processor was fed, and in the TFLite file with what an app sends.

        Args:
          raw: Its raw columns, [B], or [B, length] of a list, missing values in their places.
        """
        return []

    def weights(self, raw: Raw) -> tf.Tensor:
        """The weights [B, pools * id_length] of `pools`, one pool after the other, 0 for padding.

        Called like `to_numbers`; they reach the model as they are.
        """
        raise NotImplementedError(f"{type(self).__name__} has pools and no weights")

    # How it becomes ids

    def learn_ids(self, raw: Raw, keep: Keep) -> tuple[tf.Tensor, tf.Tensor | int]:
        """Ids in Transform; analyzers of TensorFlow Transform may be called.

        Not asked for where a `VocabularyFeature` has its vocabulary: one analyzer learns all of
        these together.

        Args:
          raw: Its raw columns, [B], or [B, length] of a list, missing values in their places.
          keep: Takes a name and an analyzer's output, and returns it; `Learned.constant` reads it
            back by that name.

        Returns:
          Integers [B, id_length], rows within the field: 0 out of vocabulary, 1 missing, 2 + k
          value k.
          In a list, missing values become padding. And the number of values, int64.
        """
        raise NotImplementedError(f"{type(self).__name__} gives ids and has no learn_ids")

    def id_values(self, learned: Learned) -> int:
        """The number of values, once Transform has run."""
        raise NotImplementedError(f"{type(self).__name__} gives ids and has no id_values")

    def constants(self, learned: Learned) -> dict[str, Any]:
        """What the TFLite file has to know of what was learned, as JSON-ready data by name.

        `vocabulary`, a list of texts, has a meaning of its own: a model that starts from an earlier
        one takes over the rows of values that both know. Without it, rows go by their number.
        """
        return {}

    def lookup(self, constants: Mapping[str, Any], field: Field) -> Lookup:
        """Ids in the TFLite file.

        Args:
          constants: What `constants` returned; beside a `vocabulary`, `keys` are the int32 that
            stand for its values (`ranklite.models.features.fingerprints`).
          field: Where the ids live in the fused table.

        Returns:
          A function from its raw columns, as the raw signature takes them, to rows of the table
          [B, id_length] int32; of a list, `PADDING_ROW` where there is no value and the missing row
          first where there is none at all. Its attribute `tables`, where it has one, holds the hash
          tables that it uses.
        """
        raise NotImplementedError(f"{type(self).__name__} gives ids and has no lookup")


class ComputedIds(FeatureKind):
    """A feature whose ids follow from its values alone: by a rule, a hash, or fixed boundaries."""

    @property
    def id_length(self) -> int:
        """One id a row; override it for a list."""
        return 1

    @property
    @abc.abstractmethod
    def num_values(self) -> int:
        """How many values there are."""

    @abc.abstractmethod
    def id_rows(self, raw: Raw) -> tf.Tensor:
        """Rows within the field, in Transform and in the TFLite file.

        Args:
          raw: Its raw columns, [B], or [B, length] of a list, missing values in their places.

        Returns:
          Integers [B] or [B, id_length]: 0 for what has no value, 1 missing, 2 + k value k. Only
          with operators that TFLite has.
        """

    def learn_ids(self, raw: Raw, keep: Keep) -> tuple[tf.Tensor, tf.Tensor | int]:
        """The rows; nothing is learned."""
        return self.id_rows(raw), self.num_values

    def id_values(self, learned: Learned) -> int:
        """How many values there are."""
        return self.num_values

    def lookup(self, constants: Mapping[str, Any], field: Field) -> Lookup:
        """The same rows, in their place in the table."""
        from ranklite.models.features.rules import table_rows

        return lambda raw: table_rows(
            self.id_rows(raw), field.offset, self.id_length, not self.is_single_valued
        )
