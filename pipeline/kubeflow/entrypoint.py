"""What runs in a pod: the surroundings of a TFX executor that Kubeflow Pipelines does not give it.

TFX's own container program (`kubeflow_v2_run_executor`) opens the URIs it is handed. Kubeflow's
launcher hands out those of its object storage, mirrored on the pod's disk, and knows neither
resolvers nor folders that outlive a run. So this program

    1. gives input artifacts the types that the pipeline was compiled with, and leaves outputs alone
       that Kubeflow adds,
    2. replaces URIs by the mirrored folders,
    3. adds what the task recalls from earlier runs (`pipeline.history`),
    4. fetches the files of the log that the run reads, and gives the task local folders in place of
       remote ones,
    5. calls TFX's program,
    6. uploads what the task left in those folders, puts the URIs back into its output,
    7. keeps what later runs recall.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import logging
import os
import pathlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import ranklite.components
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.serving.versions import is_model, model_files, versions
from ranklite.pipeline.history import HISTORY_PROPERTY
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.local.beam_progress import counted
from ranklite.pipeline.local.progress import Display

_log = logging.getLogger(__name__)

TIMED_OUT = 124
_DATA, _REJECTS, _PUSH, _SPAN = "data_root", "rejects_dir", "push_destination", "span"


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True, metavar="JSON")
    parser.add_argument("--json_serialized_inputs_spec_args", metavar="JSON")
    parser.add_argument(
        "--history", required=True, metavar="URI", help="folder of what later runs recall"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="stop the task after it")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str]) -> None:
    """Runs a task; the arguments are those of the compiled container."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    # TFX finds the class of an artifact by its TYPE_NAME, `components.Trials`: the names are older
    # than the package, and stay, so that the stores that hold them can be read.
    sys.modules["components"] = ranklite.components
    args, beam_args = _parse(argv)
    if args.timeout:
        _stop_after(args.timeout, args.executor_class_path)
    task = json.loads(args.json_serialized_invocation_args)
    _name_types(task, json.loads(args.json_serialized_inputs_spec_args or "{}"))
    _drop_foreign_outputs(task)
    parameters = task.get("inputs", {}).get("parameterValues", {})
    history = json.loads(parameters.get(HISTORY_PROPERTY) or "{}")
    _recall(task, history.get("recalls", {}), args.history)
    kept = {  # copied before the URIs of the storage are replaced
        slot: copy.deepcopy(task["inputs"]["artifacts"][key]["artifacts"][0])
        for slot, key in history.get("keeps", {}).items()
    }
    uris = _to_mounts(task)
    with _local_folders(parameters) as pushed_to:
        with _progress(args.executor_class_path):
            output_file = _run(args, task, beam_args)
        output = json.loads(pathlib.Path(output_file).read_text(encoding="utf-8"))
        _name_pushed_version(output, pushed_to)
    _from_mounts(output, uris)
    pathlib.Path(output_file).write_text(json.dumps(output), encoding="utf-8")
    if _kept(output):
        for slot, artifact in kept.items():
            storage.write(_slot(args.history, slot), json.dumps(artifact, indent=2).encode())
            _log.info("later runs recall %s: %s", slot, artifact["uri"])


def _stop_after(seconds: float, what: str) -> None:
    def stop() -> None:
        print(f"{what} was stopped: it ran past {seconds:g} s", file=sys.stderr, flush=True)
        os._exit(TIMED_OUT)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def _progress(executor: str) -> Iterator[None]:
    """Says in plain lines how far the task is; `a.pusher.executor.Executor` is `pusher`."""
    display = Display(sys.stderr, live=False)
    with display.running(), counted():
        display.begin(executor.split(".")[-3:][0])
        yield
        display.end()


def _run(args: argparse.Namespace, task: dict[str, Any], beam_args: list[str]) -> str:
    """Calls TFX's program; returns the file with the task's output."""
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx

    given = argparse.Namespace(
        executor_class_path=args.executor_class_path,
        json_serialized_invocation_args=json.dumps(task),
        json_serialized_inputs_spec_args=args.json_serialized_inputs_spec_args,
    )
    tfx.main((given, beam_args))
    return task["outputs"]["outputFile"]


# ------------------------------------------------------------------------------------- artifacts


def _name_types(task: dict[str, Any], inputs_spec: dict[str, Any]) -> None:
    """Gives input artifacts the types that the pipeline was compiled with.

    Kubeflow Pipelines stores an artifact without the schema of its type and hands it to the next
    task as `instanceSchema: ""`, from which TFX cannot tell the class.

    Args:
      task: The executor's input; changed.
      inputs_spec: The component's ComponentInputsSpec, as compiled.
    """
    compiled = inputs_spec.get("artifacts", {})
    for key, listed in task.get("inputs", {}).get("artifacts", {}).items():
        for artifact in listed.get("artifacts", []):
            given = artifact.get("type", {})
            is_known = given.get("schemaTitle") or given.get("instanceSchema")
            if key in compiled and not is_known:
                artifact["type"] = compiled[key]["artifactType"]


