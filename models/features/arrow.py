"""Arrow tables as tf.Examples, and as what TensorFlow Transform takes."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import tempfile
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import tensorflow as tf
from isal import isal_zlib
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

GZIP = 31  # the window's bits of zlib, of a stream with gzip's header


def write_examples(path: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Writes the rows of Arrow batches, in their order, as a gzipped TFRecord file of Examples.

    Args:
      path: The file; its folder is made if needed.
      batches: Columns of integers, numbers, texts, or lists of them.

    Returns:
      Rows written.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    rows = 0
    # The writer's own gzip takes five times as long for the same size.
    packer = isal_zlib.compressobj(isal_zlib.ISAL_DEFAULT_COMPRESSION, isal_zlib.DEFLATED, GZIP)
    with (
        open(path, "wb") as file,
        tempfile.TemporaryDirectory() as work,
        concurrent.futures.ThreadPoolExecutor(1) as beside,  # while the next batch is encoded
    ):

        def pack(block: bytes) -> None:
            file.write(packer.compress(block))

        part = os.path.join(work, "part.tfrecord")
        packed = beside.submit(pack, b"")
        for batch in batches:
            with tf.io.TFRecordWriter(part) as writer:
                for record in encode(batch):
                    writer.write(record)
            packed.result()
            packed = beside.submit(pack, pathlib.Path(part).read_bytes())
            rows += batch.num_rows
        packed.result()
        file.write(packer.flush())
    return rows


def encode(batch: pa.RecordBatch) -> list[bytes]:
    """Serialized Examples of the rows of an Arrow batch."""
    return list(RecordBatchToExamplesEncoder(None).encode(as_lists(batch)))


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Every column as lists of bytes, int64 or float32; a missing value is a null list."""
    return pa.RecordBatch.from_arrays([_lists(c) for c in batch.columns], batch.schema.names)


def _lists(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        offsets = column.offsets.cast(pa.int64())
        values = _plain(column.values)
        return pa.LargeListArray.from_arrays(offsets, values)
    valid = np.asarray(column.is_valid())
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int64)
    missing = np.concatenate([~valid, [False]])
    return pa.LargeListArray.from_arrays(
        pa.array(offsets, pa.int64(), mask=missing), _plain(column.drop_null())
    )


def _plain(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_integer(kind):
        return values.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.float32(), safe=False)
    if pa.types.is_string(kind):
        values = values.cast(pa.large_string())
    return values.cast(pa.large_binary())
