"""What tasks hand over by files, since results are to be small."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from ranklite.models.files import replaced


@contextlib.contextmanager
def folder(near: str) -> Iterator[str]:
    """A folder for a while, which all workers see where they see another one.

    Args:
      near: That one; it is made if needed.
    """
    os.makedirs(near, exist_ok=True)
    made = tempfile.mkdtemp(dir=near, prefix=".work-")
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write(path: str, value: Any) -> None:
    """Pickles a value into a file, which is there when all of it is.

    Args:
      path: The file; another attempt at the same task may write it at the same time.
      value: Large or small.
    """
    with replaced(path) as part, open(part, "wb") as file:
        pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)


def read(path: str) -> Any:
    """What was written into a file, which goes: many of them may be large."""
    with open(path, "rb") as file:
        value = pickle.load(file)
    os.remove(path)
    return value
