"""Fetches what there is to see of the runs on Kubeflow: TensorBoard's logs and pages."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections import defaultdict

from ranklite.components.run_logs import EXECUTION, MODEL_RUN
from ranklite.models.files import write
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.run_record import FAILURE, PAGE, REASON, RECORD, Failure, Record
from ranklite.pipeline.local.tensorboard import COLLECTED, RUN_FILE, collected

_REPORT = "page"  # key of RunReport's output
_FAILED = "failed-"  # what names of a failed task's files begin with here


@dataclasses.dataclass(frozen=True)
class Failed:
    """A run that failed.

    Attributes:
      title: What it is called here.
      failure: Which task, and why.
      page: Path of the page here; None where there is none.
    """

    title: str
    failure: Failure
    page: str | None


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What was there.

    Attributes:
      runs: How many runs.
      files: How many files were copied.
      failed: The failures among what was copied.
    """

    runs: int
    files: int
    failed: list[Failed]


def collect(artifacts: str, pipeline: str) -> Fetched:
    """Copies the logs and pages of all runs that are not here yet, or have grown.

    A run whose logs `ranklite clean` removed here is left alone.

    Kubeflow keeps an output below `<run>/<task>/[<execution>/]<output>`; which folders come before
    depends on its version.

    Args:
      artifacts: URI of the pipeline's artifacts.
      pipeline: The pipeline's folder here; a run goes into `collected/<run>`.

    Raises:
      FileNotFoundError: There is no run.
      StorageError: The storage refuses, or cannot be reached.
    """
    runs: dict[str, list[tuple[storage.Entry, str]]] = defaultdict(list)
    for entry in storage.entries(artifacts):
        if place := _place(entry.name):
            run, target = place
            runs[run].append((entry, target))
    if not runs:
        raise FileNotFoundError(
            f"no runs below {artifacts}: none has started there yet, or the storage let them expire"
        )
    copied, new = 0, set[pathlib.Path]()
    here = pathlib.Path(pipeline)
    known = {run.folder: run for run in collected(here)}
    newest = max((run.number for run in known.values()), default=0)
    started = {run: min(entry.written for entry, _ in result) for run, result in runs.items()}
    for run in sorted(runs, key=lambda run: started[run]):
        folder = pathlib.Path(pipeline, COLLECTED, run)
        if folder in known and known[folder].pruned:
            continue
        for entry, target in runs[run]:
            if _fetch(artifacts, entry, folder / target):
                copied += 1
                new.add(folder / target)
        _remove_resolved(folder, {target for _, target in runs[run]})
        if folder not in known:  # a number stays, also where an older run comes later
            newest += 1
            about = {"number": newest, "started": started[run].isoformat(), "name": _name(folder)}
            write(str(folder / RUN_FILE), json.dumps(about).encode())
    return Fetched(len(runs), copied, _failed(here, new))


def _place(name: str) -> tuple[str, str] | None:
    """The run of a file, and where it goes in that run's folder; None for any other file."""
    parts = name.split("/")
    if parts[-1] == RECORD and len(parts) > 1:
        return parts[-2], RECORD
    for key in (MODEL_RUN, _REPORT, FAILURE):
        if key not in parts:
            continue
        above, below = parts[: parts.index(key)], parts[parts.index(key) + 1 :]
        if above and EXECUTION.fullmatch(above[-1]):
            above.pop()
        if len(above) < 2 or not below:
            return None
        *_, run, task = above
        if key == FAILURE:
            return (run, _failed_file(task, below[-1])) if below[-1] in (REASON, PAGE) else None
        return run, "/".join(below if key == _REPORT else [task, *below])
    return None


def _failed_file(task: str, name: str) -> str:
    return f"{_FAILED}{task}{pathlib.PurePath(name).suffix}"


def _fetch(artifacts: str, entry: storage.Entry, target: pathlib.Path) -> bool:
    """Copies a file unless it is here with as many bytes: TensorBoard's files only grow."""
    if target.is_file() and target.stat().st_size == entry.size:
        return False
    content = storage.read(storage.join(artifacts, entry.name))
    if content is None:  # it expired meanwhile
        return False
    write(str(target), content)  # TensorBoard may be reading it
    return True


def _remove_resolved(folder: pathlib.Path, targets: set[str]) -> None:
    """A task that failed and succeeded when it was repeated did not fail."""
    for path in folder.glob(f"{_FAILED}*"):
        if path.name not in targets:
            path.unlink()


def _name(folder: pathlib.Path) -> str:
    """What the run was called on Kubeflow, where that says more than its id."""
    path = folder / RECORD
    if not path.is_file():
        return ""
    record = Record.from_json(path.read_bytes())
    return "" if record.name == record.run_id else record.name


def _failed(pipeline: pathlib.Path, new: set[pathlib.Path]) -> list[Failed]:
    """The failures whose reason is new here, by the numbers of their runs."""
    result = []
    for run in collected(pipeline):
        for path in sorted(run.folder.glob(_failed_file("*", REASON))):
            if path in new:
                page = path.with_suffix(pathlib.PurePath(PAGE).suffix)
                failure = Failure(**json.loads(path.read_text(encoding="utf-8")))
                result.append(Failed(run.title, failure, str(page) if page.is_file() else None))
    return result
