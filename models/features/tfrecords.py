"""Gzipped TFRecord files of Examples, written by all cores.

A record is its size in 8 bytes, a checksum of these, the Example, and a checksum of it. A batch is
encoded and compressed by itself, so batches can be so at the same time; a file is the same on any
number of cores. Its gzip header has a field of ours, which readers skip and `row_counts` reads: how
many rows and bytes the file has, since one that was cut may read as a clean end.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import os
import re
import struct
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from isal import isal_zlib

from ranklite.models.environment import cores
from ranklite.models.features import example_bytes, row_counts

RAW = -15  # the window's bits of zlib, of a stream without a header
_END = b"\x03\x00"  # a last block, which is empty
_FRAME = 12  # bytes before an Example
_CHECKSUM = 4  # bytes behind it


class Packed(NamedTuple):
    """A batch as a part of a gzip stream.

    Attributes:
      content: Whole deflate blocks.
      checksum: CRC-32 of what they hold.
      size: Bytes of what they hold.
      rows: How many records.
    """

    content: bytes
    checksum: int
    size: int
    rows: int


class ExampleFile:
    """A gzipped TFRecord file of Examples, which is there when all of it is.

    Args:
      path: The file; its folder is made if needed.
      pool: Threads that encode and compress. Batches wait for them, but never more than there are
        threads and one: what is held in memory does not grow with the file.

    Attributes:
      rows: How many are written.
      added: How many these will be.

    Example:
        with ThreadPoolExecutor(cores()) as pool, ExampleFile("train/data.gz", pool) as file:
            for batch in batches:
                file.add(batch)
    """

    def __init__(self, path: str, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        self.rows = self.added = 0
        self._path, self._pool, self._ahead = path, pool, cores()
        folder, name = os.path.split(path)
        # Two attempts at one task of an engine may write the same file.
        self._part = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.part")
        self._waiting = collections.deque[concurrent.futures.Future[Packed]]()
        self._size = self._checksum = 0
        os.makedirs(folder, exist_ok=True)
        self._file = open(self._part, "wb")  # noqa: SIM115
        self._file.write(row_counts.header_bytes(0, 0))

    def add(self, batch: pa.RecordBatch) -> None:
        """Appends rows, in their order.

        Args:
          batch: Columns as `example_bytes.examples` takes them.
        """
        self.added += batch.num_rows
        self._waiting.append(self._pool.submit(packed, batch))
        if len(self._waiting) > self._ahead:
            self._write()

    def _write(self) -> None:
        part = self._waiting.popleft().result()
        self._file.write(part.content)
        self._checksum = isal_zlib.crc32_combine(self._checksum, part.checksum, part.size)
        self._size += part.size
        self.rows += part.rows

    def __enter__(self) -> ExampleFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._file:
                while self._waiting and kind is None:
                    self._write()
                self._file.write(_END + struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))
                size = self._file.tell()
                self._file.seek(0)
                self._file.write(row_counts.header_bytes(self.rows, size))
            if kind is None:
                os.replace(self._part, self._path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._part)


def in_order(paths: Sequence[str]) -> list[str]:
    """Files in the order of their names, numbers in them by their size: shards of one split.

    Example:
        >>> in_order(["rows-10-of-12.gz", "rows-9-of-12.gz"])
        ['rows-9-of-12.gz', 'rows-10-of-12.gz']
    """
    # What a pattern with one group splits off stands at odd places: numbers meet numbers there.
    parts = {path: re.split(r"(\d+)", path) for path in paths}
    key = {p: [int(t) if k % 2 else t for k, t in enumerate(parts[p])] for p in parts}
    return sorted(paths, key=key.__getitem__)


def write_examples(path: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Writes the rows of Arrow batches, in their order, as a gzipped TFRecord file of Examples.

    Args:
      path: The file; its folder is made if needed.
      batches: Columns as `example_bytes.examples` takes them.

    Returns:
      Rows written.
    """
    with (
        concurrent.futures.ThreadPoolExecutor(cores()) as pool,
        ExampleFile(path, pool) as file,
    ):
        for batch in batches:
            file.add(batch)
    return file.rows


def packed(batch: pa.RecordBatch) -> Packed:
    """The rows of a batch as records, compressed."""
    content = records(batch)
    deflate = isal_zlib.compressobj(isal_zlib.ISAL_DEFAULT_COMPRESSION, isal_zlib.DEFLATED, RAW)
    block = deflate.compress(content) + deflate.flush(isal_zlib.Z_SYNC_FLUSH)
    return Packed(block, isal_zlib.crc32(content), len(content), batch.num_rows)


def records(batch: pa.RecordBatch) -> npt.NDArray[np.uint8]:
    """The rows of a batch as TFRecords of Examples, one behind the other."""
    pieces, sizes = example_bytes.parts(batch)
    frames = example_bytes.chosen(sizes, _frame)
    room = pa.scalar(bytes(_CHECKSUM), pa.large_binary())
    content = example_bytes.joined([frames, *pieces, room]).buffers()[2].to_pybytes()
    ends = np.cumsum(sizes + _FRAME + _CHECKSUM) - _CHECKSUM
    of_data = [
        google_crc32c.value(content[end - size : end])
        for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)
    ]
    result = np.frombuffer(content, np.uint8).copy()
    checksums = masked(np.array(of_data, np.uint32)).astype("<u4").view(np.uint8)
    result[ends[:, None] + np.arange(_CHECKSUM)] = checksums.reshape(-1, _CHECKSUM)
    return result


def _frame(size: int) -> bytes:
    """What stands before an Example of so many bytes."""
    length = struct.pack("<Q", size)
    checksum = np.array([google_crc32c.value(length)], np.uint32)
    return length + masked(checksum).astype("<u4").tobytes()


def masked(checksums: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
    """CRC-32Cs as TFRecords hold them: rotated by 15 bits, plus a constant."""
    rotated = (checksums >> np.uint32(15)) | (checksums << np.uint32(17))
    return rotated + np.uint32(0xA282EAD8)
