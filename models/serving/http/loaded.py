"""A version in memory, with a copy of the model for each thread that scores."""

from __future__ import annotations

import functools
import json
import os
from typing import Any

from ranklite.models.serving.http.openapi import document
from ranklite.models.serving.http.settings import Limits
from ranklite.models.serving.scorer import Scorer


class Refused(ValueError):
    """A version cannot be served."""


class Loaded:
    """A version that is served.

    Args:
      path: Its folder.
      limits: Of the server, which its description names.

    Attributes:
      name: Its folder's name, which answers carry.
      scorers: A copy for each thread: an interpreter is of one thread at a time.

    Raises:
      ValueError: It cannot be loaded.
      OSError: It cannot be read.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self.path, self.name = path, os.path.basename(os.path.abspath(path))
        self._limits = limits
        self.scorers = [Scorer(path) for _ in range(limits.threads)]

    @property
    def metadata(self) -> dict[str, Any]:
        """Its `model.json`."""
        return self.scorers[0].metadata

    @functools.cached_property
    def openapi(self) -> bytes:
        """The description of the server, with this version's features."""
        return json.dumps(document(self.metadata, self.name, self._limits)).encode()


def tried(path: str, limits: Limits) -> Loaded:
    """Loads a version whose file was run in a process of its own first, and that scores here.

    A file that is made to, or damaged, may end the process that runs it; that one is not the
    server's.

    Args:
      path: Its folder.
      limits: Of the server.

    Raises:
      Refused: It cannot be loaded, gives no score, takes too long, or ends its process.
    """
    try:
        scorer = Scorer(path, trusted=False)
        row = {entry["name"]: None for entry in scorer.metadata["features"]}
        scorer.score([row])
        scorer.top_k(row, [row, row], 1)
        return Loaded(path, limits)
    except Exception as error:  # whatever is wrong with a file, it is the file's
        raise Refused(f"{type(error).__name__}: {error}") from error
