"""Where a model came from: from the bytes of a file back to the logs, out of ML Metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import Any

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from models.bundle import MODEL_FILE, latest_version
from pipeline.store import Run, all_runs, document, open_store, seconds, stores, text_properties
from pipeline.tables import table

TFLITE_PATTERN = "Format-Serving/tflite"  # below the URI of a Model
_CONFIGS = ("config", "custom_config", "schema_file", "module_file", "module_path")
_MOST = 100  # characters of a configuration in the table


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
      steps: Its ancestors, in the order in which they ran.
      logs: `report.json` of LogExampleGen; empty where it was deleted.
      refused: Runs of the pipeline that pushed nothing, each with its reasons.
    """

    path: str
    sha256: str
    size: int
    pipeline: str
    run: dict[str, Any] | None
    steps: list[Step]
    logs: dict[str, Any]
    refused: list[dict[str, Any]]


def trace(path: str, runs: str) -> Lineage:
    """Finds the model with the bytes of a file, and everything that it was made from.

    Args:
      path: A TFLite file, a pushed version, or the folder of all versions (the newest is taken).
      runs: Folder of all pipelines' runs.

    Raises:
      FileNotFoundError: There is no such file, no store, or no store knows the file.
    """
    file = model_file(path)
    with open(file, "rb") as opened:
        content = opened.read()
    digest = hashlib.sha256(content).hexdigest()
    paths = list(stores(runs).values())
    for store_path in paths:
        with open_store(store_path) as store:
            for artifact in sorted(store.get_artifacts_by_type("Model"), key=lambda a: a.id):
                if _digest(os.path.join(artifact.uri, TFLITE_PATTERN)) == digest:
                    return _lineage(file, digest, len(content), store, store_path, artifact)
    searched = ", ".join(paths) or f"none in {runs!r} (name their folder with --runs)"
    raise FileNotFoundError(
        f"no run made {file}: searched {searched}. A model whose artifacts were deleted is not "
        "found; model.json beside a pushed file keeps their ids"
    )


def model_file(path: str) -> str:
    """The TFLite file that a file, a pushed version or the folder of all versions stands for.

    Raises:
      FileNotFoundError: There is none.
    """
    if os.path.isdir(path):
        version = path if os.path.isfile(os.path.join(path, MODEL_FILE)) else latest_version(path)
        path = os.path.join(version or path, MODEL_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path} does not exist: give a .tflite file or a pushed version")
    return path


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
    artifact: mlmd.Artifact,
) -> Lineage:
    steps = _ancestors(store, artifact.id)
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
    return Lineage(file, digest, size, name, maker, steps, logs, refusals(every))


def _ancestors(store: metadata_store.MetadataStore, artifact: int) -> list[Step]:
    """All executions that an artifact descends from."""
    found: dict[int, Step] = {}
    open_artifacts, seen = {artifact}, {artifact}
    while open_artifacts:
        events = store.get_events_by_artifact_ids(sorted(open_artifacts))
        makers = {e.execution_id for e in events if e.type == mlmd.Event.OUTPUT} - set(found)
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
            found[execution.id] = _step(store, execution, made)
            open_artifacts |= {e.artifact_id for e in touching if e.type == mlmd.Event.INPUT} - seen
        seen |= open_artifacts
    return [found[number] for number in sorted(found)]


def _step(
    store: metadata_store.MetadataStore, execution: mlmd.Execution, made: dict[int, str]
) -> Step:
    node = next(
        (
            context.name.split(".", 1)[1]
            for context in store.get_contexts_by_execution(execution.id)
            if context.type == "node"
        ),
        "?",
    )
    properties = text_properties(execution)
    config = next((properties[key] for key in _CONFIGS if properties.get(key)), "")
    digest = properties.get("code_digest", "")
    outputs = [(made[a.id], a.id, a.uri) for a in store.get_artifacts_by_id(sorted(made))]
    return Step(node, execution.id, seconds(execution), digest, config, outputs)


def refusals(runs: list[Run]) -> list[dict[str, Any]]:
    """The runs that pushed nothing: the gates that refused, the errors that stopped them."""
    found = []
    for run in runs:
        reasons = [
            f"{stage.node} {stage.state}: {stage.error or 'no message was kept'}"
            for stage in run.stages.values()
            if stage.state in ("failed", "canceled")
        ]
        pusher, judge = run.stages.get("Pusher"), run.stages.get("LiteValidator")
        pushed = pusher.document("pushed_model", "pushed.json") if pusher else {}
        if pushed.get("refused_by"):
            reasons += [f"refused by {node}" for node in pushed["refused_by"]]
            report = judge.document("report", "report.json") if judge else {}
            reasons += [
                f"{v['name']} is {v['value']:g}, {'at least' if v['at_least'] else 'at most'} "
                f"{v['threshold']} is asked for"
                for v in report.get("verdicts", [])
                if not v["passed"]
            ]
        if reasons:
            found.append({**_identity(run), "reasons": reasons})
    return found


def _identity(run: Run) -> dict[str, Any]:
    started = run.started.isoformat(timespec="seconds")
    return {"number": run.number, "name": run.name, "started": started}


def _said(run: dict[str, Any]) -> str:
    name = f" {run['name']}" if run["name"] else ""
    return f"run {run['number']}{name}, {run['started']}"


def render(lineage: Lineage) -> str:
    """For a person."""
    run = lineage.run
    made = _said(run) if run else "a run that the store lacks"
    lines = [
        lineage.path,
        f"sha256    {lineage.sha256}",
        f"bytes     {lineage.size:,}",
        f"made by   {lineage.pipeline}, {made}",
        "",
    ]
    if lineage.logs:
        files = [[f["name"], f"{f['bytes']:,}", f["sha256"]] for f in lineage.logs["files"]]
        splits = [[name, f"{s['rows']:,}"] for name, s in lineage.logs["splits"].items()]
        lines += [table(["log", "bytes", "sha256"], files), ""]
        lines += [table(["split", "rows"], splits), ""]
        if lineage.logs.get("spans"):
            lines += [f"spans     {', '.join(map(str, lineage.logs['spans']))}", ""]
    else:
        lines += ["(the report on the logs was deleted)", ""]
    stages = [
        [
            step.node,
            str(step.execution),
            f"{step.seconds:.1f}",
            step.code_digest[:12] or "-",
            f"{step.config[:_MOST]}{'...' if len(step.config) > _MOST else ''}" or "-",
        ]
        for step in lineage.steps
    ]
    lines += [table(["stage", "execution", "seconds", "code", "configuration"], stages)]
    for refused in lineage.refused:
        lines += ["", f"{_said(refused)}, pushed nothing:"]
        lines += [f"  {reason}" for reason in refused["reasons"]]
    return "\n".join(lines)
