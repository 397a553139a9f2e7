"""Several values a row, looked up in one vocabulary."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ranklite.models.features.kind import Example
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.vocabulary_feature import VocabularyFeature


class MultiCategoricalFeature(VocabularyFeature):
    """Several values a row (genres, tags); their embeddings are averaged into one field.

    Attributes:
      name: Column of the log: a list, or a string that `separator` splits.
      max_length: Values kept a row, the first ones; longer lists are cut.
      separator: Splits a string column; None for columns that are lists already.
    """

    kind: Literal["multi_categorical"]
    max_length: int = Field(ge=1, le=1000)
    separator: str | None = Field(None, min_length=1)

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
        return (
            RawColumn(
                self.name,
                self.dtype,
                self.max_length,
                self.separator,
                kind=self.kind,
                column=self.column,
            ),
        )

    @property
    def id_length(self) -> int:
        """As many ids as values are kept."""
        return self.max_length

    @property
    def is_single_valued(self) -> bool:
        """A list, even one of a single value at the most."""
        return False
