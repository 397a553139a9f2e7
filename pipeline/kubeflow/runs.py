"""Runs on a Kubeflow Pipelines server: their state, and why they failed."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.object_store import StorageError
from ranklite.pipeline.kubeflow.run_record import failures

FAILED = "FAILED"  # state of a run, or of a task
# Nodes of Argo's workflow that are no task of the pipeline, or stand before one.
_INNER, _DRIVER = {"", "entrypoint", "root", "executor"}, "-driver"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run on the server.

    Attributes:
      name: Its name.
      run_id: Its id.
      state: `SUCCEEDED`, `FAILED`, `RUNNING`, ...
      created: When.
      error: What the server says went wrong.
      failed: Names of the tasks that failed, as the server knows them.
    """

    name: str
    run_id: str
    state: str
    created: datetime.datetime | None
    error: str
    failed: tuple[str, ...] = ()

    @staticmethod
    def of(run: Any, get_run: Callable[[str], Any]) -> Run:
        """From what kfp's client gives.

        Args:
          run: As it is in a list, which may leave out what its tasks did.
          get_run: Gives all that is known of a run by its id.
        """
        errors = [run.error.message] if run.error and run.error.message else []
        failed: list[str] = []
        if run.state == FAILED:
            details = get_run(run.run_id).run_details
            for task in (details.task_details if details else None) or []:
                name = (task.display_name or "").removesuffix(_DRIVER)
                if task.state != FAILED or name in _INNER or name in failed:
                    continue
                failed.append(name)
                if task.error and task.error.message:
                    errors.append(f"{name}: {task.error.message}")
        state = run.state or "UNKNOWN"
        return Run(
            run.display_name, run.run_id, state, run.created_at, "; ".join(errors), tuple(failed)
        )


def explain(run: Run, pipeline: str, artifacts: str | None) -> tuple[list[str], list[str]]:
    """Why a run failed, in its tasks' own words where they left them.

    The server knows no more than that a pod ended with 1.

    Args:
      run: A run in any state.
      pipeline: Name of the pipeline.
      artifacts: URI of the pipeline's artifacts; None where it is not set.

    Returns:
      The tasks that failed, and lines on why; none of a run that did not fail.
    """
    server = [f"  {run.error}"] if run.error else []
    if run.state != FAILED:
        return list(run.failed), server
    if artifacts is None:
        hint = "  the tasks' own words: set kubeflow.pipeline_root, or --pipeline-root URI"
        return list(run.failed), [*server, hint]
    place = storage.join(artifacts, pipeline, run.run_id)
    try:
        kept = failures(place)
    except StorageError as error:
        return list(run.failed), [*server, f"  the tasks' own words cannot be read: {error}"]
    if not kept:
        hint = f"  no task left its reason below {place}: its pod was killed, or did not start"
        return list(run.failed), [*server, hint]
    words = []
    for failure in kept:
        first, *others = failure.reason.strip().splitlines() or [""]
        words += [f"  {failure.task} failed: {first}", *(f"    {line}" for line in others)]
        words += [f"  page: {failure.page}"] if failure.page else []
    return [failure.task for failure in kept], words
