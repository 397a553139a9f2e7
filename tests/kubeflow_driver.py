"""What KFP's driver hands to a task, release by release, as its source says.

Read were `backend/src/v2` of 2.0.0, 2.5.0 and 2.17.0: `driver/driver.go` (provisionOutputs),
`metadata/converter.go` (toMLMDArtifact, toRuntimeArtifact), `metadata/client.go` (RecordArtifact,
ToRuntimeArtifact), `compiler/argocompiler/argo.go` (defaults), `component/launcher_v2.go`.
"""

from __future__ import annotations

import dataclasses
import os
import uuid
from typing import Any

import yaml

LOGS = "executor-logs"
RUN_NAME = "{{$.pipeline_job_name}}"
MIRRORS = {"gs": "gcs", "s3": "s3", "minio": "minio"}  # folders that storage is mirrored in


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of KFP, as far as tasks can tell it from others.

    Attributes:
      version: Its number.
      publishes_logs: Every task has an output `executor-logs` of KFP's own type.
      salts: An execution's outputs have a folder of their own.
      names_outputs: An output artifact's name is its key; there was none before.
      output_file_in_task_root: The file with the task's output lies where outputs are mirrored.
      tells_session: An artifact's metadata say how its storage is reached.
      tells_run_name: Replaces the placeholder of the run's name in a parameter.
    """

    version: str
    publishes_logs: bool = True
    salts: bool = True
    names_outputs: bool = True
    output_file_in_task_root: bool = True
    tells_session: bool = True
    tells_run_name: bool = True


RELEASES = (
    Release("2.0", *[False] * 6),
    Release("2.5", names_outputs=False, output_file_in_task_root=False),
    Release("2.17"),
)
NEWEST = RELEASES[-1]


def parameter_values(
    release: Release,
    run_name: str,
    root: dict[str, Any],
    task: dict[str, Any],
    given: dict[str, Any],
) -> dict[str, Any]:
    """Values of a task's parameters.

    Args:
      release: KFP's.
      run_name: What the run is called.
      root: The compiled root component.
      task: The compiled task.
      given: Of the run: what whoever started it set.

    Raises:
      KeyError: A parameter that the run leaves out has no default.
    """
    known = {
        name: declared["defaultValue"]
        for name, declared in root.get("inputDefinitions", {}).get("parameters", {}).items()
        if "defaultValue" in declared
    } | given
    values = {}
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        if "runtimeValue" not in source:
            values[key] = known[source["componentInputParameter"]]
        else:
            constant = source["runtimeValue"]["constant"]
            is_name = release.tells_run_name and constant == RUN_NAME
            values[key] = run_name if is_name else constant
    return values


def provisioned(
    release: Release, run_root: str, task: str, declared: dict[str, Any], disk: str
) -> dict[str, Any]:
    """The `outputs` of an ExecutorInput.

    Args:
      release: KFP's.
      run_root: URI of the run's artifacts.
      task: Name of the task.
      declared: Artifacts of the component's `outputDefinitions`.
      disk: Folder that stands for the root of the pod's disk.
    """
    task_root = f"{run_root}/{task}" + (f"/{uuid.uuid4()}" if release.salts else "")
    kinds = {key: entry["artifactType"] for key, entry in declared.items()}
    if release.publishes_logs:
        kinds[LOGS] = {"schemaTitle": "system.Artifact"}
    artifacts = {}
    for key, kind in kinds.items():
        artifact = {"uri": f"{task_root}/{key}", "type": kind}  # no metadata, where none are set
        artifacts[key] = {
            "artifacts": [artifact | ({"name": key} if release.names_outputs else {})]
        }
    folder = "tmp/kfp_outputs"
    if release.output_file_in_task_root:
        scheme, _, key = task_root.partition("://")
        folder = f"{MIRRORS[scheme]}/{key}"
    file = os.path.join(disk, folder, "output_metadata.json")
    return {"artifacts": artifacts, "outputFile": file}


def recorded(
    release: Release, key: str, handed: dict[str, Any], written: dict[str, Any], number: int
) -> dict[str, Any]:
    """What ML Metadata keeps of an output: its URI, and its metadata without their types.

    Args:
      release: KFP's.
      key: Of the output.
      handed: The artifact as it was handed to the task.
      written: As the task wrote it down.
      number: That the artifact gets in ML Metadata.

    Raises:
      ValueError: KFP's launcher would stop: a type without a title, a value that it cannot keep.
    """
    kind = handed["type"]
    if not (kind.get("schemaTitle") or yaml.safe_load(kind["instanceSchema"]).get("title")):
        raise ValueError(f"{key}: no title in {kind}")
    metadata = {name: _kept(key, value) for name, value in written.get("metadata", {}).items()}
    metadata.setdefault("display_name", key)
    if release.tells_session:
        metadata.setdefault(
            "store_session_info", '{"Provider":"minio","Params":{"fromEnv":"true"}}'
        )
    uri = written.get("uri") or handed["uri"]
    return {"name": str(number), "uri": uri, "metadata": metadata}


def _kept(key: str, value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, dict):
        return {"struct": value}
    if value is None:
        raise ValueError(f"{key}: ML Metadata keeps no null")
    return value


def handed_on(artifact: dict[str, Any]) -> dict[str, Any]:
    """A recorded artifact as an input: the schema of its type is empty."""
    return {**artifact, "type": {"instanceSchema": ""}}
