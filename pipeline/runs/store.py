"""Reads what a run did from ML Metadata."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import glob
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.components import artifact_json
from ranklite.pipeline.runs.nodes import current_name

_STATES = {
    mlmd.Execution.COMPLETE: "done",
    mlmd.Execution.CACHED: "cached",
    mlmd.Execution.FAILED: "failed",
    mlmd.Execution.RUNNING: "unfinished",
    mlmd.Execution.CANCELED: "canceled",
}


ERROR = "error"  # custom property of an execution; TFX keeps no error text
NAME = "name"  # custom property of a run's context; as a property of a stage it would end the cache
FINISHED = ("done", "cached")  # states


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one node of a run did.

    Attributes:
      node: Its id; its present one, where the node was renamed since.
      state: `done`, `cached`, `failed`, `unfinished` or `canceled`.
      execution_id: Its id in ML Metadata.
      outputs: URIs of its output artifacts, by key.
      error: Why it failed, where that was noted.
      properties: What it was configured with, as far as that is text.
      seconds: From its start to its last update.
    """

    node: str
    state: str
    execution_id: int
    outputs: dict[str, list[str]]
    error: str | None = None
    properties: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def folder(self, key: str) -> str | None:
        """The folder of an output that the stage wrote, or None if it wrote none."""
        uris = self.outputs.get(key)
        return uris[0] if uris and os.path.isdir(uris[0]) else None

    def document(self, key: str, name: str) -> dict[str, Any]:
        """A JSON file in an output, as `document` reads it."""
        return document(self.folder(key), name)


def document(folder: str | None, name: str) -> dict[str, Any]:
    """A JSON file in a folder; empty where either is not there."""
    if not folder or not os.path.isfile(os.path.join(folder, name)):
        return {}
    return artifact_json.read(folder, name)


@contextlib.contextmanager
def open_store(path: str) -> Iterator[metadata_store.MetadataStore]:
    """Opens the SQLite metadata store at a path.

    Raises:
      FileNotFoundError: There is none, so nothing was run there.
      OSError: It could not be read, or written to; ML Metadata itself tries for most of a minute.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"no metadata store at {path}: nothing was run there yet")
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = path
    try:
        store = metadata_store.MetadataStore(config)
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    try:
        yield store
    except errors.StatusError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> OSError:
    if "Concurrent writes" in str(error):
        return OSError(f"{path} is being written to by another process; try again")
    reason = str(error).partition(" query:")[0]  # the whole of SQL follows
    return OSError(f"{path} cannot be read as a metadata store: {reason}")


def stores(runs: str) -> dict[str, str]:
    """The metadata stores in a folder of runs by the name of their pipeline, in its order."""
    result = sorted(glob.glob(os.path.join(runs, "*", "metadata.sqlite")))
    return {os.path.basename(os.path.dirname(path)): path for path in result}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
      pipeline: The pipeline's name.
      number: Counted from 1 in the order in which they were started.
      started: When, in UTC.
      stages: What its nodes did, by node id.
      name: What a person called it, if they did.
    """

    pipeline: str
    number: int
    started: datetime.datetime
    stages: dict[str, Stage]
    name: str | None = None

    @property
    def label(self) -> str:
        """What it is called where space is short: `movielens#7`, with its name if it has one."""
        return f"{self.pipeline}#{self.number}" + (f" {self.name}" if self.name else "")

    @property
    def title(self) -> str:
        """What it is called: `2026-11-22 movielens run 7`, with its name if it has one.

        Without `#` and `/`: TensorBoard's projector puts a run's name into an address as it is.
        """
        reported = f"{self.started:%Y-%m-%d} {self.pipeline} run {self.number}"
        return reported + (f" {self.name}" if self.name else "")

    def document(self, node: str, key: str, name: str) -> dict[str, Any]:
        """A JSON file in an output of a stage; empty where it wrote none, or did not run."""
        stage = self.stages.get(node)
        return stage.document(key, name) if stage else {}

    @property
    def stopped(self) -> list[Stage]:
        """The stages that did not finish."""
        return [stage for stage in self.stages.values() if stage.state not in FINISHED]


def run_contexts(store: metadata_store.MetadataStore, pipeline_name: str) -> list[mlmd.Context]:
    """The contexts of a pipeline's runs, the oldest first."""
    pipeline = store.get_context_by_type_and_name("pipeline", pipeline_name)
    runs = [
        run
        for run in store.get_contexts_by_type("pipeline_run")
        if pipeline
        and any(p.id == pipeline.id for p in store.get_parent_contexts_by_context(run.id))
    ]
    return sorted(runs, key=lambda run: run.id)


