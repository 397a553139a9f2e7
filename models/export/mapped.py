"""A model's file as it is mapped into memory: digested and loaded without a copy of it."""

from __future__ import annotations

import mmap
import os


class MappedFile:
    """The bytes of a file, and a path under which a runtime maps the same ones.

    The path is that of the open file, not of its name: should another file take the name, it is not
    loaded. A write into the file would show, where a copy would not; no version is written to after
    it has got its number.

    Args:
      path: Of the file.

    Attributes:
      bytes: Read-only; whatever takes a buffer takes it.
      path: As long as it is not closed. None where the system has no such paths, or the file is
        empty.

    Raises:
      OSError: It cannot be opened.

    Example:
        >>> with open("model.tflite", "wb") as file:
        ...     _ = file.write(b"weights")
        >>> with MappedFile("model.tflite") as file:
        ...     bytes(file.bytes[:3])
        b'wei'
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self.bytes: mmap.mmap | bytes = b""  # nothing cannot be mapped
        self.path: str | None = None
        if os.fstat(self._descriptor).st_size:
            self.bytes = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_WILLNEED"):
                self.bytes.madvise(mmap.MADV_WILLNEED)
            name = f"/dev/fd/{self._descriptor}"
            self.path = name if os.path.exists(name) else None

    def __enter__(self) -> MappedFile:
        return self

    def __exit__(self, *_: object) -> None:
        """Takes the path away; what is mapped stays for those who have it."""
        os.close(self._descriptor)
        self.path = None
