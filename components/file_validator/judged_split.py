"""Which rows of a split are judged: all, or where they are very many those of some users.

Judging holds its rows in memory, some kilobytes each: the texts of an app, the scores of every
stage, and what is resampled. Scores of some hundred thousand rows say of a figure what those of
millions say: its interval shrinks with the root of the rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from ranklite.models.evaluation.scored_rows import whole_units
from ranklite.models.features import row_counts, tfrecords
from ranklite.models.features.examples import counted_batches
from ranklite.models.features.slices import GROUP

Array = npt.NDArray[Any]
_BATCH = 4096
_USER = {GROUP: tf.io.FixedLenFeature([1], tf.string, "")}


@dataclasses.dataclass(frozen=True)
class JudgedSplit:
    """The rows of a split that are judged.

    Attributes:
      total: How many rows the split has.
      kept: [total], which of them are judged; None where all are.
    """

    total: int
    kept: Array | None = None

    @classmethod
    def choose(cls, files: Sequence[str], *, has_users: bool, most: int) -> JudgedSplit:
        """Chooses rows: all, or if they are too many all rows of as many users as fit.

        Which users depends on a hash of their names alone, so that two nights judge the same ones.
        Without users, rows are chosen by their number.

        Args:
          files: Transformed Examples of the split; read once, in bounded memory, where they are
            too many.
          has_users: Whether they name users.
          most: Rows to judge at most.
        """
        total = row_counts.expected(files)
        if total is None:
            total = sum(map(len, _batches(files)))
        if total <= most:
            return cls(total)
        units = np.concatenate([*map(_users, _batches(files))]) if has_users else np.arange(total)
        return cls(total, whole_units(units, most))

    def records(self, files: Sequence[str]) -> list[bytes]:
        """Those of the judged rows, of Examples in the order of the split."""
        result: list[bytes] = []
        first = 0
        for batch in _batches(files):
            mask = slice(None) if self.kept is None else self.kept[first : first + len(batch)]
            result.extend(batch[mask])
            first += len(batch)
        return result

    def scores(self, values: Array) -> Array:
        """Those of the judged rows, of the scores of all rows."""
        return values if self.kept is None else values[self.kept]

    def rows(self, table: pa.Table) -> pa.Table:
        """Those of the judged rows, of a table in the order of the split."""
        return table if self.kept is None else table.filter(pa.array(self.kept))

    def places(self, numbers: Sequence[int]) -> Array:
        """Where rows of the split are among the judged ones; -1 where they are not judged."""
        given = np.asarray(numbers, np.int64)
        if self.kept is None:
            return given
        return np.where(self.kept[given], np.cumsum(self.kept)[given] - 1, -1)

    def warnings(self, split: str) -> list[str]:
        """A sentence where not all rows are judged."""
        if self.kept is None:
            return []
        judged = f"{int(self.kept.sum()):,} of the {self.total:,} rows of the {split} split"
        more = "gates.most_rows judges more, in more memory"
        return [f"{judged} are judged, all rows of some users; {more}"]


def _batches(files: Sequence[str]) -> Iterator[Any]:
    return counted_batches(tfrecords.in_order(files), _BATCH)


def _users(records: Any) -> Array:
    names: Array = tf.io.parse_example(tf.constant(records, tf.string), _USER)[GROUP].numpy()[:, 0]
    return names.astype(str)
