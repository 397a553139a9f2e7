"""Vocabularies inside a TFLite file: hash tables, and arrays of integers by position."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from ranklite.models.features.constants import SURROGATES
from ranklite.models.features.layout import (
    MISSING_INT64,
    MISSING_STRING,
    PADDING_ROW,
    RESERVED_ROWS,
    Field,
)
from ranklite.models.features.perfect_hash import PerfectHash, position_type
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.rules import fill_empty_lists

_INTEGER = re.compile(r"-?[0-9]+")
_UNSEEN = "?"  # stands for an integer out of the vocabulary; no decimal number reads so

Raw = Mapping[str, tf.Tensor]
AnyLookup: TypeAlias = "HashLookup | IntegerArray | PerfectHash"


class HashLookup:
    """Looks texts up in a hash table; integers in one more before it, which gives their text.

    TFLite has no table from int64 to int64.

    Args:
      column: The raw column.
      words: The vocabulary.
      numbers: Those of the words that are integers, of a column of integers.
      field: Where the ids live.
      missing: Row of a missing value.
    """

    INTEGER_BYTES = 26  # what both tables take for an integer of about five digits

    def __init__(
        self,
        column: RawColumn,
        words: Sequence[str],
        numbers: Sequence[int],
        field: Field,
        missing: int,
    ) -> None:
        self.column, self.field = column, field
        first = field.offset + RESERVED_ROWS
        self.tables = [
            _table(
                [word.encode(errors=SURROGATES) for word in [*words, MISSING_STRING]],
                tf.constant([*range(first, first + len(words)), missing], tf.int64),
                tf.constant(field.oov_row, tf.int64),
            )
        ]
        if column.dtype == "int64":
            self.tables.append(
                _table(
                    tf.constant([*numbers, MISSING_INT64], tf.int64),
                    [*map(str, numbers), MISSING_STRING],
                    tf.constant(_UNSEEN),
                )
            )

    def __call__(self, raw: Raw) -> tf.Tensor:
        value = raw[self.column.name]
        for table in reversed(self.tables):
            value = table.lookup(value)  # a chain of tables loses its shape
        return _filled(tf.reshape(value, [-1, self.field.length]), self.column, self.field)


class SharedLookup:
    """Looks a list up in the tables of the feature whose rows it uses.

    Args:
      column: The list.
      owner: What that feature is looked up with.
      field: Of the list.
      is_filled: Whether an empty list has the missing row first.
    """

    def __init__(self, column: RawColumn, owner: AnyLookup, field: Field, is_filled: bool) -> None:
        self.column, self.owner, self.field, self.is_filled = column, owner, field, is_filled

    def __call__(self, raw: Raw) -> tf.Tensor:
        values = tf.reshape(raw[self.column.name], [-1])
        rows = tf.reshape(self.owner({self.owner.column.name: values}), [-1, self.field.length])
        missing = tf.constant(self.field.missing_row, tf.int64)
        rows = tf.where(tf.equal(rows, missing), tf.constant(PADDING_ROW, tf.int64), rows)
        return fill_empty_lists(rows, missing) if self.is_filled else rows


class IntegerArray:
    """Looks integers that lie close together up by position.

    It takes two or four bytes for each integer between the least and the greatest.

    Args:
      column: The raw column.
      numbers: The vocabulary.
      field: Where the ids live.
      missing: Row of MISSING_INT64.
    """

    def __init__(
        self, column: RawColumn, numbers: Sequence[int], field: Field, missing: int
    ) -> None:
        self.column, self.field, self.missing = column, field, missing
        self.low, self.high = min(numbers) - 1, max(numbers) + 1
        self.positions = np.zeros(self.high - self.low + 1, position_type(len(numbers)))
        self.positions[np.array(numbers) - self.low] = np.arange(1, len(numbers) + 1)

    @classmethod
    def is_smaller(cls, numbers: Sequence[int]) -> bool:
        """Whether the array takes fewer bytes than what would hold them otherwise."""
        if not numbers or min(numbers) == MISSING_INT64 or max(numbers) == 2**63 - 1:
            return False
        size = np.dtype(position_type(len(numbers))).itemsize
        other = PerfectHash.BYTES if PerfectHash.holds(numbers) else HashLookup.INTEGER_BYTES
        return (max(numbers) - min(numbers)) * size <= len(numbers) * other

    def __call__(self, raw: Raw) -> tf.Tensor:
        return look_up_together([self], raw)


def vocabulary_lookup(
    column: RawColumn, words: Sequence[str], field: Field, missing: int
) -> AnyLookup:
    """The smallest that holds the vocabulary.

    Args:
      column: The raw column, of texts or integers.
      words: The vocabulary, most frequent first.
      field: Where the ids live.
      missing: Row of a missing value: of a list, `PADDING_ROW`.
    """
    # An empty vocabulary is not quite empty: Transform puts a placeholder into it.
    numbers = [int(word) for word in words if _INTEGER.fullmatch(word)]
    if column.dtype == "int64" and IntegerArray.is_smaller(numbers):
        return IntegerArray(column, numbers, field, missing)
    if column.dtype == "int64" and len(numbers) == len(words) and PerfectHash.holds(numbers):
        return PerfectHash(column, numbers, field, missing)
    return HashLookup(column, words, numbers, field, missing)


def look_up_together(arrays: Sequence[IntegerArray], raw: Raw) -> tf.Tensor:
    """Rows of adjacent features, all at once: what the graph costs, it costs once."""
    lengths = [array.field.length for array in arrays]
    columns = [
        tf.reshape(raw[array.column.name], [-1, length])
        for array, length in zip(arrays, lengths, strict=True)
    ]
    rows = _index(arrays, tf.concat(columns, axis=1) if len(columns) > 1 else columns[0])
    if all(length == 1 for length in lengths):
        return rows
    parts = tf.split(rows, lengths, axis=1)
    filled = [
        _filled(part, array.column, array.field) for array, part in zip(arrays, parts, strict=True)
    ]
    return tf.concat(filled, axis=1)


def _filled(rows: tf.Tensor, column: RawColumn, field: Field) -> tf.Tensor:
    return fill_empty_lists(rows, field.missing_row) if column.is_list else rows


def _index(arrays: Sequence[IntegerArray], values: tf.Tensor) -> tf.Tensor:
    """Rows [B, S] of integers [B, S] in arrays that lie one after the other."""

    def by_column(numbers: Iterable[int]) -> tf.Tensor:
        return tf.constant(
            np.repeat(np.array(list(numbers), np.int64), [a.field.length for a in arrays])
        )

    starts = np.cumsum([0, *(len(a.positions) for a in arrays)])[:-1]
    low, high = by_column(a.low for a in arrays), by_column(a.high for a in arrays)
    # Clipped first: the distance to a far integer does not fit in 64 bits.
    place = tf.maximum(tf.minimum(values, high), low) + by_column(
        start - a.low for start, a in zip(starts, arrays, strict=True)
    )
    positions = tf.constant(np.concatenate([a.positions for a in arrays]))
    position = tf.cast(tf.gather(positions, place), tf.int64)
    rows = tf.where(
        position > 0,
        position + by_column(a.field.offset + RESERVED_ROWS - 1 for a in arrays),
        by_column(a.field.oov_row for a in arrays),
    )
    return tf.where(tf.equal(values, MISSING_INT64), by_column(a.missing for a in arrays), rows)


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
