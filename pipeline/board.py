"""Shows all runs in one TensorBoard, under names that a person recognizes."""

from __future__ import annotations

import os
import pathlib

from pipeline.store import all_runs

MODEL_RUN = "model_run"  # key of the outputs that hold TensorBoard's logs
VIEW = ".tensorboard"


def arrange(runs: str) -> str:
    """Links the logs of every run as `<date> <pipeline> #<number>/<stage>`.

    Nothing is copied. A stage that a run took from the cache stands with the run that made it.

    Args:
      runs: Folder of all pipelines' runs.

    Returns:
      The folder of the links, for TensorBoard.

    Raises:
      FileNotFoundError: There are no runs.
    """
    root = pathlib.Path(runs)
    stores = sorted(root.glob("*/metadata.sqlite"))
    if not stores:
        raise FileNotFoundError(f"no runs in {runs!r}: `ranklite run` makes them")
    links: dict[pathlib.Path, pathlib.Path] = {}
    for store in stores:
        name = store.parent.name
        for run in all_runs(str(store), name):
            title = f"{run.started:%Y-%m-%d} {name} #{run.number}"
            for stage in run.stages.values():
                folder = stage.folder(MODEL_RUN)
                if folder and stage.state != "cached":
                    links[root / VIEW / title / stage.node.lower()] = pathlib.Path(folder)
    for path, target in links.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_symlink():
            path.symlink_to(os.path.relpath(target, path.parent))
    for path in (root / VIEW).glob("*/*"):
        if path.is_symlink() and not path.exists():  # its run was deleted
            path.unlink()
    return str(root / VIEW)
