"""Runs a compiled pipeline as Kubeflow Pipelines would, each task by its exact command.

What the backend's driver and launcher do is done here: the executor's input is made from the
tasks before it (`kubeflow_driver`), artifacts are copied from object storage to the pod's disk
before the command and back after it, and the disk is empty for the next task.
"""

from __future__ import annotations

import concurrent.futures
import itertools
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
from tests import kubeflow_driver as driver
from tests.object_store import ObjectStore

ROOT = pathlib.Path(__file__).parents[1]


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
      release: Of KFP.
    """

    def __init__(
        self,
        store: ObjectStore,
        work: pathlib.Path,
        parallel: int = 2,
        release: driver.Release = driver.NEWEST,
    ) -> None:
        self.store, self.work, self.parallel, self.release = store, work, parallel, release
        self.runs = 0
        self._numbers = itertools.count(1)  # of artifacts in ML Metadata

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
                    del tasks[name]
                    future = pool.submit(self.run_task, document, name, dict(done), parameters)
                    running[future] = name
                assert running, f"the tasks {sorted(tasks)} wait for each other"
                finished, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in finished:
                    done[running.pop(future)] = future.result()
        return done

    def _inputs(
        self,
        document: dict[str, Any],
        task: dict[str, Any],
        done: dict[str, dict[str, Any]],
        given: dict[str, Any],
    ) -> dict[str, Any]:
        """The `inputs` of a task's ExecutorInput."""
        artifacts = {}
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            output = source["taskOutputArtifact"]
            artifact = done[output["producerTask"]][output["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [driver.handed_on(artifact)]}
        values = driver.parameter_values(
            self.release, f"run-{self.runs}", document["root"], task, given
        )
        return {"parameterValues": values, "artifacts": artifacts}

    def run_task(
        self,
        document: dict[str, Any],
        name: str,
        done: dict[str, dict[str, Any]],
        given: dict[str, Any],
    ) -> dict[str, Any]:
        """Runs a task's command in a pod of its own.

        Args:
          document: The compiled pipeline.
          name: Of the task.
          done: Output artifacts of earlier tasks, by task and key.
          given: Parameters of the run.

        Returns:
          Its output artifacts by key.
        """
        task = document["root"]["dag"]["tasks"][name]
        inputs = self._inputs(document, task, done, given)
        component = document["components"][task["componentRef"]["name"]]
        executor = document["deploymentSpec"]["executors"][component["executorLabel"]]
        container = executor["container"]
        root = f"{document['defaultPipelineRoot']}/{document['pipelineInfo']['name']}"
        declared = component["outputDefinitions"]["artifacts"]
        with tempfile.TemporaryDirectory(dir=self.work) as disk:
            outputs = driver.provisioned(
                self.release, f"{root}/run-{self.runs}", name, declared, disk
            )
            for listed in inputs["artifacts"].values():
                for artifact in listed["artifacts"]:
                    self._mirror(artifact["uri"], disk)
            argument = json.dumps({"inputs": inputs, "outputs": outputs})
            arguments = [part.replace("{{$}}", argument) for part in container.get("args", [])]
            command = [*container["command"], *arguments]
            self._execute(name, command, disk)
            written = json.loads(pathlib.Path(outputs["outputFile"]).read_text())["artifacts"]
            assert written.keys() == declared.keys(), f"{name}: wrote what is Kubeflow's"
            made = {}
            for key in declared:
                (handed,) = outputs["artifacts"][key]["artifacts"]
                (artifact,) = written[key]["artifacts"]
                assert artifact["uri"] == handed["uri"], f"{name}: another URI for {key}"
                self._upload(handed["uri"], disk)
                number = next(self._numbers)
                made[key] = driver.recorded(self.release, key, handed, artifact, number)
            return made

    def _execute(self, name: str, command: list[str], disk: str) -> None:
        environment = {
            **os.environ,
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            storage.MOUNTS_ENV: disk,
        }
        process = subprocess.run(
            command, env=environment, cwd=disk, capture_output=True, text=True, check=False
        )
        if process.returncode:
            raise TaskFailed(f"{name}: exit {process.returncode}\n{process.stderr[-6000:]}")

    def _folder(self, uri: str, disk: str) -> pathlib.Path:
        scheme, key = uri.split("://")
        return pathlib.Path(disk, driver.MIRRORS[scheme], key)

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