def _drop_foreign_outputs(task: dict[str, Any]) -> None:
    """Leaves outputs of Kubeflow's own types alone: from 2.5 on every task has `executor-logs`."""
    outputs = task.get("outputs", {}).get("artifacts", {})
    for key, listed in list(outputs.items()):
        types = [artifact.get("type", {}) for artifact in listed.get("artifacts", [])]
        if any(kind.get("schemaTitle", "").startswith("system.") for kind in types):
            del outputs[key]


def _artifacts(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for side in ("inputs", "outputs"):
        for listed in task.get(side, {}).get("artifacts", {}).values():
            yield from listed.get("artifacts", [])


def _to_mounts(task: dict[str, Any]) -> dict[str, str]:
    """Replaces the URIs of a task's artifacts; returns them by the folder."""
    uris = {}
    for artifact in _artifacts(task):
        folder = storage.mounted(artifact["uri"])
        uris[folder] = artifact["uri"]
        artifact["uri"] = folder
    for listed in task.get("outputs", {}).get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            os.makedirs(artifact["uri"], exist_ok=True)
    return uris


def _from_mounts(output: dict[str, Any], uris: dict[str, str]) -> None:
    for listed in output.get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            artifact["uri"] = uris.get(artifact["uri"], artifact["uri"])


# --------------------------------------------------------------------------------------- history


def _slot(history: str, name: str) -> str:
    return storage.join(history, f"{name}.json")


def _recall(task: dict[str, Any], recalls: dict[str, str], history: str) -> None:
    """Adds artifacts of earlier runs to the inputs, and fetches them."""
    inputs = task.setdefault("inputs", {}).setdefault("artifacts", {})
    for key, slot in recalls.items():
        content = storage.read(_slot(history, slot))
        if content is None:
            _log.info("no earlier run left %s: this is the first", slot)
            continue
        artifact = json.loads(content)
        if not _comparable(artifact, inputs):
            _log.warning("%s reads other features than this run: left out", artifact["uri"])
            continue
        if storage.is_remote(artifact["uri"]):
            names = storage.files(artifact["uri"])
            if not names:
                _log.warning("%s is gone from the storage: left out", artifact["uri"])
                continue
            storage.download(artifact["uri"], storage.mounted(artifact["uri"]), names)
        inputs[key] = {"artifacts": [artifact]}
        _log.info("%s is %s", key, artifact["uri"])


def _comparable(artifact: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """Whether a model recalled can be compared with the model at hand on raw rows."""
    digest = artifact.get("metadata", {}).get("features_digest")
    current = [a.get("metadata", {}) for a in inputs.get("model", {}).get("artifacts", [])]
    return digest is None or all(m.get("features_digest", digest) == digest for m in current)


def _kept(output: dict[str, Any]) -> bool:
    """Whether later runs should recall what this task says: not what a gate refused."""
    pushed = output.get("artifacts", {}).get("pushed_model", {}).get("artifacts", [])
    return all(artifact.get("metadata", {}).get("pushed") == 1 for artifact in pushed)


# --------------------------------------------------------------------------------------- folders


@contextlib.contextmanager
def _local_folders(parameters: dict[str, Any]) -> Iterator[tuple[str, str] | None]:
    """Gives a task local folders in place of remote ones, and uploads what it left there.

    Args:
      parameters: Of the task; changed.

    Yields:
      The remote and the local folder of pushed versions, where the task pushes to a remote one.
    """
    work = tempfile.mkdtemp(prefix="ranklite-")
    try:
        if storage.is_remote(parameters.get(_DATA, "")):
            _fetch_log(parameters, os.path.join(work, "data"))
        rejects = _replaced(parameters, _REJECTS, work)
        pushed = _replaced(parameters, _PUSH, work)
        before: set[int] = set()
        if pushed:
            before = _fetch_versions(*pushed)
        try:
            yield pushed
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
    found = versions(folder)
    if found:
        newest = os.path.join(folder, str(found[-1]))
        storage.download(uri, folder, [os.path.relpath(p, folder) for p in model_files(newest)])
    return set(found)


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


def _name_pushed_version(output: dict[str, Any], pushed: tuple[str, str] | None) -> None:
    """Puts the URI of the pushed version where its local folder stands."""
    if pushed is None:
        return
    from ranklite.components.artifact_json import PUSHED_FILE

    for artifact in output["artifacts"]["pushed_model"]["artifacts"]:
        path = pathlib.Path(artifact["uri"], PUSHED_FILE)
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["version"]:
            said["version"] = storage.join(pushed[0], os.path.basename(said["version"]))
            path.write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
