"""A version in memory, with a copy of the model for each thread that scores."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

from ranklite.models.serving.http.openapi import document
from ranklite.models.serving.http.settings import Limits
from ranklite.models.serving.scorer import Scorer

TRIAL_SECONDS = 60.0


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


def tried(path: str, limits: Limits, seconds: float = TRIAL_SECONDS) -> Loaded:
    """Loads a version that scores in a process of its own first.

    A damaged file may end the process that runs it; that one is not the server's.

    Args:
      path: Its folder.
      limits: Of the server.
      seconds: How long it may take.

    Raises:
      Refused: It cannot be loaded, gives no score, takes too long, or ends its process.
    """
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe(duplex=False)
    child = processes.Process(target=_try_out, args=(path, there), daemon=True)
    with here:
        child.start()
        there.close()
        try:
            reason = here.recv() if here.poll(seconds) else f"no score within {seconds:g} s"
        except EOFError:
            child.join(seconds)
            reason = f"the process that tried it ended with {child.exitcode}"
        finally:
            child.kill()
            child.join()
    if reason:
        raise Refused(reason)
    try:
        return Loaded(path, limits)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise Refused(str(error)) from error


def _try_out(path: str, answer: Connection) -> None:
    """Scores and ranks rows of missing values; sends why that failed, or nothing."""
    try:
        scorer = Scorer(path)
        row = {entry["name"]: None for entry in scorer.metadata["features"]}
        scorer.score([row])
        scorer.top_k(row, [row, row], 1)
    except Exception as error:  # whatever is wrong with a file, it is the file's
        answer.send(f"{type(error).__name__}: {error}")
    else:
        answer.send("")
