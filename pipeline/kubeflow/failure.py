"""The reason and the page of a task that failed, in the storage, where its pod is gone."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from ranklite.components.run_logs import EXECUTION, FAILED, MODEL_RUN
from ranklite.models.reporting.facts import StoppedRun
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.run_record import FAILURE, PAGE, REASON, Failure, Place, Record

_log = logging.getLogger(__name__)

_LARGEST = 8_000_000  # bytes of a file that the page reads; weights are larger, and not read
_LOGS = "executor-logs"  # output of Kubeflow's own, from 2.5 on


@contextlib.contextmanager
def kept(task: dict[str, Any], record: Record | None) -> Iterator[Callable[[str], None]]:
    """Keeps why the work inside fails; what an earlier attempt left goes once it succeeds.

    Args:
      task: The executor's input, as Kubeflow gave it.
      record: The run; None where it is not known, and then there is no page.

    Yields:
      What keeps a reason that is no exception.
    """
    place = Place.of(task)
    logs = [
        artifact["uri"]
        for artifact in task.get("outputs", {})
        .get("artifacts", {})
        .get(_LOGS, {})
        .get("artifacts", [])
    ]
    log = logs[0] if logs else f"kubectl logs {os.environ.get('HOSTNAME', '')}".strip()

    def keep(reason: str) -> None:
        if place is not None:
            with _never_failing(place):
                _keep(place, record, reason, log)

    try:
        yield keep
    except Exception as error:
        from ranklite.pipeline.local.failed import error_message

        keep(error_message(error))
        raise
    if place is not None:
        with _never_failing(place):
            _forget(place)


@contextlib.contextmanager
def _never_failing(place: Place) -> Iterator[None]:
    """The error itself, or that there was none, is what counts."""
    try:
        yield
    except Exception:
        _log.warning("%s: the reason or the page could not be kept", place.own, exc_info=True)


def _keep(place: Place, record: Record | None, reason: str, log: str) -> None:
    folder = storage.join(place.own, FAILURE)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    failure = Failure(place.task, reason, now)
    storage.write(storage.join(folder, REASON), _json(failure))  # whatever the page needs may fail
    if record is None:
        return
    page = storage.join(folder, PAGE)
    with tempfile.TemporaryDirectory() as work:
        storage.write(page, _page(place, record, reason, log, work).encode())
    storage.write(storage.join(folder, REASON), _json(dataclasses.replace(failure, page=page)))
    _log.info("the page of the failed run is %s", page)


def _json(failure: Failure) -> bytes:
    return json.dumps(dataclasses.asdict(failure), indent=2).encode()


def _forget(place: Place) -> None:
    """A task that was repeated did not fail; a repetition may have an execution of its own."""
    task = storage.join(place.run, place.task)
    for name in storage.files(task):
        folder, _, file = name.rpartition("/")
        if file == REASON and folder.rpartition("/")[2] == FAILURE:
            storage.remove(storage.join(task, folder))


def _page(place: Place, record: Record, reason: str, log: str, work: str) -> str:
    """The page, from what the run's tasks have uploaded."""
    from ranklite.pipeline.kubeflow.compiler import plain
    from ranklite.pipeline.local.failure_page import FACTS, REPORT, render

    uploaded = _uploaded(place.run)

    def fetched(task: str, key: str) -> str:
        prefix, names = uploaded[task, key]
        folder = os.path.join(work, task, key)
        storage.download(storage.join(place.run, prefix), folder, names)
        return folder

    facts = {
        fact: fetched(plain(node), key)
        for fact, (nodes, key) in FACTS.items()
        for node in nodes
        if (plain(node), key) in uploaded and plain(node) != place.task
    }
    trained = [task for task, key in sorted(uploaded) if key == MODEL_RUN]
    trainings = [fetched(task, MODEL_RUN) for task in trained if task not in (REPORT, place.task)]
    put_aside = storage.mounted(storage.join(place.own, MODEL_RUN)) + FAILED
    if os.path.isdir(put_aside):
        os.symlink(put_aside, _made(work, place.task, MODEL_RUN))
        trainings.append(os.path.join(work, place.task, MODEL_RUN))
    finished = {task for task, _ in uploaded} - {place.task}
    states = [
        (task, "failed" if task == place.task else "done" if task in finished else "not finished")
        for task in record.tasks
    ]
    stopped = StoppedRun(place.task, reason, [(task, state, None) for task, state in states], log)
    return render(record.config, facts, trainings, record.about, stopped)


def _made(work: str, task: str, key: str) -> str:
    os.makedirs(os.path.join(work, task), exist_ok=True)
    return os.path.join(work, task, key)


def _uploaded(run: str) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """By task and output: where it is below the run's folder, and its files that are not large."""
    newest: dict[tuple[str, str], tuple[datetime.datetime, str]] = {}
    files: dict[str, list[str]] = {}
    for entry in storage.entries(run):
        task, *parts = entry.name.split("/")
        depth = 1 if parts and EXECUTION.fullmatch(parts[0]) else 0
        if len(parts) < depth + 2 or parts[depth] in (FAILURE, _LOGS):
            continue
        prefix = "/".join([task, *parts[: depth + 1]])
        if entry.size <= _LARGEST:
            files.setdefault(prefix, []).append("/".join(parts[depth + 1 :]))
        written = (entry.written, prefix)
        newest[task, parts[depth]] = max(written, newest.get((task, parts[depth]), written))
    return {key: (prefix, files[prefix]) for key, (_, prefix) in newest.items() if prefix in files}
