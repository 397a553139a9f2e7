"""One value a row, looked up in a vocabulary."""

from __future__ import annotations

from typing import Literal

from ranklite.models.features.kind import Example
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.vocabulary_feature import VocabularyFeature


class CategoricalFeature(VocabularyFeature):
    """One value a row, looked up in a vocabulary made from the train split.

    Attributes:
      name: Column of the log (or of the query's result).
    """

    kind: Literal["categorical"]

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
        return (RawColumn(self.name, self.dtype, kind=self.kind, column=self.column),)

    @property
    def id_length(self) -> int:
        """One id."""
        return 1

    @property
    def is_categorical(self) -> bool:
        """It may be the user or the item."""
        return True
