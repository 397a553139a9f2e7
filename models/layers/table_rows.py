"""From fused ids to rows of what is stored: a rule for each kind of table, or a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import PADDING_ROW, RESERVED_ROWS, FeatureLayout
from ranklite.models.layers.table_sizes import reserved_rows, values_of

ROWS = "rows"

# h(v) = (a v mod p) mod rows. With a^2 < p, int32 holds every step of Schrage's method (1979).
_PRIME = 2**31 - 1
_FACTOR = 48_271  # of Park & Miller (1993): all multiples of it up to p are different

_INT16_ROWS = 2**15


class StoredRows(keras.layers.Layer):
    """From fused ids [B, S] int32 to rows of what is stored; each subclass has a rule.

    A stored table begins with its reserved rows: 0 is padding, 1 + 2 f and 2 + 2 f are the
    out-of-vocabulary and the missing row of field f.

    Args:
      layout: Of the ids: a FeatureLayout, or what its `to_dict` gives.
      columns: First column of the layout that the ids are, and the one after the last; None: all.
    """

    def __init__(
        self,
        layout: FeatureLayout | dict[str, Any],
        columns: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.columns = tuple(columns) if columns else None
        self.layout = FeatureLayout.from_dict(layout) if isinstance(layout, dict) else layout
        self.reserved = reserved_rows(self.layout)
        self.first = self._columns([f.offset + RESERVED_ROWS for f in self.layout.owners])
        self.before = self._columns_before(values_of(self.layout))

    def _columns(self, by_field: Sequence[int]) -> npt.NDArray[np.int32]:
        """[S]: what belongs to the owner of a column's rows, for each column."""
        place = {owner.name: k for k, owner in enumerate(self.layout.owners)}
        fields = self.layout.fields
        owner = [place[field.owner or field.name] for field in fields]
        owner_of = np.repeat(np.array(owner, np.intp), [field.length for field in fields])
        return np.array(by_field, np.int32)[owner_of[slice(*self.columns or (None,))]]

    def _columns_before(self, counts: Sequence[int]) -> npt.NDArray[np.int32]:
        """[S]: the sum of `counts` over the owners before a column's own."""
        return self._columns([sum(counts[:f]) for f in range(len(counts))])

    def _unless_reserved(self, ids: tf.Tensor, rows: Any) -> tf.Tensor:
        """`rows` for vocabulary values, and its own row for a reserved id."""
        # Padding lies below every field's ids: only it becomes negative, and 0 again.
        return tf.where(ids < self.first, tf.maximum(ids - self.before, PADDING_ROW), rows)

    def get_config(self) -> dict[str, Any]:
        own = {"layout": self.layout.to_dict(), "columns": self.columns}
        return {**super().get_config(), **own}

    def of_columns(self, first: int, last: int) -> StoredRows:
        """The same rule for ids of some columns alone: `first` to `last` - 1."""
        return self.from_config({**self.get_config(), "columns": (first, last)})