def all_runs(path: str, pipeline_name: str) -> list[Run]:
    """All runs of a pipeline, the oldest first.

    Raises:
      FileNotFoundError: There is no store.
      OSError: It could not be read.
    """
    with open_store(path) as store:
        return [
            _run(store, pipeline_name, number, context)
            for number, context in enumerate(run_contexts(store, pipeline_name), 1)
        ]


def count_runs(path: str, pipeline_name: str) -> int:
    """How many runs of a pipeline there are; none where there is no store.

    Raises:
      OSError: It could not be read.
    """
    if not os.path.exists(path):
        return 0
    with open_store(path) as store:
        return len(run_contexts(store, pipeline_name))


def latest_run(path: str, pipeline_name: str) -> Run:
    """A pipeline's newest run.

    Raises:
      FileNotFoundError: There is no store, or it knows no run of that pipeline.
      OSError: It could not be read.
    """
    with open_store(path) as store:
        runs = run_contexts(store, pipeline_name)
        if not runs:
            raise FileNotFoundError(f"{path} knows no run of pipeline {pipeline_name!r}")
        return _run(store, pipeline_name, len(runs), runs[-1])


def _run(
    store: metadata_store.MetadataStore, pipeline: str, number: int, context: mlmd.Context
) -> Run:
    started = datetime.datetime.fromtimestamp(
        context.create_time_since_epoch / 1000, datetime.timezone.utc
    )
    name = context.custom_properties[NAME].string_value or None
    return Run(pipeline, number, started, _stages(store, context), name)


def _stages(store: metadata_store.MetadataStore, run: mlmd.Context) -> dict[str, Stage]:
    executions = store.get_executions_by_context(run.id)
    events = store.get_events_by_execution_ids([e.id for e in executions]) if executions else []
    outputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for event in events:
        if event.type == mlmd.Event.OUTPUT:
            key = next((step.key for step in event.path.steps if step.HasField("key")), "")
            outputs[event.execution_id].append((key, event.artifact_id))
    uris = {
        artifact.id: artifact.uri
        for artifact in store.get_artifacts_by_id(
            sorted({a for pairs in outputs.values() for _, a in pairs})
        )
    }
    stages: dict[str, Stage] = {}
    for execution in sorted(executions, key=lambda e: e.id):
        node = node_of(store, execution)
        by_key: dict[str, list[str]] = defaultdict(list)
        for key, artifact_id in outputs[execution.id]:
            by_key[key].append(uris[artifact_id])
        state = _STATES.get(execution.last_known_state, "unknown")
        error = execution.custom_properties[ERROR].string_value or None
        properties = text_properties(execution)
        stages[node] = Stage(
            node, state, execution.id, dict(by_key), error, properties, seconds(execution)
        )
    return stages


def node_of(store: metadata_store.MetadataStore, execution: mlmd.Execution) -> str:
    """The present id of the node that an execution is of; `?` where the store names none."""
    contexts = store.get_contexts_by_execution(execution.id)
    names = (c.name.split(".", 1)[1] for c in contexts if c.type == "node")
    return current_name(next(names, "?"))


def seconds(execution: mlmd.Execution) -> float:
    """From its start to its last update."""
    took = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return float(took) / 1000


def text_properties(execution: mlmd.Execution) -> dict[str, str]:
    """The properties of an execution that are text, by name."""
    return {
        key: value.string_value
        for fields in (execution.properties, execution.custom_properties)
        for key, value in fields.items()
        if value.HasField("string_value")
    }


def code_digest(properties: Mapping[str, str]) -> str:
    """Of the code that an execution ran, by its text properties; empty where it is TFX's own.

    TFX's Trainer and Transform carry it inside their configuration.
    """
    if "code_digest" in properties:
        return properties["code_digest"]
    custom = json.loads(properties.get("custom_config") or "null") or {}
    return str(custom.get("code_digest", ""))


def note_failure(path: str, pipeline_name: str, node: str, error: str) -> None:
    """Keeps the reason with the newest run's execution of a node; without one it does nothing."""
    stage = latest_run(path, pipeline_name).stages.get(node)
    if stage is None or stage.state in FINISHED:
        return
    with open_store(path) as store:
        (execution,) = store.get_executions_by_id([stage.execution_id])
        execution.last_known_state = mlmd.Execution.FAILED
        execution.custom_properties[ERROR].string_value = error
        store.put_executions([execution])


def note_name(path: str, pipeline_name: str, number: int, name: str) -> None:
    """Keeps a person's name for a run with it; before its first stage there is nothing to name."""
    with open_store(path) as store:
        for context in run_contexts(store, pipeline_name)[number - 1 : number]:
            context.custom_properties[NAME].string_value = name
            store.put_contexts([context])
