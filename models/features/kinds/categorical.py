"""One value a row, looked up in a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ranklite.models.features import layout
from ranklite.models.features.kind import Example, FeatureKind
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.constants import Learned
    from ranklite.models.features.kind import Keep, Lookup, Raw


class CategoricalFeature(FeatureKind):
    """One value a row, looked up in a vocabulary made from the train split.

    Attributes:
      name: Column of the log (or of the query's result).
      dtype: What an app sends to the raw signature: `string` or `int64`.
      min_count: Values seen less often in the train split share the out-of-vocabulary row.
      max_vocabulary: Keep only the most frequent values; None keeps all.
    """

    kind: Literal["categorical"]
    dtype: Literal["string", "int64"] = "string"
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Words; integers close together, and far apart, of which the rarest are left out."""
        words = ("red", "red", "007", "blue", None, "new york", "red", "blue", "7")
        near = (7, 7, -3, 7, None, -3, 11, 7, 2)
        far = (7, 7, -3, 7, None, -3, 2**40, 7, 2**40)
        return (
            Example({"name": "color"}, tuple({"color": word} for word in words)),
            Example({"name": "shop", "dtype": "int64"}, tuple({"shop": n} for n in near)),
            Example(
                {"name": "account", "dtype": "int64", "max_vocabulary": 2},
                tuple({"account": n} for n in far),
            ),
        )

    def raw_columns(self) -> tuple[RawColumn, ...]:
        """A column of single values."""
        return (RawColumn(self.name, self.dtype, kind=self.kind),)

    @property
    def id_length(self) -> int:
        """One id."""
        return 1

    @property
    def is_categorical(self) -> bool:
        """It may be the user or the item."""
        return True

    def learn_ids(self, raw: Raw, keep: Keep) -> tuple[tf.Tensor, tf.Tensor | int]:
        """Rows by rank in the vocabulary, most frequent values first."""
        from ranklite.models.features import vocabulary

        return vocabulary.learn(raw[self.name], self.name, self.min_count, self.max_vocabulary)

    def id_values(self, learned: Learned) -> int:
        """The size of the vocabulary."""
        return learned.vocabulary_size(self.name)

    def constants(self, learned: Learned) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": learned.vocabulary(self.name)}

    def lookup(self, constants: Mapping[str, Any], field: layout.Field) -> Lookup:
        """A hash table, or an array by position for integers that lie close together."""
        from ranklite.models.features import lookup_tables

        return lookup_tables.vocabulary_lookup(
            self.raw_columns()[0], constants["vocabulary"], field, field.missing_row
        )
