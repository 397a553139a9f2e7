"""Arrow tables as tf.Examples, and as what TensorFlow Transform takes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ranklite.models.features.example_bytes import examples, is_list, plain


def encode(batch: pa.RecordBatch) -> list[bytes]:
    """Serialized Examples of the rows of an Arrow batch."""
    return list(examples(batch).to_pylist())


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Every column as lists of bytes, int64 or float32; a missing value is a null list."""
    return pa.RecordBatch.from_arrays([_lists(c) for c in batch.columns], batch.schema.names)


def _lists(column: pa.Array) -> pa.Array:
    if is_list(column):
        offsets = column.offsets.cast(pa.int64())
        values = plain(column.values)
        return pa.LargeListArray.from_arrays(offsets, values)
    valid = np.asarray(column.is_valid())
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int64)
    missing = np.concatenate([~valid, [False]])
    return pa.LargeListArray.from_arrays(
        pa.array(offsets, pa.int64(), mask=missing), plain(column.drop_null())
    )
