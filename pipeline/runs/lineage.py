"""Where a model came from: from the bytes of a file back to the logs, out of ML Metadata."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
from typing import Any

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.components.artifact_json import SERVING
from ranklite.models.reporting.gate_words import brief
from ranklite.models.serving.versions import latest_version, main_model, model_files
from ranklite.pipeline.runs.nodes import current_name
from ranklite.pipeline.runs.store import (
    FINISHED,
    Run,
    all_runs,
    code_digest,
    document,
    node_of,
    open_store,
    seconds,
    stores,
    text_properties,
)

_CONFIGS = ("config", "custom_config", "schema_file", "module_file", "module_path")


@dataclasses.dataclass(frozen=True)
class Step:
    """One execution that a model descends from.

    Attributes:
      node: Its id in the pipeline.
      execution: Its id in ML Metadata.
      seconds: From its start to its last update.
      code_digest: Of its code, where it has one.
      config: Its main property.
      outputs: (key, id, URI) of what it made.
    """

    node: str
    execution: int
    seconds: float
    code_digest: str
    config: str
    outputs: list[tuple[str, int, str]]


@dataclasses.dataclass(frozen=True)
class Lineage:
    """What made a file.

    Attributes:
      path: The file.
      sha256: Of its bytes.
      size: In bytes.
      pipeline: Which pipeline made it.
      run: Number, name and start of the run that made it; None if the run is not in the store.
      config: Of the run that judged it; empty if it never came to the Pusher.
      steps: Its ancestors, in the order in which they ran.
      logs: `report.json` of LogExampleGen; empty where it was deleted.
      refused: Runs of the pipeline that pushed nothing, each with its reasons. A run that is
        under way is not told from one that was stopped.
    """

    path: str
    sha256: str
    size: int
    pipeline: str
    run: dict[str, Any] | None
    config: dict[str, Any]
    steps: list[Step]
    logs: dict[str, Any]
    refused: list[dict[str, Any]]


def trace(path: str, runs: str) -> Lineage:
    """Finds the model with the bytes of a file, and everything that it was made from.

    Args:
      path: An exported file, a pushed version, or the folder of all versions (the newest is taken).
      runs: Folder of all pipelines' runs.

    Raises:
      FileNotFoundError: There is no such file, no store, or no store knows the file.
    """
    file = model_file(path)
    with open(file, "rb") as opened:
        content = opened.read()
    digest = hashlib.sha256(content).hexdigest()
    paths = list(stores(runs).values())
    unread = []
    for store_path in paths:
        try:
            with open_store(store_path) as store:
                model = _model(store, digest)
                if model is not None:
                    return _lineage(file, digest, len(content), store, store_path, model)
        except OSError as error:
            unread.append(f"; {error}")
    searched = ", ".join(paths) or f"none in {runs!r} (name their folder with --runs)"
    raise FileNotFoundError(
        f"no run made {file}: searched {searched}. A model that never came to the Pusher is not "
        f"found once its artifacts were deleted{''.join(unread)}"
    )


def model_file(path: str) -> str:
    """The exported file that a file, a pushed version or the folder of all versions stands for.

    Raises:
      FileNotFoundError: There is none.
    """
    if os.path.isdir(path):
        version = path if model_files(path) else latest_version(path)
        path = main_model(version) if version else os.path.join(path, "model.*")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path} does not exist: give a model file or a pushed version")
    return path


def _model(store: metadata_store.MetadataStore, digest: str) -> int | None:
    """The id of the model with a digest: what a Pusher saw, else what lies in the artifacts."""
    for push in _pushes(store):
        for key, value in push.custom_properties.items():
            name, dot, target = key.partition(".")  # `sha256.onnx` of a further target
            if name == "sha256" and value.string_value == digest:
                return int(push.custom_properties[f"model_id{dot}{target}"].int_value)
    for artifact in sorted(store.get_artifacts_by_type("Model"), key=lambda a: a.id):
        files = glob.glob(os.path.join(glob.escape(artifact.uri), SERVING, "*"))
        if len(files) == 1 and _digest(files[0]) == digest:  # a checkpoint is more than one
            return int(artifact.id)
    return None


def _pushes(store: metadata_store.MetadataStore) -> list[mlmd.Artifact]:
    """What Pushers said, those first that pushed, then the oldest."""
    result = store.get_artifacts_by_type("PushedModel")
    return sorted(result, key=lambda a: (-a.custom_properties["pushed"].int_value, a.id))


def _config(store: metadata_store.MetadataStore, model: int) -> dict[str, Any]:
    """The configuration of the run whose Pusher saw a model."""
    for push in _pushes(store):
        ids = [v.int_value for k, v in push.custom_properties.items() if _is_model_id(k)]
        if model not in ids:
            continue
        events = store.get_events_by_artifact_ids([push.id])
        pushers = sorted({e.execution_id for e in events if e.type == mlmd.Event.OUTPUT})
        for execution in store.get_executions_by_id(pushers):
            if config := text_properties(execution).get("config"):
                loaded: dict[str, Any] = json.loads(config)
                return loaded
    return {}


def _is_model_id(key: str) -> bool:
    return key.partition(".")[0] == "model_id"


def _digest(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _lineage(
    file: str,
    digest: str,
    size: int,
    store: metadata_store.MetadataStore,
    store_path: str,
    model: int,
) -> Lineage:
    steps = _ancestors(store, model)
    name = os.path.basename(os.path.dirname(store_path))
    every = all_runs(store_path, name)
    maker = next(
        (
            _identity(run)
            for run in every
            if steps and any(s.execution_id == steps[-1].execution for s in run.stages.values())
        ),
        None,
    )
    logs: dict[str, Any] = {}
    for step in steps:
        for key, _, uri in step.outputs:
            if step.node == "LogExampleGen" and key == "report":
                logs = document(uri, "report.json")
    config = _config(store, model)
    return Lineage(file, digest, size, name, maker, config, steps, logs, refusals(every))


def _ancestors(store: metadata_store.MetadataStore, artifact: int) -> list[Step]:
    """All executions that an artifact descends from."""
    result: dict[int, Step] = {}
    open_artifacts, seen = {artifact}, {artifact}
    while open_artifacts:
        events = store.get_events_by_artifact_ids(sorted(open_artifacts))
        makers = {e.execution_id for e in events if e.type == mlmd.Event.OUTPUT} - set(result)
        open_artifacts = set()
        for execution in store.get_executions_by_id(sorted(makers)):
            if execution.last_known_state == mlmd.Execution.CACHED:
                continue  # a later run that was served it
            touching = store.get_events_by_execution_ids([execution.id])
            made = {
                e.artifact_id: next((s.key for s in e.path.steps if s.HasField("key")), "")
                for e in touching
                if e.type == mlmd.Event.OUTPUT
            }
            result[execution.id] = _step(store, execution, made)
            open_artifacts |= {e.artifact_id for e in touching if e.type == mlmd.Event.INPUT} - seen
        seen |= open_artifacts
    return [result[number] for number in sorted(result)]


def _step(
    store: metadata_store.MetadataStore, execution: mlmd.Execution, made: dict[int, str]
) -> Step:
    node = node_of(store, execution)
    properties = text_properties(execution)
    config = next((properties[key] for key in _CONFIGS if properties.get(key)), "")
    outputs = [(made[a.id], a.id, a.uri) for a in store.get_artifacts_by_id(sorted(made))]
    return Step(node, execution.id, seconds(execution), code_digest(properties), config, outputs)


def refusals(runs: list[Run]) -> list[dict[str, Any]]:
    """The runs that pushed nothing: who refused and why, or what stopped them."""
    result = []
    for run in runs:
        reasons = [
            f"{stage.node} {stage.state}: {stage.error or 'no message was kept'}"
            for stage in run.stages.values()
            if stage.state in ("failed", "canceled")
        ]
        pusher = run.stages.get("Pusher")
        pushed = pusher.document("pushed_model", "pushed.json") if pusher else {}
        reasons += [f"refused by {current_name(node)}" for node in pushed.get("refused_by", [])]
        failed = [v for v in pushed.get("verdicts", []) if not v["passed"]]
        reasons += [brief(verdict) for verdict in failed]
        if not reasons and (pusher is None or pusher.state not in FINISHED):
            reasons = [_unfinished(run, newest=run is runs[-1])]
        if reasons:
            result.append({**_identity(run), "reasons": reasons})
    return result


def _identity(run: Run) -> dict[str, Any]:
    started = run.started.isoformat(timespec="seconds")
    return {"number": run.number, "name": run.name, "started": started}


def _unfinished(run: Run, *, newest: bool) -> str:
    """How far a run came; runs of a pipeline exclude each other, so only the newest can go on."""
    begun = [stage.node for stage in run.stopped]
    where = f"in {', '.join(begun)}" if begun else "between two stages"
    return f"unfinished: {'stopped, or still under way,' if newest else 'stopped'} {where}"
