"""Runs the pipeline on this machine with TFX's LocalDagRunner."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import logging
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from ranklite.components.log_example_gen.config import NEWEST
from ranklite.components.run_report.current import current
from ranklite.models.reporting.facts import CurrentRun
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.local.progress import Display, StageProgress
from ranklite.pipeline.runs.folders import DEFAULT_RUNS, Folders
from ranklite.pipeline.runs.logs import new_folder, stage_logs
from ranklite.pipeline.runs.names import check_name, other_task
from ranklite.pipeline.runs.store import (
    Run,
    Stage,
    all_runs,
    count_runs,
    latest_run,
    note_failure,
    note_name,
)

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run made.

    Attributes:
      config: Its configuration.
      folders: Where it put things.
      run: Its stages by node id, with their state and outputs, its number and name.
      seconds: Wall-clock time of each stage, where known.
    """

    config: RunConfig
    folders: Folders
    run: Run
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def stages(self) -> dict[str, Stage]:
        """Its stages by node id."""
        return self.run.stages

    @property
    def pushed(self) -> str | None:
        """The folder of the version that the Pusher made or kept, or None if a gate refused."""
        from ranklite.components.artifact_json import pushed_version

        folder = self.stages["Pusher"].folder("pushed_model") if "Pusher" in self.stages else None
        return pushed_version(folder) if folder else None


class StageFailed(ValueError):
    """A stage of the pipeline failed; the message says which, why and where the log is."""


@contextlib.contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Keeps a second run of the same pipeline out while one is under way."""
    with open(os.path.join(folder, "run.lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another run of this pipeline is under way in {folder}; wait for it, or give this "
                "one another folder with --runs"
            ) from error
        yield


def outcome(config: RunConfig, folders: Folders) -> Outcome:
    """What the newest run of a pipeline made.

    Raises:
      FileNotFoundError: It never ran there.
    """
    return Outcome(config, folders, latest_run(folders.metadata, config.name))


def checked_data(config: RunConfig, folders: Folders, data: str | None, span: str) -> str:
    """The folder of the log, generated where the configuration asks for it; its files are there.

    The arguments are those of `run`, and so is what is raised.
    """
    data_root = _data_root(config, folders, data)
    config.check_files(data_root, span)
    return data_root


def _data_root(config: RunConfig, folders: Folders, data: str | None) -> str:
    if data is not None:
        if not os.path.isdir(data):
            raise FileNotFoundError(f"--data {data!r} is not a folder")
        return os.path.abspath(data)
    if not config.synthetic:
        raise ValueError(
            f"the configuration {config.name!r} reads logs: name their folder with --data "
            "(make run CONFIG=... DATA=...)"
        )
    from ranklite.pipeline.local.synthetic import generate

    generate(folders.synthetic)
    return folders.synthetic


def run(
    config: str | RunConfig,
    data: str | None = None,
    runs: str = DEFAULT_RUNS,
    *,
    span: str = NEWEST,
    name: str | None = None,
    verbose: bool = False,
    enable_cache: bool = True,
    out: TextIO | None = None,
) -> Outcome:
    """Runs the whole pipeline; finished stages with nothing new are served from the cache.

    A run that was stopped or killed is continued by running the same command again.

    Args:
      config: The configuration, or the path of its YAML file.
      data: Folder of the logs; None generates the synthetic ones where the configuration is theirs.
      runs: Folder for everything that runs write.
      span: The newest span of the log to read; the newest there is where it is empty.
      name: What the run is to be called beside its number.
      verbose: Show the logs of TFX on the terminal too.
      enable_cache: Serve unchanged stages from the cache.
      out: Where progress lines go; None is the standard output.

    Returns:
      What the run made.

    Raises:
      ConfigError: The configuration is wrong.
      ValueError: The name is not allowed, or taken.
      StageFailed: A stage failed; everything after it did not run.
      FileNotFoundError: The data folder does not exist.

    Example:
        outcome = ranklite.run("configs/synthetic.yaml")
        scorer = ranklite.Scorer(outcome.pushed)
    """
    if not isinstance(config, RunConfig):
        config = load_config(config)
    folders = Folders(runs, config.name)
    os.makedirs(folders.root, exist_ok=True)
    with exclusive(folders.root):
        new = _new_run(config, folders, name)
        data_root = checked_data(config, folders, data, span)
        for line in other_task(config, _push_dir(config, folders)):
            print(line, file=out or sys.stdout)
        return _run(config, folders, new, data_root, span, verbose, enable_cache, out)


def _push_dir(config: RunConfig, folders: Folders) -> str:
    return config.push.directory or folders.pushed


def _new_run(config: RunConfig, folders: Folders, name: str | None) -> Run:
    number = count_runs(folders.metadata, config.name) + 1
    if name is not None:
        before = all_runs(folders.metadata, config.name) if number > 1 else []
        check_name(name, config.name, before)
    started = datetime.datetime.now(datetime.timezone.utc)
    return Run(config.name, number, started, {}, name)


def build(
    config: RunConfig, folders: Folders, data_root: str, span: str, enable_cache: bool = True
) -> Pipeline:
    """The pipeline of a run on this machine, on data that were checked."""
    from ranklite.pipeline.history import StoreHistory
    from ranklite.pipeline.pipeline import create_pipeline

    return create_pipeline(
        config,
        data_root=data_root,
        pipeline_root=folders.artifacts,
        push_dir=_push_dir(config, folders),
        rejects_dir=folders.rejects,
        work_dir=os.path.join(folders.artifacts, ".search"),
        history=StoreHistory(),
        span=span,
        metadata_path=folders.metadata,
        enable_cache=enable_cache,
    )


def _run(
    config: RunConfig,
    folders: Folders,
    new: Run,
    data_root: str,
    span: str,
    verbose: bool,
    enable_cache: bool,
    out: TextIO | None,
) -> Outcome:
    out = out or sys.stdout
    print(f"{config.name}: starting TFX (about 15 s)", file=out, flush=True)
    started = time.monotonic()
    with stage_logs(new_folder(folders.logs), verbose=verbose) as logs:
        dag = build(config, folders, data_root, span, enable_cache)
        from tfx.orchestration.local.local_dag_runner import LocalDagRunner

        # What is logged to the terminal would tear a line that is drawn on.
        display = Display(out, live=out.isatty() and not verbose)

        def switch(stage: str) -> None:
            logs.switch(stage)
            if not stage and len(progress.seconds) == 1:  # TFX registers a run with its first one
                _note_name(folders, new)

        progress = StageProgress(len(dag.components), display, switch)
        try:
            with progress.watching(), current(CurrentRun(new.title, new.started)):
                LocalDagRunner().run(dag)
        except Exception as error:
            _log.exception("%s failed", progress.current)
            log, message = str(pathlib.Path(logs.path)), error_message(error)
            lines = [
                f"{progress.current} failed: {message}",
                f"The log is {log}. Rerun the command to resume from the last completed stage.",
            ]
            if progress.current:
                page = _note_failure(config, folders, new, progress.current, message, log, dag)
                lines += [f"The page of the run is {page}."] if page else []
            raise StageFailed("\n".join(lines)) from error
        finally:
            _note_name(folders, new)
    result = outcome(config, folders)
    progress.seconds["total"] = time.monotonic() - started
    return dataclasses.replace(result, seconds=progress.seconds)


def _note_name(folders: Folders, run: Run) -> None:
    if run.name:
        with contextlib.suppress(OSError):  # the run itself is what counts
            note_name(folders.metadata, run.pipeline, run.number, run.name)


def _note_failure(
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
