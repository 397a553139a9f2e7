"""A feature with a vocabulary, whether a row has one value of it or several."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ranklite.models.features import layout
from ranklite.models.features.kind import FeatureKind

if TYPE_CHECKING:
    from ranklite.models.features.constants import Learned
    from ranklite.models.features.kind import Lookup
    from ranklite.models.features.vocabulary_files import Wanted


class VocabularyFeature(FeatureKind, abc.ABC):
    """Values of one raw column, looked up in a vocabulary made from the train split.

    Attributes:
      dtype: What an app sends to the raw signature: `string` or `int64`.
      min_count: Values seen less often in the train split use the out-of-vocabulary (OOV) row.
      max_vocabulary: Keep only the most frequent values; None keeps all.
    """

    dtype: Literal["string", "int64"] = "string"
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)

    @property
    def vocabulary(self) -> Wanted:
        """What Transform makes of the train split; one analyzer learns those of all features."""
        from ranklite.models.features.vocabulary_files import Wanted

        return Wanted(self.name, self.min_count, self.max_vocabulary)

    def id_values(self, learned: Learned) -> int:
        """The size of the vocabulary."""
        return learned.vocabulary_size(self.name)

    def constants(self, learned: Learned) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": learned.vocabulary(self.name)}

    def lookup(self, constants: Mapping[str, Any], field: layout.Field) -> Lookup:
        """A perfect hash, or an array by position for integers that lie close together."""
        from ranklite.models.features import lookup_tables

        empty = field.missing_row if self.is_single_valued else layout.PADDING_ROW
        return lookup_tables.vocabulary_lookup(
            self.raw_columns()[0], constants["keys"], field, empty
        )


def vocabulary_owners(features: Iterable[FeatureKind]) -> list[VocabularyFeature]:
    """The features that learn a vocabulary, of their own or for others too."""
    return [f for f in features if isinstance(f, VocabularyFeature) and not f.row_owner]
