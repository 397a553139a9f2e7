"""What a person may call a run, and what a name already stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranklite.models.serving.metadata import changed_task
from ranklite.models.serving.versions import latest_metadata, latest_version
from ranklite.pipeline.runs.store import FINISHED, Run

if TYPE_CHECKING:
    from ranklite.pipeline.config.run_config import RunConfig

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


def other_task(config: RunConfig, push_dir: str) -> list[str]:
    """Lines for a person whose run would push behind a version of another log or task.

    Args:
      config: Of the run.
      push_dir: Folder of the versions.
    """
    changed = changed_task(latest_metadata(push_dir), config.model_dump(mode="json"))
    if not changed:
        return []
    return [
        f"attention: {latest_version(push_dir)} is of another task: {'; '.join(changed)}",
        "This run is compared with it, and pushes behind it. If that is not meant, stop it and",
        "give the configuration another `name` or `push.directory`.",
    ]
