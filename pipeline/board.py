"""Shows all runs in one TensorBoard, under names that a person recognizes."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import pathlib

from pipeline.files import write
from pipeline.store import all_runs, stores

MODEL_RUN = "model_run"  # key of the outputs that hold TensorBoard's logs
VIEW = ".tensorboard"
COLLECTED = "collected"  # runs that were fetched from Kubeflow, in a pipeline's folder
RUN_FILE = "run.json"


@dataclasses.dataclass(frozen=True)
class Collected:
    """A run that was fetched from Kubeflow.

    Attributes:
      title: `<date> <pipeline> kubeflow run <number>`, counted from the oldest one.
      folder: What was fetched: TensorBoard's logs, a folder a stage, and the page.
    """

    title: str
    folder: pathlib.Path


def collected(pipeline: pathlib.Path) -> list[Collected]:
    """The runs of a pipeline that were fetched from Kubeflow, the oldest first."""
    found = []
    for path in pipeline.glob(f"{COLLECTED}/*/{RUN_FILE}"):
        started = json.loads(path.read_text(encoding="utf-8"))["started"]
        found.append((datetime.datetime.fromisoformat(started), path.parent))
    return [
        Collected(f"{started:%Y-%m-%d} {pipeline.name} kubeflow run {number}", folder)
        for number, (started, folder) in enumerate(sorted(found), 1)
    ]


def mark_pruned(folder: pathlib.Path) -> None:
    """Notes that the logs of a fetched run were removed, so that they are not fetched again."""
    file = folder / RUN_FILE
    said = json.loads(file.read_text(encoding="utf-8"))
    write(str(file), json.dumps({**said, "pruned": True}).encode())


def pruned(folder: pathlib.Path) -> bool:
    """Whether the logs of a fetched run were removed here."""
    file = folder / RUN_FILE
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("pruned", False)


def arrange(runs: str) -> str:
    """Links the logs of every run as `<date> <pipeline> run <number>/<stage>`.

    Nothing is copied. A stage that a run took from the cache stands with the run that made it. Runs
    that were fetched from Kubeflow have a number of their own. (No `#`: TensorBoard's projector
    puts a run's name into an address as it is.)

    Args:
      runs: Folder of all pipelines' runs.

    Returns:
      The folder of the links, for TensorBoard.

    Raises:
      FileNotFoundError: There are no runs.
    """
    root = pathlib.Path(runs)
    local = stores(runs)
    fetched = [
        run for path in sorted(root.glob(f"*/{COLLECTED}")) for run in collected(path.parent)
    ]
    if not local and not fetched:
        raise FileNotFoundError(f"no runs in {runs!r}: `ranklite run` makes them")
    links: dict[pathlib.Path, pathlib.Path] = {}
    for name, store in local.items():
        for run in all_runs(store, name):
            title = f"{run.started:%Y-%m-%d} {name} run {run.number}"
            for stage in run.stages.values():
                folder = stage.folder(MODEL_RUN)
                if folder and stage.state != "cached":
                    links[root / VIEW / title / stage.node.lower()] = pathlib.Path(folder)
    for one in fetched:
        for stage_logs in one.folder.iterdir():
            if stage_logs.is_dir():
                links[root / VIEW / one.title / stage_logs.name.lower()] = stage_logs
    for path, target in links.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() and path.resolve() != target.resolve():
            path.unlink()  # an older run was fetched, and the numbers moved
        if not path.is_symlink():
            path.symlink_to(os.path.relpath(target, path.parent))
    for path in (root / VIEW).glob("*/*"):
        if path.is_symlink() and path not in links:  # its run was deleted
            path.unlink()
    for path in (root / VIEW).glob("*"):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return str(root / VIEW)
