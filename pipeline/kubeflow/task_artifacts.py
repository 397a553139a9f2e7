"""The artifacts of a task: their types, where they lie, and what is recalled from earlier runs."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from typing import Any

from ranklite.components import manifest
from ranklite.components.comparable import DIGEST, can_score
from ranklite.pipeline.kubeflow import storage

_log = logging.getLogger(__name__)


def name_types(task: dict[str, Any], inputs_spec: dict[str, Any]) -> None:
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


def drop_foreign_outputs(task: dict[str, Any]) -> None:
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


def to_mounts(task: dict[str, Any], shared: str | None = None) -> dict[str, str]:
    """Replaces the URIs of a task's artifacts; returns them by the folder.

    Args:
      task: The executor's input; changed.
      shared: A folder that workers see, which receives copies of the inputs; None takes the folders
        of the launcher.
    """
    uris = {}
    for artifact in _artifacts(task):
        folder = storage.mounted(artifact["uri"], shared)
        uris[folder] = artifact["uri"]
        artifact["uri"] = folder
    for listed in task.get("outputs", {}).get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            os.makedirs(artifact["uri"], exist_ok=True)
    for listed in task.get("inputs", {}).get("artifacts", {}).values():
        for artifact in listed.get("artifacts", []):
            _copy(storage.mounted(uris[artifact["uri"]]), artifact["uri"])
    return uris


def to_launcher(output: dict[str, Any], uris: dict[str, str]) -> None:
    """Copies what a task made to where the launcher uploads it from, if it is not there."""
    for listed in output.get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            if artifact["uri"] in uris:
                _copy(artifact["uri"], storage.mounted(uris[artifact["uri"]]))


def _copy(source: str, target: str) -> None:
    if source != target and os.path.isdir(source):
        shutil.copytree(source, target, copy_function=shutil.copyfile, dirs_exist_ok=True)


def check_inputs(task: dict[str, Any], uris: dict[str, str]) -> None:
    """Holds what the launcher fetched to the manifests beside it.

    Args:
      task: With folders in the place of URIs.
      uris: Their URIs.

    Raises:
      DamagedArtifact: Something is not what its task wrote.
    """
    for listed in task.get("inputs", {}).get("artifacts", {}).values():
        for artifact in listed.get("artifacts", []):
            path = manifest.path_of(uris[artifact["uri"]])
            content = storage.read(path)
            if content is not None:
                manifest.check_against(artifact["uri"], manifest.parsed(content, path))


def keep_manifests(output: dict[str, Any], uris: dict[str, str]) -> None:
    """Writes the manifests of what a task made; the launcher uploads the rest."""
    for listed in output.get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            if artifact["uri"] in uris:
                path = manifest.path_of(uris[artifact["uri"]])
                storage.write(path, manifest.text_of(artifact["uri"]))


def from_mounts(output: dict[str, Any], uris: dict[str, str]) -> None:
    """Puts the URIs back in the place of the folders."""
    for listed in output.get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            artifact["uri"] = uris.get(artifact["uri"], artifact["uri"])


def slot_uri(history: str, name: str) -> str:
    """Where an artifact that later runs recall is written down."""
    return storage.join(history, f"{name}.json")


def recall(task: dict[str, Any], recalls: dict[str, str], history: str) -> None:
    """Adds artifacts of earlier runs to the inputs, and fetches them."""
    inputs = task.setdefault("inputs", {}).setdefault("artifacts", {})
    for key, slot in recalls.items():
        content = storage.read(slot_uri(history, slot))
        if content is None:
            _log.info("no earlier run left %s: this is the first", slot)
            continue
        artifact = json.loads(content)
        if not _comparable(artifact, inputs):
            _log.warning("%s reads features that this run has not: left out", artifact["uri"])
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
    earlier = artifact.get("metadata", {})
    current = [a.get("metadata", {}) for a in inputs.get("model", {}).get("artifacts", [])]
    return DIGEST not in earlier or all(
        DIGEST not in now or can_score(earlier, now) for now in current
    )


def is_kept(output: dict[str, Any]) -> bool:
    """Whether later runs should recall what this task keeps: not what a gate refused."""
    pushed = output.get("artifacts", {}).get("pushed_model", {}).get("artifacts", [])
    return all(artifact.get("metadata", {}).get("pushed") == 1 for artifact in pushed)
