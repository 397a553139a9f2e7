"""A vocabulary of 32-bit integers inside a TFLite file: arrays that a perfect hash indexes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ranklite.models.features.layout import MISSING_INT32, RESERVED_ROWS, Field
from ranklite.models.features.raw_column import RawColumn

Raw = Mapping[str, tf.Tensor]
Integers = npt.NDArray[np.int64]
_SCATTER = 2_654_435_761  # of Knuth: multiples of it lie far apart


class PerfectHash:
    r"""Looks 32-bit integers up in arrays that a hash without collisions indexes.

    Hash and displace (Belazzougui, Botelho & Dietzfelbinger 2009): a key x has a place of its own,

        place(x) = (x div r + displacement[x mod r]) mod m,

    where it is kept beside its row of the fused table, so that any other integer is told from it.
    Keys of one bucket x mod r differ in x div r, as two universal hashes would have it only by
    chance. int32 holds all of it, and TFLite has its operators since ever. It takes about 8 bytes
    a key, a third of what hash tables take.

    Args:
      column: The raw column.
      keys: int32 of the vocabulary; None where no input can be that value. Of equal ones the first
        counts.
      field: Where the ids live.
      missing: Row of MISSING_INT32.

    Raises:
      RuntimeError: The keys are none that a hash of this form tells apart.
    """

    BYTES = 8  # about what it takes for a key
    _LOAD, _BUCKET = 0.85, 3  # share of the places that are taken; keys a displacement
    _BLOCK, _TRIES = 64, 200

    def __init__(
        self, column: RawColumn, keys: Sequence[int | None], field: Field, missing: int
    ) -> None:
        self.column, self.field = column, field
        self.displacement: npt.NDArray[Any] = np.zeros(0, np.int64)
        rows = rows_of(keys, field) | {MISSING_INT32: missing}
        numbers = np.array(list(rows), np.int64)
        self.size = math.ceil(len(numbers) / self._LOAD)
        first = max(2, len(numbers) // self._BUCKET)
        for buckets in range(first, first + self._TRIES):
            self.buckets = buckets
            places = self._placed(numbers)
            if places is not None:
                break
            if (buckets - first) % 8 == 7:  # more room is easier
                self.size += 1 + self.size // 16
        else:
            raise RuntimeError(f"no perfect hash of {len(numbers)} keys of {column.name}")
        # A free place holds a key that has its own place elsewhere.
        self.keys = np.full(self.size, numbers[0], np.int32)
        self.rows = np.full(self.size, field.oov_row, row_type([*rows.values(), field.oov_row]))
        self.keys[places] = numbers
        self.rows[places] = list(rows.values())
        self.displacement = self.displacement.astype(row_type([self.size]))

    def _placed(self, keys: Integers) -> Integers | None:
        """The place of each key, displacements on the way; None where two of them fall together."""
        bucket, start = keys % self.buckets, keys // self.buckets % self.size
        if len(np.unique(bucket * self.size + start)) < len(keys):
            return None
        order = np.argsort(bucket, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(bucket[order])) + 1)
        taken = np.zeros(self.size, bool)
        self.displacement = np.zeros(self.buckets, np.int64)
        places = np.zeros(len(keys), np.int64)
        for group in sorted(groups, key=len, reverse=True):
            if len(group) == 1:
                break  # what is left takes any free place
            own, b = start[group], int(bucket[group[0]])
            # From another displacement for each bucket on: starts may lie close together.
            for first in range(0, self.size, self._BLOCK):
                tried = (b * _SCATTER + first + np.arange(self._BLOCK)) % self.size
                where = (own[:, None] + tried) % self.size
                free = np.flatnonzero(~taken[where].any(axis=0))
                if len(free):
                    break
            else:
                return None
            self.displacement[b] = tried[free[0]]
            places[group] = where[:, free[0]]
            taken[places[group]] = True
        alone = np.array([group[0] for group in groups if len(group) == 1], np.int64)
        places[alone] = np.flatnonzero(~taken)[: len(alone)]
        self.displacement[bucket[alone]] = (places[alone] - start[alone]) % self.size
        return places

    @staticmethod
    def together(hashes: Sequence[PerfectHash], values: tf.Tensor) -> tf.Tensor:
        """Rows [B, S] of values [B, S] int32 in hashes that lie one after the other."""
        by_column = columns_of(hashes)
        buckets = by_column([h.buckets for h in hashes])
        moved = tf.gather(
            joined([h.displacement for h in hashes]),
            values % buckets + by_column(starts([h.buckets for h in hashes])),
        )
        place = (values // buckets + tf.cast(moved, tf.int32)) % by_column([h.size for h in hashes])
        place += by_column(starts([h.size for h in hashes]))
        known = tf.equal(tf.gather(joined([h.keys for h in hashes]), place), values)
        rows = tf.cast(tf.gather(joined([h.rows for h in hashes]), place), tf.int32)
        return tf.where(known, rows, by_column([h.field.oov_row for h in hashes]))


def rows_of(keys: Sequence[int | None], field: Field) -> dict[int, int]:
    """Rows of the fused table by key, of equal keys that of the most frequent value."""
    first = field.offset + RESERVED_ROWS
    rows: dict[int, int] = {}
    for row, key in enumerate(keys, first):
        if key is not None:
            rows.setdefault(key, row)
    return rows


def row_type(numbers: Sequence[int]) -> type[np.signedinteger[Any]]:
    """The least type of numbers from 0 on."""
    return np.int16 if max(numbers) < 2**15 else np.int32


def starts(sizes: Sequence[int]) -> list[int]:
    """Where arrays begin that lie one after the other."""
    return [sum(sizes[:k]) for k in range(len(sizes))]


def joined(arrays: Sequence[npt.NDArray[Any]]) -> tf.Tensor:
    """Arrays one after the other, as a constant."""
    return tf.constant(np.concatenate(arrays))


def columns_of(lookups: Sequence[Any]) -> Any:
    """From numbers, one a lookup, to a constant [S], one a column; a scalar where all are equal."""
    lengths = [lookup.field.length for lookup in lookups]

    def by_column(numbers: Sequence[int]) -> tf.Tensor:
        if len(set(numbers)) == 1:
            return tf.constant(numbers[0], tf.int32)
        return tf.constant(np.repeat(np.array(numbers, np.int32), lengths))

    return by_column
