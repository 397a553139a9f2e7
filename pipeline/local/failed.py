"""Why a run failed: in the store, on a page, in words."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.local.causes import causes
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import Run, count_runs, latest_run, note_failure

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

_log = logging.getLogger(__name__)


def explained(
    config: RunConfig,
    folders: Folders,
    new: Run,
    failed: tuple[str, str] | None,
    error: BaseException,
    log: str,
    dag: Pipeline,
) -> str:
    """What a person is told of a run that failed: stage, cause, log, page, and what helps.

    Args:
      config: Of the run.
      folders: Where it wrote.
      new: Its number and name.
      failed: The stage, and the name of its log; None where it was none.
      error: What was raised.
      log: Path of the log.
      dag: The pipeline.
    """
    stage = failed[0] if failed else None
    message = error_message(error)
    lines = [f"{stage or 'the run'} failed: {message}", *causes(message, folders.root)]
    lines.append(f"The log is {log}. Rerun the command to resume from the last completed stage.")
    page = note_failed(config, folders, new, stage, message, log, dag) if stage else None
    return "\n".join([*lines, f"The page of the run is {page}."] if page else lines)


def note_failed(
    config: RunConfig,
    folders: Folders,
    new: Run,
    stage: str,
    error: str,
    log: str,
    dag: Pipeline,
) -> str | None:
    """Keeps why a run failed in the store and on a page; returns the page's path."""
    try:
        if count_runs(folders.metadata, config.name) < new.number:
            return None  # it failed before TFX had registered it
        note_failure(folders.metadata, config.name, stage, error)
        from ranklite.pipeline.local.failure_page import write_page

        run = dataclasses.replace(latest_run(folders.metadata, config.name), name=new.name)
        nodes = [component.id for component in dag.components]
        return write_page(config, folders, run, failed=stage, error=error, log=log, stages=nodes)
    except Exception:  # the error itself is what counts
        _log.exception("the reason could not be kept")
        return None


def error_message(error: BaseException) -> str:
    """The words of the error that started it; Beam wraps it in its own, with a trace."""
    text = str(error)
    marker = " [while running"
    return text[: text.index(marker)] if marker in text else text or type(error).__name__
