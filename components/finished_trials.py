"""Where a search keeps the trials that it has finished, so that a killed one goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any


def folder(work_dir: str, digest: str) -> str:
    """The folder of a search's trials; those of others, which hold no longer, are removed.

    Args:
      work_dir: Of the component.
      digest: Of what trials depend on.
    """
    for other in os.listdir(work_dir) if os.path.isdir(work_dir) else ():
        if other != digest:
            shutil.rmtree(os.path.join(work_dir, other), ignore_errors=True)
    return os.path.join(work_dir, digest)


def digest(input_dict: dict[str, list[Any]], *others: str) -> str:
    """Trials are only valid for the same inputs and the same code.

    Args:
      input_dict: Of the executor.
      *others: What else they depend on, such as the digest of the code.
    """
    ids = {key: [artifact.id for artifact in values] for key, values in input_dict.items()}
    return hashlib.sha256(json.dumps([ids, *others], sort_keys=True).encode()).hexdigest()[:16]
