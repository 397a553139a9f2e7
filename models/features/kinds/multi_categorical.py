"""Several values a row, looked up in one vocabulary."""

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


class MultiCategoricalFeature(FeatureKind):
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
    dtype: Literal["string", "int64"] = "string"
    max_length: int = Field(ge=1, le=1000)
    separator: str | None = Field(None, min_length=1)
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Tags, of which three are kept, and numbers; rows without any among them."""
        tags: list[list[str] | None] = [["a", "b"], ["a"], None, ["d", "c", "b", "a"], [], ["c"]]
        shops: list[list[int] | None] = [[3], [3, 4], [-1], None, [], [4, 3, 5]]
        return (
            Example(
                {"name": "tags", "max_length": 3, "separator": "|"},
                tuple({"tags": values} for values in tags),
            ),
            Example(
                {"name": "shops", "dtype": "int64", "max_length": 2, "separator": " "},
                tuple({"shops": values} for values in shops),
            ),
        )

    def raw_columns(self) -> tuple[RawColumn, ...]:
        """A column of lists."""
        return (RawColumn(self.name, self.dtype, self.max_length, self.separator, kind=self.kind),)

    @property
    def id_length(self) -> int:
        """As many ids as values are kept."""
        return self.max_length

    @property
    def is_single_valued(self) -> bool:
        """A list, even one of a single value at the most."""
        return False

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
            self.raw_columns()[0], constants["vocabulary"], field, layout.PADDING_ROW
        )
