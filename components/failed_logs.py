"""TensorBoard's logs of a training that failed: TFX removes what a failed stage wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

FAILED = ".failed"  # what the name of their folder ends in, beside that of the output


@contextlib.contextmanager
def kept(folder: str) -> Iterator[None]:
    """Puts the logs aside where an error passes; they are moved, and nothing is written twice.

    Args:
      folder: Output that receives TensorBoard's logs.
    """
    try:
        yield
    except Exception:
        with contextlib.suppress(OSError):  # the error itself is what counts
            if os.listdir(folder):
                os.rename(folder, folder + FAILED)
                os.mkdir(folder)  # which TFX expects to remove
        raise
