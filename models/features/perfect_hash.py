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

        place(x) = (x mod m + displacement[x mod r]) mod m,

    where it is kept beside its row of the fused table, so that any other integer is told from it.
    Where r and m have no factor in common, x mod r and x mod m say different things of x. int32
    holds all of it, and TFLite has its operators since ever; it divides in three times the time of
    a remainder. It takes about 8 bytes a key, a third of what hash tables take.

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
    _BLOCK, _TRIES, _AT_ONCE = 64, 200, 512

    def __init__(
        self, column: RawColumn, keys: Sequence[int | None], field: Field, missing: int
    ) -> None:
        self.column, self.field = column, field
        self.displacement: npt.NDArray[Any] = np.zeros(0, np.int64)
        known, rows = rows_of(keys, field)
        numbers, rows = np.append(known, MISSING_INT32), np.append(rows, missing)
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
        most = max(int(rows.max()), field.oov_row)
        self.rows = np.full(self.size, field.oov_row, row_type([most]))
        self.keys[places] = numbers
        self.rows[places] = rows
        self.displacement = self.displacement.astype(row_type([self.size]))

    def _placed(self, keys: Integers) -> Integers | None:
        """The place of each key, displacements on the way; None where two of them fall together."""
        bucket, start = keys % self.buckets, keys % self.size
        if len(np.unique(bucket * self.size + start)) < len(keys):
            return None
        order = np.argsort(bucket, kind="stable")
        first = np.flatnonzero(np.diff(bucket[order], prepend=-1))  # of each group in a bucket
        length = np.diff(first, append=len(order))
        taken = np.zeros(self.size, bool)
        self.displacement = np.zeros(self.buckets, np.int64)
        places = np.zeros(len(keys), np.int64)
        for size in range(int(length.max()), 1, -1):
            which = first[length == size]
            groups = order[which[:, None] + np.arange(size)]
            if not self._place(groups, bucket[groups[:, 0]], start[groups], taken, places):
                return None
        alone = order[first[length == 1]]  # what is left takes any free place
        places[alone] = np.flatnonzero(~taken)[: len(alone)]
        self.displacement[bucket[alone]] = (places[alone] - start[alone]) % self.size
        return places

    def _place(
        self,
        groups: Integers,
        buckets: Integers,
        starts: Integers,
        taken: npt.NDArray[np.bool_],
        places: Integers,
    ) -> bool:
        """Places groups of keys as one after the other would be; False where one has no place.

        Many try at once, and of those that want a place twice all behind the first of them again:
        what is free for the others is what was free for them in turn.

        Args:
          groups: Numbers of keys [G, K].
          buckets: That of each group [G].
          starts: Of each key [G, K].
          taken: Places [m]; those of the groups are added.
          places: Of each key; those of the groups are set.
        """
        begin = 0
        while begin < len(groups):
            part = slice(begin, begin + self._AT_ONCE)
            moved = self._free(starts[part], buckets[part], taken)
            wanted = (starts[part] + moved[:, None]) % self.size
            count = _before(moved >= 0, wanted)
            if not count:
                return False
            self.displacement[buckets[part][:count]] = moved[:count]
            places[groups[part][:count]] = wanted[:count]
            taken[wanted[:count]] = True
            begin += count
        return True

    def _free(self, starts: Integers, buckets: Integers, taken: npt.NDArray[np.bool_]) -> Integers:
        """The first displacement [G] that finds free places for each group; -1 where none does."""
        result = np.full(len(starts), -1)
        left = np.arange(len(starts))
        share = (1 - taken.mean()) ** starts.shape[1]  # of the displacements that do
        step = int(np.clip(1 / max(share, 1e-9), 4, self._BLOCK))
        for first in range(0, self.size, step):
            # From another displacement for each bucket on: starts may lie close together.
            tried = (buckets[left, None] * _SCATTER + np.arange(first, first + step)) % self.size
            fits = ~taken[(starts[left][:, :, None] + tried[:, None, :]) % self.size].any(axis=1)
            chosen = fits.argmax(axis=1)
            is_found = fits[np.arange(len(left)), chosen]
            result[left[is_found]] = tried[is_found, chosen[is_found]]
            left = left[~is_found]
            if not len(left):
                break
        return result

    @staticmethod
    def together(hashes: Sequence[PerfectHash], values: tf.Tensor) -> tf.Tensor:
        """Rows [B, S] of values [B, S] int32 in hashes that lie one after the other."""
        by_column = columns_of(hashes)
        buckets = by_column([h.buckets for h in hashes])
        moved = tf.gather(
            joined([h.displacement for h in hashes]),
            values % buckets + by_column(starts([h.buckets for h in hashes])),
        )
        sizes = by_column([h.size for h in hashes])
        place = (values % sizes + tf.cast(moved, tf.int32)) % sizes
        place += by_column(starts([h.size for h in hashes]))
        known = tf.equal(tf.gather(joined([h.keys for h in hashes]), place), values)
        rows = tf.cast(tf.gather(joined([h.rows for h in hashes]), place), tf.int32)
        return tf.where(known, rows, by_column([h.field.oov_row for h in hashes]))


def _before(fits: npt.NDArray[np.bool_], wanted: Integers) -> int:
    """How many groups come before the first that has no place, or wants one that another has.

    Args:
      fits: Whether each has a place [G].
      wanted: Places that each wants [G, K], all different within a group.
    """
    flat = wanted.ravel()
    order = np.argsort(flat, kind="stable")
    again = order[1:][flat[order[1:]] == flat[order[:-1]]] // wanted.shape[1]
    stops = [len(fits), *np.flatnonzero(~fits)[:1].tolist()]
    return min([*stops, int(again.min())] if len(again) else stops)


def rows_of(keys: Sequence[int | None], field: Field) -> tuple[Integers, Integers]:
    """Different keys and their rows of the fused table, in the order of the vocabulary.

    Of equal keys the most frequent value's row counts; None is left out.
    """
    places = np.array([place for place, key in enumerate(keys) if key is not None], np.int64)
    known = np.array([key for key in keys if key is not None], np.int64)
    first = np.sort(np.unique(known, return_index=True)[1])
    return known[first], places[first] + field.offset + RESERVED_ROWS


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
