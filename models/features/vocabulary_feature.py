"""A feature with a vocabulary, whether a row has one value of it or several."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ranklite.models.features import layout
from ranklite.models.features.kind import FeatureKind

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.constants import Learned
    from ranklite.models.features.kind import Keep, Lookup, Raw


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

    def learn_ids(self, raw: Raw, keep: Keep) -> tuple[tf.Tensor, tf.Tensor | int]:
        """Rows by rank in the vocabulary, most frequent values first."""
        from ranklite.models.features import vocabulary

        return vocabulary.learn(raw[self.name], self.name, self.min_count, self.max_vocabulary)

    def learn_shared_ids(
        self, raw: Raw, lists: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The same, and the rows of other features' values in its vocabulary.

        Args:
          raw: Its raw columns.
          lists: [B, L] values of features that share its rows; nothing is learned from them.
        """
        from ranklite.models.features import vocabulary

        return vocabulary.learn_and_look_up(
            raw[self.name], lists, self.name, self.min_count, self.max_vocabulary
        )

    def id_values(self, learned: Learned) -> int:
        """The size of the vocabulary."""
        return learned.vocabulary_size(self.name)

    def constants(self, learned: Learned) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": learned.vocabulary(self.name)}

    @property
    def takes_keys(self) -> bool:
        """In a file its values are int32."""
        return True

    def lookup(self, constants: Mapping[str, Any], field: layout.Field) -> Lookup:
        """A perfect hash, or an array by position for integers that lie close together."""
        from ranklite.models.features import lookup_tables

        empty = field.missing_row if self.is_single_valued else layout.PADDING_ROW
        return lookup_tables.vocabulary_lookup(
            self.raw_columns()[0], constants["keys"], field, empty, dense=self.dtype == "int64"
        )
