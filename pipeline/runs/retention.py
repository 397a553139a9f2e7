"""Frees the space of old runs, and keeps what a later run or a question still needs."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import pathlib
import shutil

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.components import manifest
from ranklite.components.artifact_json import pushed_version
from ranklite.components.run_logs import FAILED
from ranklite.components.unfinished import FOLDER
from ranklite.pipeline.local.tensorboard import collected, mark_pruned
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.sealed_store import unsealed
from ranklite.pipeline.runs.store import Run, Stage, all_runs, open_store, run_contexts

# The next run is compared with the model pushed last; an unchanged one with the one before it.
PUSHED_RUNS = 2
# Small, and the answer to what an old run made of what, and why it was refused.
EVIDENCE = (
    "PushedModel",
    "Schema",
    "components.IngestReport",
    "components.RunPage",
    "components.StageReport",
)


@dataclasses.dataclass(frozen=True)
class Freed:
    """What was removed, or would be.

    Attributes:
      runs: Numbers of the runs whose artifacts go.
      leftovers: How many trainings were killed and are not resumed.
      kept: Numbers of older runs that stay, because the next run is compared with them.
      folders: Folders of artifacts.
      size: Their bytes.
    """

    runs: list[int]
    kept: list[int]
    folders: list[str]
    size: int
    leftovers: int = 0


def free(folders: Folders, keep: int, *, dry_run: bool = False) -> Freed:
    """Removes the artifacts that only runs before the newest ones used.

    An artifact stays if one of the runs that stay made it, took it from the cache or read it. Of
    the others the reports, pages and schemas stay. In ML Metadata every execution stays; artifacts
    that were removed are marked as deleted, so that no cache and no baseline offers them. Versions
    that were pushed lie outside of the artifacts and stay. What killed trainings resume from goes
    where the newest run has no such stage that did not finish.

    Args:
      folders: Of the pipeline; nothing outside of its folder of artifacts is removed.
      keep: How many of the newest runs stay.
      dry_run: Only say what would be removed.

    Raises:
      FileNotFoundError: Nothing was run there.
    """
    with contextlib.ExitStack() as stack:
        runs = all_runs(folders.metadata, folders.name)
        if not dry_run:
            stack.enter_context(unsealed(folders.metadata))
        store = stack.enter_context(open_store(folders.metadata))
        contexts = run_contexts(store, folders.name)
        newest = {run.number for run in runs[-keep:]}
        pushed = _pushed_last(runs)
        staying = newest | pushed
        needed: set[int] = set()
        result: set[int] = set()
        for run, context in zip(runs, contexts, strict=True):
            of_run = _artifacts(store, context)
            result |= of_run
            if run.number in staying:
                needed |= of_run
        evidence = {store.get_artifact_type(kind).id for kind in _known(store)}
        root = os.path.realpath(folders.artifacts)
        # Marked ones are those of a removal that was stopped halfway.
        doomed = [
            artifact
            for artifact in store.get_artifacts_by_id(sorted(result - needed))
            if artifact.type_id not in evidence
            and artifact.state != mlmd.Artifact.DELETED
            and pathlib.Path(os.path.realpath(artifact.uri)).is_relative_to(root)
            and os.path.realpath(artifact.uri) != root
        ]
        gone = [artifact.uri for artifact in doomed if os.path.exists(artifact.uri)]
        gone += [
            folder
            for run in runs
            if run.number not in staying
            for stage in run.stopped
            for folder in _unregistered(root, stage)
        ]
        gone += _put_aside(root)
        stopped = {stage.node for run in runs[-1:] for stage in run.stopped}
        leftovers = [
            str(folder)
            for folder in sorted(pathlib.Path(root).glob(f"*/*/{FOLDER}"))
            if folder.parent.parent.name not in stopped
        ]
        freed = Freed(
            runs=[run.number for run in runs if run.number not in staying]
            if doomed or gone
            else [],
            kept=sorted(pushed - newest),
            folders=[*gone, *leftovers],
            size=sum(map(_size, [*gone, *leftovers])),
            leftovers=len(leftovers),
        )
        if not dry_run:
            _mark(store, doomed, mlmd.Artifact.MARKED_FOR_DELETION)
            for folder in freed.folders:
                shutil.rmtree(folder)
                manifest.remove(folder)
            _mark(store, doomed, mlmd.Artifact.DELETED)
        return freed


def _unregistered(artifacts: str, stage: Stage) -> list[str]:
    """What a stage left that was killed or failed, in a folder `<node>/<output>/<execution>`."""
    outputs = os.path.join(glob.escape(artifacts), "*", "*", str(stage.execution_id))
    return glob.glob(outputs) + glob.glob(outputs + FAILED)


def _put_aside(artifacts: str) -> list[str]:
    """What was damaged, and made again since."""
    return glob.glob(os.path.join(glob.escape(artifacts), "*", "*", f"*{manifest.DAMAGED}"))


def free_collected(pipeline: str, keep: int, *, dry_run: bool = False) -> Freed:
    """Removes TensorBoard's logs of runs that were fetched from Kubeflow before the newest ones.

    Their pages stay. What is removed here is not fetched again (see `kubeflow.collect`).

    Args:
      pipeline: The pipeline's folder.
      keep: How many of the newest stay.
      dry_run: Only say what would be removed.
    """
    logs: dict[int, list[pathlib.Path]] = {}
    runs = sorted(collected(pathlib.Path(pipeline)), key=lambda run: run.started)
    for run in runs[:-keep]:
        if result := sorted(path for path in run.folder.iterdir() if path.is_dir()):
            logs[run.number] = result
    folders = [str(path) for result in logs.values() for path in result]
    freed = Freed(runs=list(logs), kept=[], folders=folders, size=sum(map(_size, folders)))
    if not dry_run:
        for result in logs.values():
            mark_pruned(result[0].parent)
            for path in result:
                shutil.rmtree(path)
    return freed


def _pushed_last(runs: list[Run]) -> set[int]:
    """The newest runs that pushed a version of their own."""
    result: dict[str, int] = {}
    for run in reversed(runs):
        pusher = run.stages.get("Pusher")
        folder = pusher.folder("pushed_model") if pusher else None
        if folder and pushed_version(folder):
            result.setdefault(folder, run.number)
    return set(list(result.values())[:PUSHED_RUNS])


def _artifacts(store: metadata_store.MetadataStore, context: mlmd.Context) -> set[int]:
    """Ids of what a run read, made, or took from the cache."""
    executions = [execution.id for execution in store.get_executions_by_context(context.id)]
    events = store.get_events_by_execution_ids(executions) if executions else []
    return {event.artifact_id for event in events}


def _known(store: metadata_store.MetadataStore) -> list[str]:
    return [kind.name for kind in store.get_artifact_types() if kind.name in EVIDENCE]


def _mark(store: metadata_store.MetadataStore, artifacts: list[mlmd.Artifact], state: int) -> None:
    for artifact in artifacts:
        artifact.state = state
    store.put_artifacts(artifacts)


def _size(folder: str) -> int:
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())
