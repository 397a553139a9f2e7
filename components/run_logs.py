"""TensorBoard's logs of a stage: where they lie, and how they outlive its failure."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

MODEL_RUN = "model_run"  # key of the outputs that hold TensorBoard's logs
EXECUTION = re.compile(r"-?\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # a folder's name
FAILED = ".failed"  # what the name of their folder ends in, beside that of the output


@contextlib.contextmanager
def kept(folder: str) -> Iterator[None]:
    """Puts the logs aside where an error passes, since TFX removes what a failed stage wrote.

    They are moved: nothing is written twice.

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
