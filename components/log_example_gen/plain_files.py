"""Text files as DuckDB reads them: plain, in UTF-8, whole."""

from __future__ import annotations

import bz2
import codecs
import gzip
import itertools
import os
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import pyarrow as pa

from ranklite.components.log_example_gen import IngestError
from ranklite.models.compressed import FIRST, Compression, compression

_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_BLOCK = 1 << 20


def plain(path: str, encoding: str, folder: str, most: int | None = None) -> str:
    """A plain UTF-8 file of the same text: the file itself, or a copy.

    Args:
      path: A text file, compressed by gzip, bzip2 or Zstandard or not, which its first bytes tell.
      encoding: Of the text.
      folder: Where a copy goes.
      most: Bytes of a copy, up to the end of a line; None copies all.

    Raises:
      IngestError: The file is empty, cut short or damaged, or its text is of another encoding.
    """
    with open(path, "rb") as file:
        start = file.read(FIRST)
    if not start:
        raise IngestError(f"{path} is empty")
    compressed = compression(start)
    if compressed is None and encoding == "utf-8":
        other = next((name for bom, name in _BOMS.items() if start.startswith(bom)), None)
        if other:
            raise IngestError(f"{path} is {other}: say so by `source.encoding: {other}`")
        if not start.startswith(codecs.BOM_UTF8):
            return path
    number = sum(1 for name in os.listdir(folder) if name.endswith(".plain"))
    copy = os.path.join(folder, f"{number}.plain")
    with open(copy, "wb") as out:
        for block in _decoded(path, compressed, encoding):
            out.write(block)
            if most is not None and out.tell() > most:
                out.truncate(out.tell() - len(block) + block.rfind(b"\n") + 1)
                break
    if os.path.getsize(copy) == 0:
        raise IngestError(f"{path} is empty")
    return copy


def is_plain(path: str) -> bool:
    """Whether a text file in UTF-8 is read as it is, but for a byte order mark."""
    with open(path, "rb") as file:
        start = file.read(FIRST)
    return bool(start) and not compression(start) and not start.startswith(tuple(_BOMS))


def without_mark(start: bytes) -> int:
    """How many bytes the byte order mark has that a text in UTF-8 begins with; 0 without one."""
    return len(start) - len(start.removeprefix(codecs.BOM_UTF8))


def text_of(path: str, encoding: str) -> Iterator[bytes]:
    """The text of a file in UTF-8, block by block, compressed or not.

    Raises:
      IngestError: The file is cut short or damaged, or its text is of another encoding.
    """
    with open(path, "rb") as file:
        compressed = compression(file.read(FIRST))
    return _decoded(path, compressed, encoding)


def _decoded(path: str, compressed: Compression | None, encoding: str) -> Iterator[bytes]:
    """The text in UTF-8, without a byte order mark, block by block."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    blocks = _blocks(path, compressed)
    if encoding == "utf-8":  # bytes that are no UTF-8 cost their line, not the file
        first = next(blocks, b"")
        blocks = itertools.chain([first.removeprefix(codecs.BOM_UTF8)], blocks)
        yield from blocks
        return
    lines = 1
    try:
        for block in itertools.chain(blocks, [b""]):
            text = decoder.decode(block, final=not block)
            lines += text.count("\n")
            yield text.encode()
    except UnicodeDecodeError as error:
        lines += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
        raise IngestError(
            f"{path} is not {encoding}, from line {lines} on: {error}; set `source.encoding`"
        ) from error


def _blocks(path: str, compressed: Compression | None) -> Iterator[bytes]:
    try:
        with _opened(path, compressed) as file:
            while block := file.read(_BLOCK):
                yield block
    except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
        raise IngestError(
            f"{path} is damaged or cut short: {error or 'the end of its compressed data is absent'}"
        ) from error


def _opened(path: str, compressed: Compression | None) -> BinaryIO:
    if compressed == "gzip":
        return cast(BinaryIO, gzip.open(path))
    if compressed == "bz2":
        return cast(BinaryIO, bz2.open(path))
    if compressed == "zstd":
        return cast(BinaryIO, pa.input_stream(path, compression="zstd"))
    return open(path, "rb")
