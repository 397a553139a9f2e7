"""Local folders for a task in place of remote ones."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.serving.versions import is_model, model_files, versions
from ranklite.pipeline.kubeflow import storage

_log = logging.getLogger(__name__)

_DATA, _REJECTS, _PUSH, _SPAN = "data_root", "rejects_dir", "push_destination", "span"
_SCHEMA = "schema_file"


@contextlib.contextmanager
def local_folders(
    parameters: dict[str, Any], shared: str | None = None
) -> Iterator[tuple[str, str] | None]:
    """Gives a task local folders in place of remote ones, and uploads what it left there.

    Args:
      parameters: Of the task; changed.
      shared: A folder that workers see, to make them in; None takes one of the pod.

    Yields:
      The remote and the local folder of pushed versions, where the task pushes to a remote one.
    """
    work = tempfile.mkdtemp(prefix="ranklite-", dir=shared)
    try:
        if storage.is_remote(parameters.get(_DATA, "")):
            _fetch_log(parameters, os.path.join(work, "data"))
        if storage.is_remote(parameters.get(_SCHEMA, "")):
            parameters[_SCHEMA] = _fetched(parameters[_SCHEMA], work)
        rejects = _replaced(parameters, _REJECTS, work)
        pushed = _replaced(parameters, _PUSH, work)
        before: set[int] = set()
        if pushed:
            before = _fetch_versions(*pushed)
        try:
            yield pushed
        except IngestError as error:  # says where the rejects are: not in the pod, which goes
            if rejects is None:
                raise
            raise IngestError(str(error).replace(rejects[1], rejects[0])) from error
        finally:
            if rejects:  # also where the log was refused: they say why
                storage.upload(rejects[1], rejects[0])
        if pushed:
            _publish_versions(*pushed, before)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replaced(parameters: dict[str, Any], key: str, work: str) -> tuple[str, str] | None:
    """(URI, local folder) of a parameter that was a URI."""
    uri = parameters.get(key, "")
    if not storage.is_remote(uri):
        return None
    folder = os.path.join(work, key)
    os.makedirs(folder)
    parameters[key] = folder
    return uri, folder


def _fetched(uri: str, folder: str) -> str:
    """The local path of a file that is fetched."""
    content = storage.read(uri)
    if content is None:
        raise FileNotFoundError(f"there is no {uri}, which the configuration names: upload it")
    path = pathlib.Path(folder, os.path.basename(uri))
    path.write_bytes(content)
    return str(path)


def _fetch_log(parameters: dict[str, Any], folder: str) -> None:
    """Fetches the files that the run reads, and no others."""
    uri = parameters[_DATA]
    config = IngestConfig.model_validate_json(parameters["config"]).at(parameters[_SPAN])
    with tempfile.TemporaryDirectory() as names:  # the storage's folder, of empty files
        root = pathlib.Path(names).resolve()
        for name in storage.files(uri):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        try:
            matched = config.matching_files(str(root))
        except FileNotFoundError as error:
            raise FileNotFoundError(str(error).replace(str(names), uri)) from None
    wanted = {os.path.relpath(path, root) for paths in matched.values() for path in paths}
    _log.info("reading %d files of %s", len(wanted), uri)
    storage.download(uri, folder, sorted(wanted))
    parameters[_DATA] = folder


def _fetch_versions(uri: str, folder: str) -> set[int]:
    """Makes the folder of pushed versions as far as pushing another one looks at it."""
    for name in storage.files(uri):
        version, _, file = name.partition("/")
        if version.isdigit() and is_model(file):
            os.makedirs(os.path.join(folder, version), exist_ok=True)
            pathlib.Path(folder, name).touch()
    result = versions(folder)
    if result:
        newest = os.path.join(folder, str(result[-1]))
        storage.download(uri, folder, [os.path.relpath(p, folder) for p in model_files(newest)])
    return set(result)


def _publish_versions(uri: str, folder: str, before: set[int]) -> None:
    """Uploads a new version, its model last: a version is there when its model is."""
    after = set(versions(folder))
    for version in sorted(after - before):
        target = storage.join(uri, str(version))
        source = os.path.join(folder, str(version))
        storage.upload(source, target, last=os.path.basename(model_files(source)[-1]))
        _log.info("pushed %s", target)
    for version in sorted(before - after):
        storage.remove(storage.join(uri, str(version)))


def name_pushed_version(output: dict[str, Any], pushed: tuple[str, str] | None) -> None:
    """Puts the URI of the pushed version where its local folder stands."""
    if pushed is None:
        return
    from ranklite.components.artifact_json import PUSHED_FILE

    for artifact in output["artifacts"]["pushed_model"]["artifacts"]:
        path = pathlib.Path(artifact["uri"], PUSHED_FILE)
        pushed_file = json.loads(path.read_text(encoding="utf-8"))
        if pushed_file["version"]:
            pushed_file["version"] = storage.join(
                pushed[0], os.path.basename(pushed_file["version"])
            )
            path.write_text(json.dumps(pushed_file), encoding="utf-8")
