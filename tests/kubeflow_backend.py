"""Runs a compiled pipeline as Kubeflow Pipelines would, each task by its exact command.

What the backend's driver and launcher do is done here: the executor's input is made from the
tasks before it, artifacts are copied from object storage to the pod's disk before the command and
back after it, and the disk is empty for the next task. As KFP does, from 2.5 on, it hands out an
output `executor-logs` of its own type; inputs have types without a schema.
"""

from __future__ import annotations

import concurrent.futures
import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from ranklite.pipeline.kubeflow import storage
from tests.object_store import ObjectStore

ROOT = pathlib.Path(__file__).parents[1]
LOGS = "executor-logs"


class TaskFailed(AssertionError):
    """A task's command failed; the message ends with what it wrote."""


def load(path: str) -> dict[str, Any]:
    """Reads a compiled pipeline, strictly: an unknown field is an error."""
    document: dict[str, Any] = next(yaml.safe_load_all(pathlib.Path(path).read_text()))
    json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)
    return document


class Backend:
    """Object storage and the pods of a cluster.

    Args:
      store: The object storage.
      work: A folder for the pods' disks.
      parallel: Tasks at a time.
    """

    def __init__(self, store: ObjectStore, work: pathlib.Path, parallel: int = 2) -> None:
        self.store, self.work, self.parallel = store, work, parallel
        self.runs = 0

    def run(self, document: dict[str, Any], **parameters: Any) -> dict[str, dict[str, Any]]:
        """Runs all tasks in order of their dependencies; returns their outputs by task.

        Raises:
          TaskFailed: A command failed.
        """
        self.runs += 1
        tasks = dict(document["root"]["dag"]["tasks"])
        done: dict[str, dict[str, Any]] = {}
        with concurrent.futures.ThreadPoolExecutor(self.parallel) as pool:
            running: dict[concurrent.futures.Future[dict[str, Any]], str] = {}
            while tasks or running:
                ready = [n for n, t in tasks.items() if {*t.get("dependentTasks", [])} <= {*done}]
                for name in sorted(ready):
                    task = self._input(document, name, tasks.pop(name), done, parameters)
                    running[pool.submit(self._pod, document, name, task)] = name
                assert running, f"the tasks {sorted(tasks)} wait for each other"
                finished, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in finished:
                    done[running.pop(future)] = future.result()
        return done

    def _input(
        self,
        document: dict[str, Any],
        name: str,
        task: dict[str, Any],
        done: dict[str, dict[str, Any]],
        given: dict[str, Any],
    ) -> dict[str, Any]:
        """The ExecutorInput of a task."""
        component = document["components"][task["componentRef"]["name"]]
        defaults = document["root"].get("inputDefinitions", {}).get("parameters", {})
        values = {}
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            if "runtimeValue" in source:
                values[key] = source["runtimeValue"]["constant"]
            else:
                parameter = source["componentInputParameter"]
                values[key] = given.get(parameter, defaults[parameter].get("defaultValue", ""))
        inputs = {}
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            output = source["taskOutputArtifact"]
            artifact = done[output["producerTask"]][output["outputArtifactKey"]]
            given_type = {"schemaVersion": "0.0.1", "instanceSchema": ""}  # the schema is not kept
            inputs[key] = {"artifacts": [{**copy.deepcopy(artifact), "type": given_type}]}
        outputs = {}
        root = document["defaultPipelineRoot"]
        for key, made in component["outputDefinitions"]["artifacts"].items():
            place = f"{root}/run-{self.runs}/{name}/{key}"
            artifact = {"name": place, "uri": place, "type": made["artifactType"], "metadata": {}}
            outputs[key] = {"artifacts": [artifact]}
        logs = f"{root}/run-{self.runs}/{name}/executor-logs"
        outputs[LOGS] = {
            "artifacts": [
                {
                    "name": LOGS,
                    "uri": logs,
                    "type": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
                    "metadata": {},
                }
            ]
        }
        return {
            "inputs": {"parameterValues": values, "artifacts": inputs},
            "outputs": {"artifacts": outputs},
        }

    def _pod(self, document: dict[str, Any], name: str, task: dict[str, Any]) -> dict[str, Any]:
        """Runs a task's command; returns its output artifacts by key."""
        component = document["components"][name]
        executor = document["deploymentSpec"]["executors"][component["executorLabel"]]
        container = executor["container"]
        with tempfile.TemporaryDirectory(dir=self.work) as disk:
            task["outputs"]["outputFile"] = os.path.join(disk, "kfp_outputs/output_metadata.json")
            environment = {
                **os.environ,
                "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                storage.MOUNTS_ENV: disk,
            }
            for listed in task["inputs"]["artifacts"].values():
                for artifact in listed["artifacts"]:
                    self._mirror(artifact["uri"], disk)
            argument = json.dumps(task)
            arguments = [part.replace("{{$}}", argument) for part in container.get("args", [])]
            command = [*container["command"], *arguments]
            process = subprocess.run(
                command, env=environment, cwd=disk, capture_output=True, text=True, check=False
            )
            if process.returncode:
                raise TaskFailed(f"{name}: exit {process.returncode}\n{process.stderr[-6000:]}")
            reported = json.loads(pathlib.Path(task["outputs"]["outputFile"]).read_text())
            outputs = {}
            for key, listed in task["outputs"]["artifacts"].items():
                if key == LOGS:
                    assert LOGS not in reported["artifacts"], f"{name}: wrote what is Kubeflow's"
                    continue
                (declared,) = listed["artifacts"]
                (written,) = reported["artifacts"][key]["artifacts"]
                assert written["uri"] == declared["uri"], (
                    f"{name}: the URI of {key} was not put back"
                )
                self._upload(declared["uri"], disk)
                outputs[key] = {**declared, "metadata": written.get("metadata", {})}
            return outputs

    def _folder(self, uri: str, disk: str) -> pathlib.Path:
        scheme, key = uri.split("://")
        return pathlib.Path(disk, scheme, key)

    def _mirror(self, uri: str, disk: str) -> None:
        for name, content in self.store.below(uri.split("://")[1]).items():
            path = self._folder(uri, disk) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _upload(self, uri: str, disk: str) -> None:
        folder = self._folder(uri, disk)
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{uri.split('://')[1]}/{path.relative_to(folder).as_posix()}"
                self.store.objects[key] = path.read_bytes()
        shutil.rmtree(folder, ignore_errors=True)