@keras.utils.register_keras_serializable("ranklite")
class HashedRows(StoredRows):
    r"""The hashing trick (Weinberger et al. 2009, https://arxiv.org/abs/0902.2206).

    A multiplicative hash sends value i to the row

        1 + 2 F + (a i mod p) mod rows,    p = 2^31 - 1,

    with a constant a: a model and the file made from it have to agree for good. It is computed in
    int32 as a (i mod q) - r (i div q), q = p div a, r = p mod a, and p more where that is negative
    (Schrage, "A More Portable Fortran Random Number Generator", TOMS 5(2), 1979).

    Args:
      layout: Of the ids.
      rows: Rows that the values of all fields share.

    Returns:
      Rows [B, S] int32.
    """

    def __init__(self, layout: FeatureLayout | dict[str, Any], rows: int, **kwargs: Any) -> None:
        super().__init__(layout, **kwargs)
        self.rows = rows

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        quotient, rest = divmod(_PRIME, _FACTOR)
        hashed = _FACTOR * (ids % quotient) - rest * (ids // quotient)
        hashed = tf.where(hashed < 0, hashed + _PRIME, hashed)
        return self._unless_reserved(ids, self.reserved + hashed % self.rows)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rows": self.rows, "factor": _FACTOR}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HashedRows:
        """Reads what `get_config` wrote.

        Raises:
          ValueError: The model was trained with another hash: its rows are other values' here.
        """
        config = dict(config)
        if config.pop("factor", None) != _FACTOR:
            raise ValueError(
                "a checkpoint with `table: {kind: hashed}` of an earlier version, which hashed "
                "otherwise: train it anew"
            )
        return cls(**config)


@keras.utils.register_keras_serializable("ranklite")
class QuotientRemainderRows(StoredRows):
    """Quotients and remainders of the values, which are counted through all fields.

    Shi et al., "Compositional Embeddings Using Complementary Partitions for Memory-Efficient
    Recommendation Systems", KDD 2020, https://arxiv.org/abs/1909.02107.

    Value v has the rows  1 + 2 F + v // m  and  1 + v mod m,  a pair that no other value has. A
    reserved id has a row of its own in the first table and shares row 0 of the second.

    Args:
      layout: Of the ids.
      buckets: m.

    Returns:
      Rows of the two tables, each [B, S] int32.
    """

    def __init__(self, layout: FeatureLayout | dict[str, Any], buckets: int, **kwargs: Any) -> None:
        super().__init__(layout, **kwargs)
        self.buckets = buckets

    def call(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        value = ids - self.first + self.before
        remainder = tf.where(ids < self.first, 0, 1 + value % self.buckets)
        return self._unless_reserved(ids, self.reserved + value // self.buckets), remainder

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "buckets": self.buckets}


class _ByRank(StoredRows):
    """A rule about the first `values` of each field, the most frequent ones.

    Args:
      layout: Of the ids.
      values: How many, by field.
    """

    def __init__(
        self, layout: FeatureLayout | dict[str, Any], values: Sequence[int], **kwargs: Any
    ) -> None:
        super().__init__(layout, **kwargs)
        self.values = tuple(values)
        self.rare = self.first + self._columns(self.values)  # the first id that is not among them

    def _frequent(self, ids: tf.Tensor) -> tf.Tensor:
        stored = self.reserved + self._columns_before(self.values)
        return self._unless_reserved(ids, ids - self.first + stored)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "values": list(self.values)}


@keras.utils.register_keras_serializable("ranklite")
class TruncatedRows(_ByRank):
    """Rows of the most frequent values; the others go to their field's out-of-vocabulary row.

    Args:
      layout: Of the ids.
      values: Values that each field keeps.

    Returns:
      Rows [B, S] int32.
    """

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        unknown = self._columns([1 + RESERVED_ROWS * f for f in range(len(self.values))])
        return tf.where(ids < self.rare, self._frequent(ids), unknown)


@keras.utils.register_keras_serializable("ranklite")
class ByFrequencyRows(_ByRank):
    """Rows in a table of frequent values and in one of rare values, which has fewer columns.

    Ginart et al., "Mixed Dimension Embeddings with Application to Memory-Efficient Recommendation
    Systems", 2019, https://arxiv.org/abs/1909.11810.

    Args:
      layout: Of the ids.
      values: Values of each field in the first table.

    Returns:
      Rows of the two tables, each [B, S] int32; 0 is padding in the first and nothing in the
      second, where the rare values begin at 1.
    """

    def call(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        counts = [n - head for n, head in zip(values_of(self.layout), self.values, strict=True)]
        tail = 1 + ids - self.rare + self._columns_before(counts)
        is_frequent = ids < self.rare
        return (
            tf.where(is_frequent, self._frequent(ids), PADDING_ROW),
            tf.where(is_frequent, 0, tail),
        )


@keras.utils.register_keras_serializable("ranklite")
class MappedRows(keras.layers.Layer):
    """Rows that no rule gives: the weight `rows` holds one for each id.

    A file holds the whole map, so it is int16 where that is enough: 2 bytes an id and not 4.

    Args:
      ids: Number of ids.
      stored: Number of stored rows.

    Returns:
      Rows [B, S] int32.
    """

    def __init__(self, ids: int, stored: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ids, self.stored = ids, stored

    def build(self, input_shape: Any) -> None:
        self.rows = self.add_weight(
            "rows",
            shape=(self.ids,),
            dtype=tf.int16 if self.stored <= _INT16_ROWS else tf.int32,
            initializer="zeros",
            trainable=False,
        )
        super().build(input_shape)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(self.rows, ids), tf.int32)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ids": self.ids, "stored": self.stored}
