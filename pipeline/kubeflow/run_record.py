"""What a run on Kubeflow leaves beside its artifacts: what it is, and why it failed.

    <pipeline root>/<pipeline>/<run>/ranklite-run.json                       by the first task
    <pipeline root>/<pipeline>/<run>/<task>/[<execution>/]failure/failure.json   by one that failed
    <pipeline root>/<pipeline>/<run>/<task>/[<execution>/]failure/report.html    its page

A task knows of its run what its outputs' URIs say. The first task, the one that reads the log, is
compiled with the rest: the pipeline's configuration and tasks, and the run's name, which Kubeflow
fills in.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
from typing import Any

from ranklite.components.run_logs import EXECUTION
from ranklite.models.reporting.facts import CurrentRun
from ranklite.pipeline.kubeflow import storage

_log = logging.getLogger(__name__)

RECORD = "ranklite-run.json"
FAILURE = "failure"
REASON, PAGE = "failure.json", "report.html"
NAME_PARAMETER = "run_name"  # of the first task
_LOG = "data_root"  # parameter that only it has
_NAME = "{{$.pipeline_job_name}}"  # Kubeflow replaces it, from 2.5 on


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a task of a run writes.

    Attributes:
      run: URI of the run's folder.
      task: Name of the task.
      own: URI of the task's folder there, that of the execution where Kubeflow makes one.
    """

    run: str
    task: str
    own: str

    @staticmethod
    def of(task: dict[str, Any]) -> Place | None:
        """The place of an executor's input, by its first output; None where it has none."""
        for listed in task.get("outputs", {}).get("artifacts", {}).values():
            for artifact in listed["artifacts"]:
                own = artifact["uri"].rpartition("/")[0]
                above, _, name = own.rpartition("/")
                if EXECUTION.fullmatch(name):
                    above, _, name = above.rpartition("/")
                return Place(above, name, own)
        return None


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run is.

    Attributes:
      pipeline: Name of the pipeline.
      run_id: Kubeflow's.
      name: What it is called on Kubeflow; the id where Kubeflow does not hand it to tasks.
      started: When its first task began, in UTC.
      tasks: Names of its tasks in the order of their dependencies.
      config: The configuration.
    """

    pipeline: str
    run_id: str
    name: str
    started: datetime.datetime
    tasks: list[str]
    config: dict[str, Any]

    @property
    def about(self) -> CurrentRun:
        """What the pages are titled by."""
        title = f"{self.started:%Y-%m-%d} {self.pipeline} kubeflow run {self.name}"
        return CurrentRun(title, self.started)

    def to_json(self) -> bytes:
        """As it is kept."""
        values = {**dataclasses.asdict(self), "started": self.started.isoformat()}
        return json.dumps(values, indent=2).encode()

    @staticmethod
    def from_json(content: bytes) -> Record:
        """As it was kept."""
        values = json.loads(content)
        started = datetime.datetime.fromisoformat(values.pop("started"))
        return Record(started=started, **values)


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a task failed.

    Attributes:
      task: Its name.
      reason: The words of the error.
      failed: When, ISO time in UTC.
      page: URI of the page; None where it could not be made.
    """

    task: str
    reason: str
    failed: str
    page: str | None = None

    @property
    def first_line(self) -> str:
        """Of the reason."""
        return self.reason.strip().partition("\n")[0]


def announce(document: dict[str, Any], config: dict[str, Any]) -> None:
    """Compiles into the first task, the one that reads the log, what it keeps of the run.

    Args:
      document: The compiled pipeline; changed.
      config: The configuration, as JSON takes it.
    """
    tasks = document["root"]["dag"]["tasks"]
    (name,) = [name for name, task in tasks.items() if _LOG in task["inputs"]["parameters"]]
    component = document["components"][tasks[name]["componentRef"]["name"]]
    tasks[name]["inputs"]["parameters"][NAME_PARAMETER] = {"runtimeValue": {"constant": _NAME}}
    component["inputDefinitions"]["parameters"][NAME_PARAMETER] = {"parameterType": "STRING"}
    about = {"tasks": _ordered(tasks), "config": config}
    container = document["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    container["args"] += [f"--run={json.dumps(about, sort_keys=True)}"]


def _ordered(tasks: dict[str, Any]) -> list[str]:
    """By their dependencies; those that could run at the same time by name."""
    left, ordered = dict(tasks), list[str]()
    while left:
        ready = [n for n, t in left.items() if {*t.get("dependentTasks", [])} <= {*ordered}]
        ordered += sorted(ready)
        for name in ready:
            del left[name]
    return ordered


def begin(task: dict[str, Any], announced: str | None) -> Record | None:
    """The run that a task is of; the first one writes it down.

    Args:
      task: The executor's input; the parameter that TFX does not know is taken out.
      announced: What the task was compiled with by `announce`; None in all others.

    Returns:
      None where it is not known: it is for people, and no task fails for lack of it.
    """
    name = task.get("inputs", {}).get("parameterValues", {}).pop(NAME_PARAMETER, _NAME)
    place = Place.of(task)
    if place is None:
        return None
    uri = storage.join(place.run, RECORD)
    try:
        if announced is None:
            content = storage.read(uri)
            return Record.from_json(content) if content else None
        about = json.loads(announced)
        run_id = place.run.rpartition("/")[2]
        now = datetime.datetime.now(datetime.timezone.utc)
        record = Record(
            pipeline=about["config"]["name"],
            run_id=run_id,
            name=name if name and name != _NAME else run_id,
            started=now,
            tasks=about["tasks"],
            config=about["config"],
        )
        storage.write(uri, record.to_json())
    except (OSError, ValueError, KeyError, TypeError):
        _log.warning("%s: the run could not be read or written down", uri, exc_info=True)
        return None
    return record


def failures(run: str) -> list[Failure]:
    """The failures of a run, the oldest first.

    Args:
      run: URI of the run's folder.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    result = []
    for name in storage.files(run):
        if name.endswith(f"/{FAILURE}/{REASON}"):
            content = storage.read(storage.join(run, name))
            if content:
                result.append(Failure(**json.loads(content)))
    return sorted(result, key=lambda failure: failure.failed)
