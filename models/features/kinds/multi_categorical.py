"""Several values a row, looked up in one vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ranklite.models.config import FeatureName
from ranklite.models.features.kind import Example, FeatureKind
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.vocabulary_feature import VocabularyFeature

if TYPE_CHECKING:
    from ranklite.models.features.constants import Learned


class MultiCategoricalFeature(VocabularyFeature):
    """Several values a row (genres, tags); their embeddings are averaged into one field.

    Attributes:
      name: Column of the log: a list, or a string that `separator` splits.
      max_length: Values kept a row, the first ones; longer lists are cut.
      separator: Splits a string column; None for columns that are lists already.
      shares: A categorical feature whose vocabulary and rows it uses, such as the item's for a log
        that brings the items clicked before as a column; None learns its own.
    """

    kind: Literal["multi_categorical"]
    max_length: int = Field(ge=1, le=1000)
    separator: str | None = Field(None, min_length=1)
    shares: FeatureName | None = None

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
            Example(
                {"name": "seen", "max_length": 2, "separator": "|", "shares": "color"},
                tuple({"seen": s, "color": c} for s, c in zip(tags, "abacba", strict=True)),
                beside=({"kind": "categorical", "name": "color"},),
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

    @property
    def row_owner(self) -> str:
        """The feature that it shares."""
        return self.shares or ""

    def bound(self, features: Mapping[str, FeatureKind], user: str | None) -> FeatureKind:
        """Itself.

        Raises:
          ValueError: What it shares is no categorical feature of its type, or has the vocabulary
            limits that it would have.
        """
        if self.shares is None:
            return self
        owner = features.get(self.shares)
        if owner is None or not owner.is_categorical:
            raise ValueError(
                f"feature {self.name!r}: shares: {self.shares!r} is no feature of kind categorical"
            )
        theirs = owner.raw_columns()[0].dtype
        if theirs != self.dtype:
            raise ValueError(
                f"feature {self.name!r} is {self.dtype} and shares {self.shares!r}, which is "
                f"{theirs}: give both the same dtype"
            )
        if self.min_count != 1 or self.max_vocabulary is not None:
            raise ValueError(
                f"feature {self.name!r}: min_count and max_vocabulary are those of "
                f"{self.shares!r}, whose vocabulary it shares"
            )
        return self

    def id_values(self, learned: Learned) -> int:
        """None of its own where it shares rows."""
        return 0 if self.shares else super().id_values(learned)

    def constants(self, learned: Learned) -> dict[str, Any]:
        """The vocabulary, where it has one."""
        return {} if self.shares else super().constants(learned)
