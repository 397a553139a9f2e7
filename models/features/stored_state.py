"""What a file stores of the past: aggregates by a feature's value, as of the end of the log."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from ranklite.models.features.layout import MISSING, OOV, RESERVED_ROWS, Field
from ranklite.models.features.past import EVENTS, KEY, file_of
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    from ranklite.models.features.kind import FeatureKind

_STEPS = 255  # of uint8


def key_of(feature: FeatureKind) -> str:
    """The column by whose value an aggregate is stored."""
    (key,) = {column.past.by[0] for column in feature.raw_columns() if column.past}
    return key


def read(
    folder: str,
    feature: FeatureKind,
    vocabularies: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """The state of a feature's keys at the end of the log, as JSON-ready data.

    Args:
      folder: Where ingestion wrote it.
      feature: An aggregate that is stored.
      vocabularies: Values of each feature that has some.

    Returns:
      `values`: by raw column, a number for each row of the key's field (the reserved ones, then the
      vocabulary), then for each of `extra`: keys that are no values of the vocabulary, and have
      events enough.
    """
    least = max(column.stored_from for column in feature.raw_columns())
    table = pq.read_table(os.path.join(folder, file_of(feature.name)))
    texts = [None if key is None else str(key) for key in table.column(KEY).to_pylist()]
    place = {key: row for row, key in enumerate(texts)}
    vocabulary = list(vocabularies[key_of(feature)])
    known = set(vocabulary)
    counts = zip(texts, table.column(EVENTS).to_pylist(), strict=True)
    extra = [k for k, n in counts if k is not None and k not in known and n >= least]
    nothing = place[None]
    rows = [nothing, nothing, *(place.get(key, nothing) for key in [*vocabulary, *extra])]
    columns = [column.name for column in feature.raw_columns()]
    values = {c: table.column(c).to_numpy().astype(np.float32)[rows] for c in columns}
    for column in values.values():
        column[MISSING] = np.nan
    return {"extra": extra, "values": {c: column.tolist() for c, column in values.items()}}


class StoredState:
    """Looks aggregates up by the row of their key, in TFLite's builtin operators.

    Args:
      feature: The aggregate.
      state: What `read` returned.
      key: The raw column of the key.
      field: Of the key.
      extra: int32 that stand for the keys in `extra` of the state.
    """

    def __init__(
        self,
        feature: FeatureKind,
        state: Mapping[str, Any],
        key: RawColumn,
        field: Field,
        extra: Sequence[int | None],
    ) -> None:
        from ranklite.models.features.lookup_tables import vocabulary_lookup

        self.field = field
        columns = {name: tf.constant(v, tf.float32) for name, v in state["values"].items()}
        numbers = np.stack([x.numpy() for x in feature.to_numbers(columns)], axis=1)
        self._missing = np.isnan(numbers)
        self._exact = feature.raw_columns()[0].stored == "float32"
        numbers = np.where(self._missing, np.nanmean(numbers, axis=0), numbers)
        low, high = numbers.min(axis=0), numbers.max(axis=0)
        self._low = low.astype(np.float32)
        self._step = np.where(high > low, (high - low) / _STEPS, 1).astype(np.float32)
        steps = np.rint((numbers - self._low) / self._step)
        self._table = numbers.astype(np.float32) if self._exact else steps.astype(np.uint8)
        self._lookup = None
        if extra:
            # Rows behind those of the field; its reserved rows stand for what is not found.
            behind = Field("", 0, 1, field.rows - RESERVED_ROWS, len(extra) + RESERVED_ROWS)
            self._lookup = vocabulary_lookup(key, extra, behind, behind.oov_row)

    @property
    def num_bytes(self) -> int:
        """Of the numbers, without their keys."""
        return int(self._table.nbytes)

    def __call__(self, ids: tf.Tensor, raw: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """The numbers of the feature, [B] each, not finite where there is none.

        Args:
          ids: [B, S] rows of the fused table.
          raw: All raw columns.
        """
        row = ids[:, self.field.start] - self.field.offset
        if self._lookup is not None:
            other = tf.reshape(self._lookup(raw), [-1])
            other = tf.where(other >= self.field.rows, other, tf.constant(OOV, tf.int32))
            row = tf.where(tf.equal(row, OOV), other, row)
        values = tf.gather(tf.constant(self._table), row)
        if not self._exact:
            values = tf.cast(values, tf.float32) * self._step + self._low
        columns = []
        for k in range(self._table.shape[1]):
            missing = np.flatnonzero(self._missing[:, k])
            x = values[:, k]
            for one in missing.tolist() if len(missing) <= RESERVED_ROWS else ():
                x = tf.where(tf.equal(row, one), tf.constant(float("nan")), x)
            if len(missing) > RESERVED_ROWS:
                gap = tf.gather(tf.constant(self._missing[:, k].astype(np.uint8)), row)
                x = tf.where(gap > 0, tf.constant(float("nan")), x)
            columns.append(x)
        return columns
