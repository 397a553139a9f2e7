"""Vocabularies inside a TFLite file: arrays of rows, by position or by a perfect hash."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from ranklite.models.features.constants import SURROGATES
from ranklite.models.features.fingerprints import INTEGER, Encoder, integers
from ranklite.models.features.layout import (
    MISSING_INT32,
    MISSING_INT64,
    MISSING_STRING,
    PADDING_ROW,
    Field,
)
from ranklite.models.features.perfect_hash import (
    PerfectHash,
    columns_of,
    joined,
    row_type,
    rows_of,
    starts,
)
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.rules import fill_empty_lists, filled_parts

_FAR = 2**30  # from it on a distance may not fit in 32 bits

Raw = Mapping[str, tf.Tensor]
ArrayLookup: TypeAlias = "IntegerArray | PerfectHash"


class IntegerArray:
    """Looks integers that lie close together up by position.

    It takes two or four bytes for each integer between the least and the greatest.

    Args:
      column: The raw column.
      keys: The vocabulary, as `PerfectHash` takes it.
      field: Where the ids live.
      missing: Row of MISSING_INT32.
    """

    def __init__(
        self, column: RawColumn, keys: Sequence[int | None], field: Field, missing: int
    ) -> None:
        self.column, self.field, self.missing = column, field, missing
        known, rows = rows_of(keys, field)
        self.low, self.high = int(known.min()) - 1, int(known.max()) + 1
        most = max(int(rows.max()), field.oov_row)
        self.rows = np.full(self.high - self.low + 1, field.oov_row, row_type([most]))
        self.rows[known - self.low] = rows

    @classmethod
    def is_smaller(cls, keys: Sequence[int | None]) -> bool:
        """Whether the array takes fewer bytes than a perfect hash."""
        known = [key for key in keys if key is not None]
        if not known or min(known) < -_FAR or max(known) > _FAR:
            return False
        size = np.dtype(row_type([len(known)])).itemsize
        return (max(known) - min(known)) * size <= len(known) * PerfectHash.BYTES

    @staticmethod
    def together(arrays: Sequence[IntegerArray], values: tf.Tensor) -> tf.Tensor:
        """Rows [B, S] of values [B, S] int32 in arrays that lie one after the other."""
        by_column = columns_of(arrays)
        low, high = by_column([a.low for a in arrays]), by_column([a.high for a in arrays])
        first = starts([len(a.rows) for a in arrays])
        # Clipped first: the distance to a far integer does not fit in 32 bits.
        place = tf.maximum(tf.minimum(values, high), low) + by_column(
            [start - a.low for start, a in zip(first, arrays, strict=True)]
        )
        rows = tf.cast(tf.gather(joined([a.rows for a in arrays]), place), tf.int32)
        missing = by_column([a.missing for a in arrays])
        return tf.where(tf.equal(values, MISSING_INT32), missing, rows)


class VocabularyLookup:
    """Rows of one feature's values.

    Args:
      arrays: What holds the vocabulary.
    """

    def __init__(self, arrays: ArrayLookup) -> None:
        self.arrays = arrays

    def __call__(self, raw: Raw) -> tf.Tensor:
        (blocks,) = looked_up([self], raw)
        return tf.concat(blocks, axis=1) if len(blocks) > 1 else blocks[0]

    def found(self, values: tf.Tensor) -> tf.Tensor:
        """Rows [B, S] of values [B, S] int32, lists as they are."""
        return self.arrays.together([self.arrays], values)  # type: ignore[list-item]


class SharedLookup:
    """Looks a list up in the arrays of the feature whose rows it uses.

    Args:
      column: The list.
      owner: What that feature is looked up with.
      field: Of the list.
      is_filled: Whether an empty list has the missing row first.
    """

    def __init__(
        self, column: RawColumn, owner: VocabularyLookup, field: Field, is_filled: bool
    ) -> None:
        self.column, self.owner, self.field, self.is_filled = column, owner, field, is_filled

    def __call__(self, raw: Raw) -> tf.Tensor:
        values = tf.reshape(raw[self.column.name], [-1, 1])
        rows = tf.reshape(self.owner.found(values), [-1, self.field.length])
        missing = tf.constant(self.field.missing_row, tf.int32)
        rows = tf.where(tf.equal(rows, missing), tf.constant(PADDING_ROW, tf.int32), rows)
        return fill_empty_lists(rows, missing) if self.is_filled else rows


class TextKeys:
    """Turns texts or int64 into the int32 that stand for them: of a file that takes these.

    Args:
      column: The raw column.
      words: The vocabulary, and other texts that are looked up.
      encoder: Of the model.
    """

    def __init__(self, column: RawColumn, words: Sequence[str], encoder: Encoder) -> None:
        self.column, self.tables = column, list[Any]()
        self._is_integer = encoder.encodings[column.name] == INTEGER
        if self._is_integer:
            return
        keys = {
            word: key
            for word, key in zip(words, encoder.keys(column.name, words), strict=True)
            if key is not None
        }
        # What no value of the vocabulary is: it is looked up, and is unseen.
        known = set(keys.values())
        unseen = next(key for key in range(len(keys) + 1) if key not in known)
        self.tables.append(
            _table(
                [word.encode(errors=SURROGATES) for word in [*keys, MISSING_STRING]],
                tf.constant([*keys.values(), MISSING_INT32], tf.int64),
                tf.constant(unseen, tf.int64),
            )
        )
        if column.dtype == "int64":  # TFLite has no table from int64 to int64
            numbers = integers(keys)
            self.tables.insert(
                0,
                _table(
                    tf.constant([*numbers, MISSING_INT64], tf.int64),
                    [*map(str, numbers), MISSING_STRING],
                    tf.constant("?"),  # stands for an integer out of the vocabulary
                ),
            )

    def __call__(self, value: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(value)
        if self._is_integer:
            near = tf.maximum(tf.minimum(value, 2**31 - 1), MISSING_INT32 + 1)
            missing = tf.constant(MISSING_INT32, tf.int64)
            return tf.cast(tf.where(tf.equal(value, MISSING_INT64), missing, near), tf.int32)
        for table in self.tables:
            value = table.lookup(value)
        return tf.reshape(tf.cast(value, tf.int32), shape)  # a chain of tables loses its shape


def vocabulary_lookup(
    column: RawColumn, keys: Sequence[int | None], field: Field, missing: int
) -> VocabularyLookup:
    """The smallest that holds the vocabulary.

    Args:
      column: The raw column, of texts or integers.
      keys: int32 of the vocabulary, most frequent first: `Encoder.keys`.
      field: Where the ids live.
      missing: Row of a missing value: of a list, `PADDING_ROW`.
    """
    # Integers may lie close together, fingerprints do not.
    is_near = column.dtype == "int64" and IntegerArray.is_smaller(keys)
    kind = IntegerArray if is_near else PerfectHash
    return VocabularyLookup(kind(column, keys, field, missing))


def looked_up(lookups: Sequence[VocabularyLookup], raw: Raw) -> list[list[tf.Tensor]]:
    """Rows of some features, all at once: what the graph costs, it costs once.

    Returns:
      One block for all features, or, where one of them is a list, blocks of each.
    """
    arrays = [lookup.arrays for lookup in lookups]
    lengths = [each.field.length for each in arrays]
    columns: list[tf.Tensor] = []
    for is_list, group in itertools.groupby(arrays, lambda each: each.column.is_list):
        some = [_shaped(raw[each.column.name], each) for each in group]
        columns += some if is_list else [tf.stack(some, axis=1)]
    values = tf.concat(columns, axis=1) if len(columns) > 1 else columns[0]
    rows = arrays[0].together(arrays, values)  # type: ignore[arg-type]
    if not any(each.column.is_list for each in arrays):
        return [[rows]]
    parts = tf.split(rows, lengths, axis=1) if len(lengths) > 1 else [rows]
    return [
        filled_parts(part, each.field.missing_row) if each.column.is_list else [part]
        for part, each in zip(parts, arrays, strict=True)
    ]


def _shaped(values: tf.Tensor, each: ArrayLookup) -> tf.Tensor:
    """A column [B], or [B, length] of lists; what came out of tables may have no shape."""
    shape = [each.field.length] if each.column.is_list else []
    known = values.shape.rank is not None and values.shape[1:].as_list() == shape
    return values if known else tf.reshape(values, [-1, *shape])


class _Named(tf.lookup.KeyValueTensorInitializer):
    """Gives a table a name that follows from its content.

    TensorFlow names tables at random, and the name ends up in the file: equal models would differ.
    """

    def __init__(self, keys: tf.Tensor, values: tf.Tensor) -> None:
        super().__init__(keys, values)
        content = keys.numpy().tobytes() if keys.dtype != tf.string else b"\0".join(keys.numpy())
        digest = hashlib.sha256(content)
        digest.update(repr(values.numpy().tolist()).encode())
        self._content_name = f"ranklite_{digest.hexdigest()[:32]}"

    @property
    def _shared_name(self) -> str:
        return self._content_name


def _table(keys: Any, values: Any, default: tf.Tensor) -> tf.lookup.StaticHashTable:
    initializer = _Named(tf.convert_to_tensor(keys), tf.convert_to_tensor(values))
    return tf.lookup.StaticHashTable(initializer, default)
