"""Keeps what a runtime writes of itself out of an app's standard error."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from typing import IO

_STDERR = 2
_OF_RUNTIME = re.compile(rb"(INFO|WARNING): [^\n]*\n?")
_lock = threading.Lock()


@contextlib.contextmanager
def without_runtime_log() -> Iterator[None]:
    """Holds back information that TensorFlow Lite's C++ code writes in this block.

    The runtime has no setting for it. Errors, and what other threads write meanwhile, appear once
    the block has ended.

    Example:
        >>> with without_runtime_log():
        ...     _ = os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n")
    """
    with _lock, _in_memory() as held:
        try:
            original = os.dup(_STDERR)
        except OSError:  # it is closed: there is nothing to keep clean
            yield
            return
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(original, _STDERR)
            held.seek(0)
            rest = _OF_RUNTIME.sub(b"", held.read())
            if rest:
                os.write(original, rest)
            os.close(original)


def _in_memory() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("ranklite"), "w+b")
    import tempfile  # elsewhere than on Linux

    return tempfile.TemporaryFile()
