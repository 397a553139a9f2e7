"""Shows all runs in one TensorBoard, under names that a person recognizes."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re

from ranklite.components.run_logs import FAILED, MODEL_RUN
from ranklite.models.files import write
from ranklite.pipeline.runs.every_store import every_run
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.names import LONGEST
from ranklite.pipeline.runs.store import FINISHED, Stage

VIEW = ".tensorboard"
COLLECTED = "collected"  # runs that were fetched from Kubeflow, in a pipeline's folder
RUN_FILE = "run.json"


@dataclasses.dataclass(frozen=True)
class Collected:
    """A run that was fetched from Kubeflow.

    Attributes:
      pipeline: The pipeline's name.
      number: Counted in the order of being fetched, of those that came together from the oldest
        one.
      started: ISO time in UTC.
      folder: What was fetched: TensorBoard's logs, a folder a stage, and the page.
      pruned: Whether its logs were removed here.
      name: What it was called on Kubeflow; empty where that is not known.
    """

    pipeline: str
    number: int
    started: str
    folder: pathlib.Path
    pruned: bool
    name: str = ""

    @property
    def title(self) -> str:
        """What it is called: `2026-11-22 movielens kubeflow run 7`, with its name if it has one.

        A name is free text on Kubeflow; here it is part of a folder's name and of an address.
        """
        title = f"{self.started[:10]} {self.pipeline} kubeflow run {self.number}"
        name = re.sub(r"[^A-Za-z0-9._-]+", " ", self.name).strip()[:LONGEST].strip()
        return f"{title} {name}" if name else title


def collected(pipeline: pathlib.Path) -> list[Collected]:
    """The runs of a pipeline that were fetched from Kubeflow, by their numbers."""
    result = []
    for path in pipeline.glob(f"{COLLECTED}/*/{RUN_FILE}"):
        run = json.loads(path.read_text(encoding="utf-8"))
        number, removed = run.get("number", 0), run.get("pruned", False)
        name = run.get("name", "")
        result.append(Collected(pipeline.name, number, run["started"], path.parent, removed, name))
    return sorted(result, key=lambda run: run.number)


def training_logs(stage: Stage, artifacts: str) -> str | None:
    """The folder with TensorBoard's logs of a stage, or None if it has none.

    TFX registers outputs when a stage has finished; before, and after a failure, they are found
    where it told the stage to write them.

    Args:
      stage: Finished, failed, killed, or running now.
      artifacts: The pipeline's folder of artifacts.
    """
    if stage.state in FINISHED:
        return stage.folder(MODEL_RUN)
    pending = os.path.join(artifacts, stage.node, MODEL_RUN, str(stage.execution_id))
    return next(filter(os.path.isdir, (pending + FAILED, pending)), None)


def mark_pruned(folder: pathlib.Path) -> None:
    """Notes that the logs of a fetched run were removed, so that they are not fetched again."""
    file = folder / RUN_FILE
    reported = json.loads(file.read_text(encoding="utf-8"))
    write(str(file), json.dumps({**reported, "pruned": True}).encode())


def arrange(runs: str) -> str:
    """Links the logs of every run as `<date> <pipeline> run <number> <name>/<stage>`.

    Nothing is copied. A stage that a run took from the cache stands with the run that made it. Runs
    that were fetched from Kubeflow have a number of their own. A stage that runs now is there too.

    Args:
      runs: Folder of all pipelines' runs.

    Returns:
      The folder of the links, for TensorBoard.

    Raises:
      FileNotFoundError: There are no runs.
      OSError: A store could not be read.
    """
    root = pathlib.Path(runs)
    local = every_run(runs)
    fetched = [
        run for path in sorted(root.glob(f"*/{COLLECTED}")) for run in collected(path.parent)
    ]
    if not local and not fetched:
        raise FileNotFoundError(f"no runs in {runs!r}: `ranklite run` makes them")
    links: dict[pathlib.Path, pathlib.Path] = {}
    for name, pipeline_runs in local.items():
        for run in pipeline_runs:
            for stage in run.stages.values():
                folder = training_logs(stage, Folders(runs, name).artifacts)
                if folder and stage.state != "cached":
                    links[root / VIEW / run.title / stage.node.lower()] = pathlib.Path(folder)
    for one in fetched:
        for stage_logs in one.folder.iterdir():
            if stage_logs.is_dir():
                links[root / VIEW / one.title / stage_logs.name.lower()] = stage_logs
    for path, target in links.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() and path.resolve() != target.resolve():
            path.unlink()  # the stage failed, and its logs were put aside
        if not path.is_symlink():
            path.symlink_to(os.path.relpath(target, path.parent))
    for path in (root / VIEW).glob("*/*"):
        if path.is_symlink() and path not in links:  # its run was deleted, or got a name
            path.unlink()
    for path in (root / VIEW).glob("*"):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return str(root / VIEW)
