"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def atomic_folder(path: str) -> Iterator[str]:
    """A folder to write to, which takes its name once it is whole.

    Args:
      path: The name. What is unfinished is removed: at once after an error, and after a kill by the
        next one that writes there.

    Example:
        with atomic_folder("trial") as folder:
            pathlib.Path(folder, "trial.json").write_text("{}")
    """
    unfinished = f"{path}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(unfinished)
    try:
        yield unfinished
        os.rename(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
