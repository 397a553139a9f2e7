"""A version in memory, with a copy of the model for each thread that scores."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from typing import Any

from ranklite.models.serving.http.openapi import document
from ranklite.models.serving.http.settings import Limits
from ranklite.models.serving.scorer import Scorer


class Refused(ValueError):
    """A version cannot be served."""


class Loaded:
    """A version that is served.

    Args:
      scorers: A copy for each thread: an interpreter is of one thread at a time.
      limits: Of the server, which its description names.

    Attributes:
      name: Its folder's name, which answers carry.
    """

    def __init__(self, scorers: Sequence[Scorer], limits: Limits) -> None:
        self.name = os.path.basename(os.path.abspath(scorers[0].path))
        self.scorers, self._limits = scorers, limits

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
        first = Scorer(path, trusted=False)
        row = {entry["name"]: None for entry in first.metadata["features"]}
        first.score([row])
        first.top_k(row, [row, row], 1)
        others = (first.copy() for _ in range(1, limits.threads))
        return Loaded([first, *others], limits)
    except Exception as error:  # whatever is wrong with a file, it is the file's
        raise Refused(f"{type(error).__name__}: {error}") from error
