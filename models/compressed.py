"""Which compression a file has, by its first bytes."""

from __future__ import annotations

import re
from typing import Literal

FIRST = 10  # bytes that tell
Compression = Literal["gzip", "bz2", "zstd"]

# Of bzip2 also its size of blocks and what a block or the end begins with: "BZh" may begin a text.
_STARTS: dict[Compression, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}


def compression(start: bytes) -> Compression | None:
    """The compression of a file; None where it has none.

    Args:
      start: Its first `FIRST` bytes, or all that it has.

    Example:
        >>> compression(b"BZh91AY&SY"), compression(b"BZhuser,it")
        ('bz2', None)
    """
    return next((name for name, pattern in _STARTS.items() if pattern.match(start)), None)
