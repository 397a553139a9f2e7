"""Runs a compiled pipeline by kfp's own code, each task in a container: `kfp.local`'s DockerRunner.

    python driver.py PIPELINE.yaml SETTINGS.json

It runs in an environment that has kfp and knows nothing of RankLite. The settings are `root` (a
folder for artifacts), `arguments` (of the pipeline) and `container` (of `docker run`). The process
fails where a task failed.

kfp's code is kinder than the backend in two ways, and errs in one. What the backend does is put
back here:

    1. from 2.5 on, every task has an output `executor-logs` of kfp's own type;
    2. an artifact is handed on without the schema of its type: `instanceSchema: ""`;
    3. a container that is removed before its exit code was asked for counts as succeeded, whatever
       it ended with: so it is removed afterwards.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import docker
import yaml
from docker.models.containers import Container, ContainerCollection
from google.protobuf import json_format
from kfp import local
from kfp.local import executor_input_utils, pipeline_orchestrator
from kfp.pipeline_spec import pipeline_spec_pb2

LOGS = {"artifactType": {"schemaTitle": "system.Artifact"}}


def specification(path: str) -> pipeline_spec_pb2.PipelineSpec:
    """Reads a compiled pipeline, strictly, with the outputs that the backend adds to its tasks."""
    with open(path, encoding="utf-8") as file:
        document = next(yaml.safe_load_all(file))
    # kfp.local names folders by components, less the `comp-` that kfp's own compiler puts there.
    document["components"] = {f"comp-{k}": v for k, v in document["components"].items()}
    for task in document["root"]["dag"]["tasks"].values():
        task["componentRef"]["name"] = f"comp-{task['componentRef']['name']}"
    for component in document["components"].values():
        outputs = component.setdefault("outputDefinitions", {}).setdefault("artifacts", {})
        outputs["executor-logs"] = LOGS
    return json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())


def hand_on_as_the_backend_does() -> None:
    """Takes the schema from the types of inputs, and numbers for names as ML Metadata's ids are."""
    made = executor_input_utils.dsl_artifact_to_artifact_list

    def without_schema(artifact: Any) -> Any:
        listed = made(artifact)
        for entry in listed.artifacts:
            entry.type.Clear()
            entry.type.instance_schema = ""
        return listed

    executor_input_utils.dsl_artifact_to_artifact_list = without_schema


def keep_exit_codes() -> None:
    """Removes containers after their exit codes have been read."""
    run, wait = ContainerCollection.run, Container.wait

    @functools.wraps(run)
    def run_and_keep(self: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, *args, **{**kwargs, "auto_remove": False})

    @functools.wraps(wait)
    def wait_and_remove(self: Any, **kwargs: Any) -> Any:
        try:
            return wait(self, **kwargs)
        finally:
            self.remove(force=True)

    ContainerCollection.run, Container.wait = run_and_keep, wait_and_remove


def main(path: str, settings_path: str) -> None:
    """Runs the pipeline; raises RuntimeError where a task failed."""
    with open(settings_path, encoding="utf-8") as file:
        settings = json.load(file)
    container = settings["container"]
    limits = container.pop("ulimits", {})
    container["ulimits"] = [
        docker.types.Ulimit(name=name, soft=most, hard=most) for name, most in limits.items()
    ]
    hand_on_as_the_backend_does()
    keep_exit_codes()
    local.init(runner=local.DockerRunner(**container), pipeline_root=settings["root"])
    pipeline_orchestrator.run_local_pipeline(specification(path), settings["arguments"])


if __name__ == "__main__":
    main(*sys.argv[1:])
