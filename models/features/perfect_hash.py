"""A vocabulary of integers inside a TFLite file: arrays that a perfect hash indexes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ranklite.models.features.layout import MISSING_INT64, RESERVED_ROWS, Field
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.rules import fill_empty_lists

Raw = Mapping[str, tf.Tensor]


class PerfectHash:
    r"""Looks integers up in arrays that a hash without collisions indexes.

    Hash and displace (Belazzougui, Botelho & Dietzfelbinger 2009): with universal hashes f and g
    (Carter & Wegman 1979), an integer x of the vocabulary has a place of its own,

        place(x) = (g(x) + displacement[f(x) mod r]) mod m,

    where it is kept beside its row, so that any other integer is told from it. It takes about 8
    bytes an integer, a third of what hash tables take.

    Args:
      column: The raw column.
      numbers: The vocabulary: integers of 32 bits.
      field: Where the ids live.
      missing: Row of MISSING_INT64.
    """

    BYTES = 8  # about what it takes for an integer
    _PRIME = 2**31 - 1
    _LOAD, _BUCKET = 0.85, 3  # share of the places that are taken; integers a displacement
    _BLOCK, _SEEDS = 256, 100

    def __init__(
        self, column: RawColumn, numbers: Sequence[int], field: Field, missing: int
    ) -> None:
        self.column, self.field, self.missing = column, field, missing
        keys = np.array(numbers, np.int64)
        self.low, self.high = int(keys.min()) - 1, int(keys.max()) + 1
        self.size = math.ceil(len(keys) / self._LOAD)
        self.buckets = max(1, len(keys) // self._BUCKET)
        self.displacement: npt.NDArray[Any] = np.zeros(self.buckets, np.int64)
        for seed in range(self._SEEDS):
            self.factors = np.random.default_rng(seed).integers(1, self._PRIME, 4)
            places = self._placed(keys)
            if places is not None:
                break
        else:
            raise RuntimeError(f"no perfect hash of {len(keys)} integers")
        # A free place holds any key, which has its own place elsewhere, and the row 0.
        self.keys = np.full(self.size, keys[0], np.int32)
        self.rows = np.zeros(self.size, position_type(len(keys)))
        self.keys[places] = keys
        self.rows[places] = np.arange(1, len(keys) + 1)
        self.displacement = self.displacement.astype(position_type(self.size))

    @classmethod
    def holds(cls, numbers: Sequence[int]) -> bool:
        """Whether it can hold them."""
        return bool(numbers) and min(numbers) > -(2**31) and max(numbers) < 2**31 - 1

    def _hashes(self, x: Any) -> tuple[Any, Any]:
        """f mod r and g mod m, of numpy's or TensorFlow's integers."""
        a, b, c, d = (int(factor) for factor in self.factors)
        x = x - self.low
        first = (x * a + b) % self._PRIME % self.buckets
        return first, (x * c + d) % self._PRIME % self.size

    def _placed(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """The place of each key, displacements on the way; None where two of them fall together."""
        bucket, start = self._hashes(keys)
        order = np.argsort(bucket, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(bucket[order])) + 1)
        taken = np.zeros(self.size, bool)
        self.displacement = np.zeros(self.buckets, np.int64)
        places = np.zeros(len(keys), np.int64)
        for group in sorted(groups, key=len, reverse=True):
            own = start[group]
            if len(np.unique(own)) < len(own):
                return None
            for first in range(0, self.size, self._BLOCK):
                tried = np.arange(first, min(first + self._BLOCK, self.size))
                where = (own[:, None] + tried) % self.size
                free = np.flatnonzero(~taken[where].any(axis=0))
                if len(free):
                    break
            else:
                return None
            self.displacement[bucket[group[0]]] = tried[free[0]]
            places[group] = where[:, free[0]]
            taken[places[group]] = True
        return places

    def __call__(self, raw: Raw) -> tf.Tensor:
        values = tf.reshape(raw[self.column.name], [-1, self.field.length])
        # Clipped first: the product of a far integer does not fit in 64 bits.
        bucket, start = self._hashes(tf.maximum(tf.minimum(values, self.high), self.low))
        moved = tf.cast(tf.gather(tf.constant(self.displacement), bucket), tf.int64)
        place = (start + moved) % self.size
        key = tf.cast(tf.gather(tf.constant(self.keys), place), tf.int64)
        row = tf.cast(tf.gather(tf.constant(self.rows), place), tf.int64)
        known = tf.equal(key, values) & (row > 0)
        rows = tf.where(
            known,
            row + (self.field.offset + RESERVED_ROWS - 1),
            tf.constant(self.field.oov_row, tf.int64),
        )
        missing = tf.constant(self.missing, tf.int64)
        rows = tf.where(tf.equal(values, MISSING_INT64), missing, rows)
        if self.column.is_list:
            rows = fill_empty_lists(rows, self.field.missing_row)
        return rows


def position_type(count: int) -> type[np.signedinteger[Any]]:
    """The least type of positions from 0 to a count."""
    return np.int16 if count < 2**15 else np.int32
