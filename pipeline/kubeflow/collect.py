"""Fetches what there is to see of the runs on Kubeflow: TensorBoard's logs and pages."""

from __future__ import annotations

import json
import pathlib
from collections import defaultdict

from ranklite.components.run_logs import EXECUTION, MODEL_RUN
from ranklite.pipeline.files import write
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.local.tensorboard import COLLECTED, RUN_FILE, collected

PAGE = "page"  # key of RunReport's output


def collect(artifacts: str, pipeline: str) -> tuple[int, int]:
    """Copies the logs and pages of all runs that are not here yet, or have grown.

    A run whose logs `ranklite clean` removed here is left alone.

    Kubeflow keeps an output below `<run>/<task>/[<execution>/]<output>`; which folders come before
    depends on its version.

    Args:
      artifacts: URI of the pipeline's artifacts.
      pipeline: The pipeline's folder here; a run goes into `collected/<run>`.

    Returns:
      How many runs there are, and how many files were copied.

    Raises:
      FileNotFoundError: There is no run.
    """
    runs: dict[str, list[tuple[storage.Entry, str]]] = defaultdict(list)
    for entry in storage.entries(artifacts):
        if place := _place(entry.name):
            run, target = place
            runs[run].append((entry, target))
    if not runs:
        raise FileNotFoundError(
            f"no TensorBoard logs below {artifacts}: no run has come to its training there yet, or "
            "the storage let them expire"
        )
    copied = 0
    known = {run.folder: run for run in collected(pathlib.Path(pipeline))}
    newest = max((run.number for run in known.values()), default=0)
    started = {run: min(entry.written for entry, _ in result) for run, result in runs.items()}
    for run in sorted(runs, key=lambda run: started[run]):
        folder = pathlib.Path(pipeline, COLLECTED, run)
        if folder in known and known[folder].pruned:
            continue
        for entry, target in runs[run]:
            copied += _fetch(artifacts, entry, folder / target)
        if folder not in known:  # a number stays, also where an older run comes later
            newest += 1
            about = {"number": newest, "started": started[run].isoformat()}
            write(str(folder / RUN_FILE), json.dumps(about).encode())
    return len(runs), copied


def _place(name: str) -> tuple[str, str] | None:
    """The run of a file, and where it goes in that run's folder; None for any other file."""
    parts = name.split("/")
    for key in (MODEL_RUN, PAGE):
        if key not in parts:
            continue
        above, below = parts[: parts.index(key)], parts[parts.index(key) + 1 :]
        if above and EXECUTION.fullmatch(above[-1]):
            above.pop()
        if len(above) < 2 or not below or ".." in parts:
            return None
        *_, run, task = above
        return run, "/".join(below if key == PAGE else [task, *below])
    return None


def _fetch(artifacts: str, entry: storage.Entry, target: pathlib.Path) -> bool:
    """Copies a file unless it is here with as many bytes: TensorBoard's files only grow."""
    if target.is_file() and target.stat().st_size == entry.size:
        return False
    content = storage.read(storage.join(artifacts, entry.name))
    if content is None:  # it expired meanwhile
        return False
    write(str(target), content)  # TensorBoard may be reading it
    return True
