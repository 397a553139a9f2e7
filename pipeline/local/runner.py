"""Runs the pipeline on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import functools
import logging
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from ranklite.components.engines.current import used
from ranklite.components.log_example_gen.config import NEWEST
from ranklite.components.log_example_gen.input_files import input_digest
from ranklite.components.run_report.current import current
from ranklite.components.trainer.expected import expected
from ranklite.models.compression.file_size import Expected
from ranklite.models.reporting.facts import CurrentRun
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.local import standing
from ranklite.pipeline.local.failed import explained
from ranklite.pipeline.local.progress import Display
from ranklite.pipeline.local.stage_processes import StageProcesses
from ranklite.pipeline.local.stages import Stages
from ranklite.pipeline.runs.folders import DEFAULT_RUNS, Folders
from ranklite.pipeline.runs.logs import new_folder, stage_logs
from ranklite.pipeline.runs.names import check_name, other_task
from ranklite.pipeline.runs.sealed_store import mended, unsealed
from ranklite.pipeline.runs.store import Run, Stage, all_runs, count_runs, latest_run, note_name

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

_ALONE = ("FileValidator", "BudgetSearch")  # they time files
_LOCK_SECONDS = 2.0  # in which the stages of a run that was killed end as well

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run made.

    Attributes:
      config: Its configuration.
      folders: Where it put things.
      run: Its stages by node id, with their state and outputs, its number and name.
      seconds: Wall-clock time of each stage, where known.
      peaks: The most memory, bytes, of each stage that ran in a process of its own.
    """

    config: RunConfig
    folders: Folders
    run: Run
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    peaks: dict[str, int] = dataclasses.field(default_factory=dict)

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
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise ValueError(
                        f"another run of this pipeline is under way in {folder}; wait for it, or "
                        "give this one another folder with --runs"
                    ) from error
                time.sleep(0.05)
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
    if config.engine:
        config.engine.check()
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
    jobs: int = 0,
    out: TextIO | None = None,
) -> Outcome:
    """Runs the whole pipeline; finished stages with nothing new are served from the cache.

    Where nothing changed at all since the last run, that one's outcome stands and none is started,
    unless a name is given or the cache is off. The same command resumes one that was stopped.

    Args:
      config: The configuration, or the path of its YAML file.
      data: Folder of the logs; None generates the synthetic ones where the configuration is theirs.
      runs: Folder for everything that runs write.
      span: The newest span of the log to read; the newest there is where it is empty.
      name: What the run is to be called beside its number.
      verbose: Show the logs of TFX on the terminal too.
      enable_cache: Serve unchanged stages from the cache.
      jobs: How many stages run at the same time, each in a process of its own, forked off this one:
        not once TensorFlow works here. 0 runs all in this process, one after the other.
      out: Where progress lines go; None is the standard output.

    Returns:
      What the run made.

    Raises:
      ConfigError: The configuration is wrong.
      ValueError: The name is not allowed, or taken; or TFX cannot read below the folder of runs.
      StageFailed: A stage failed; everything after it did not run.
      FileNotFoundError: The data folder does not exist.

    Example:
        outcome = ranklite.run("configs/synthetic.yaml")
        scorer = ranklite.Scorer(outcome.pushed)
    """
    if not isinstance(config, RunConfig):
        config = load_config(config)
    folders = Folders(runs, config.name)
    folders.check()
    os.makedirs(folders.root, exist_ok=True)
    started = time.monotonic()
    with exclusive(folders.root):
        for line in mended(folders):
            print(line, file=out or sys.stdout)
        new = _new_run(config, folders, name)
        data_root = checked_data(config, folders, data, span)
        push_dir = _push_dir(config, folders)
        inputs = standing.inputs(config, data_root, push_dir)
        if inputs and enable_cache and name is None:
            log = functools.partial(input_digest, config.ingest.at(span), data_root)
            last = standing.standing_run(folders, inputs, log, push_dir)
            if last is not None:
                print(
                    f"{config.name}: nothing changed since run {last.number}, which stands "
                    "(--no-cache runs all stages, --name a run that is kept)",
                    file=out or sys.stdout,
                )
                return Outcome(config, folders, last, {"total": time.monotonic() - started})
        for line in other_task(config, push_dir):
            print(line, file=out or sys.stdout)
        with unsealed(folders.metadata):
            made = _run(config, folders, new, data_root, span, verbose, enable_cache, jobs, out)
        if inputs:
            standing.keep(folders, inputs, made.run, push_dir)
        return made


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
    jobs: int,
    out: TextIO | None,
) -> Outcome:
    out = out or sys.stdout
    print(f"{config.name}: starting TFX (about 15 s)", file=out, flush=True)
    started = time.monotonic()
    with stage_logs(new_folder(folders.logs), verbose=verbose) as logs:
        dag = build(config, folders, data_root, span, enable_cache)
        from ranklite.pipeline.local.dag_runner import DagRunner, execute

        # What is logged to the terminal would tear a line that is drawn on.
        display = Display(out, live=out.isatty() and not verbose)
        named = functools.partial(_note_name, folders, new)
        stages = Stages(len(dag.components), display, named)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(current(CurrentRun(new.title, new.started)))
                stack.enter_context(used(config.engine))
                stack.enter_context(expected(Expected.of(config.model_dump(mode="json"))))
                processes = None
                if jobs:
                    processes = StageProcesses(execute, logs.switch, logs.leave)
                    stack.enter_context(processes)
                stack.enter_context(stages.watching())
                DagRunner(stages, logs.switch, processes, jobs, _ALONE).run(dag)
        except Exception as error:
            failed = stages.failed
            _log.exception("%s failed", failed and failed[0])
            path = str(pathlib.Path(logs.of(failed[1] if failed else "")))
            words = explained(config, folders, new, failed, error, path, dag)
            raise StageFailed(words) from error
        finally:
            _note_name(folders, new)
    result = outcome(config, folders)
    seconds = {**stages.seconds, "total": time.monotonic() - started}
    return dataclasses.replace(result, seconds=seconds, peaks=stages.peaks)


def _note_name(folders: Folders, run: Run) -> None:
    if run.name:
        with contextlib.suppress(OSError):  # the run itself is what counts
            note_name(folders.metadata, run.pipeline, run.number, run.name)
