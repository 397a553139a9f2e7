"""What a person may call a run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ranklite.pipeline.runs.store import FINISHED, Run

LONGEST = 40  # characters; names are titles of columns, and folders
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*( [A-Za-z0-9._-]+)*")


def check_name(name: str, pipeline: str, runs: Sequence[Run]) -> None:
    """Raises where a new run cannot be called so.

    A run that was stopped does not keep its name from the one that goes on from there.

    Args:
      name: What the run is to be called.
      pipeline: The pipeline's name.
      runs: Its runs so far.

    Raises:
      ValueError: The name is not allowed, or a finished run has it.
    """
    if not _ALLOWED.fullmatch(name) or len(name) > LONGEST:
        raise ValueError(
            f"--name {name!r}: a name is 1 to {LONGEST} letters from a to z, digits, '.', '_', '-' "
            "and single spaces between them, and begins with a letter or a digit"
        )
    if re.split(r"[ .]", name)[0] == pipeline:
        raise ValueError(
            f"--name {name!r}: {pipeline!r} at the beginning is the pipeline's own name, by which "
            "its runs are found; leave it out"
        )
    for run in runs:
        pusher = run.stages.get("Pusher")
        if run.name == name and pusher and pusher.state in FINISHED:
            raise ValueError(
                f"--name {name!r}: {run.pipeline}#{run.number}, started on "
                f"{run.started:%Y-%m-%d}, is called so; choose another name"
            )
