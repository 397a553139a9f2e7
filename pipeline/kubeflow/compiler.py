"""Compiles a configuration into a pipeline that Kubeflow Pipelines 2 runs."""

from __future__ import annotations

import contextlib
import io
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import yaml

from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.config import TaskConfig
from ranklite.pipeline.kubeflow.run_record import announce

ENTRYPOINT = ("python", "-m", "ranklite.pipeline.kubeflow.entrypoint")
SPAN_PARAMETER = "span"
_ON_ENGINE = ("LogExampleGen", "StatisticsGen", "Transform")  # tasks that an engine works for
_WORK_DIR = "/tmp/ranklite-search"  # in the pod


class NotCompilable(ValueError):
    """The configuration cannot run on Kubeflow; the message says why."""


def folders(config: RunConfig, pipeline_root: str) -> dict[str, str]:
    """Where a pipeline's runs put things, by role."""
    root = storage.join(pipeline_root, config.name)
    return {
        "artifacts": storage.join(root, "artifacts"),
        "history": storage.join(root, "history"),
        "rejects": storage.join(root, "rejects"),
        "pushed": config.push.directory or storage.join(root, "pushed"),
    }


def compile_pipeline(
    config: RunConfig,
    path: str,
    *,
    image: str | None = None,
    pipeline_root: str | None = None,
    data: str | None = None,
) -> list[str]:
    """Writes the pipeline as YAML, schema 2.1.0.

    The same configuration and code always give the same file, and nothing of this machine is in it.

    Args:
      config: The validated configuration.
      path: The file to write; it appears whole or not at all.
      image: Container image; None takes the configuration's.
      pipeline_root: URI for artifacts; None takes the configuration's.
      data: URI or mounted folder of the log; None takes the configuration's.

    Returns:
      Names of the tasks, in the order of the file.

    Raises:
      NotCompilable: Something is missing, or does not run on Kubeflow.
    """
    given = {
        "image": image or config.kubeflow.image,
        "pipeline_root": pipeline_root or config.kubeflow.pipeline_root,
        "data": data or config.kubeflow.data,
    }
    if missing := [key for key, value in given.items() if not value]:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in missing)
        raise NotCompilable(
            f"{config.name}: kubeflow.{missing[0]} is not set; give it in the configuration, or "
            f"{options} on the command line"
        )
    image, root, logs = (str(given[key]) for key in ("image", "pipeline_root", "data"))
    if not storage.is_remote(root):
        raise NotCompilable(
            f"the pipeline root {root!r} is no URI that Kubeflow keeps artifacts in: gs://, s3:// "
            "or minio://"
        )
    _check_shared(config, logs)
    with tempfile.TemporaryDirectory() as work:
        document = _with_plain_names(_compile(config, work, image, root, logs))
    tasks = sorted(document["root"]["dag"]["tasks"])
    unknown = sorted(set(config.kubeflow.tasks) - {*tasks, *(t.split("-")[0] for t in tasks)})
    if unknown:
        raise NotCompilable(
            f"kubeflow.tasks: there is no task {unknown[0]!r}; there are {', '.join(tasks)}"
        )
    document["defaultPipelineRoot"] = folders(config, root)["artifacts"]
    for parameter in document["root"].get("inputDefinitions", {}).get("parameters", {}).values():
        parameter |= {"defaultValue": "", "isOptional": True}  # TFX leaves an empty default out
    history = folders(config, root)["history"]
    for name in tasks:
        _configure(document, name, config.kubeflow.task(name), history)
        if config.engine and name in _ON_ENGINE:
            _container(document, name)["args"] += _of_engine(config)
    _refuse_templates(document)
    documents = [document]
    announce(document, config.model_dump(mode="json"))
    if config.kubeflow.secrets or config.kubeflow.shared_volume:
        documents.append(_platform(document, config))
    text = yaml.safe_dump_all(documents, sort_keys=True)
    storage.write(path, text.encode())
    return tasks


def _compile(
    config: RunConfig, work: str, image: str, pipeline_root: str, data: str
) -> dict[str, Any]:
    """What TFX compiles."""
    from tfx.orchestration import data_types
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

    from ranklite.pipeline.history import FolderHistory
    from ranklite.pipeline.pipeline import create_pipeline

    places = folders(config, pipeline_root)
    span: str | data_types.RuntimeParameter = ""
    if config.ingest.has_spans:
        span = data_types.RuntimeParameter(SPAN_PARAMETER, str, default="")
    dag = create_pipeline(
        config,
        data_root=data,
        pipeline_root=places["artifacts"],
        push_dir=places["pushed"],
        rejects_dir=places["rejects"],
        work_dir=_WORK_DIR,
        history=FolderHistory(),
        span=span,
    )
    runner = kubeflow.KubeflowV2DagRunner(
        kubeflow.KubeflowV2DagRunnerConfig(
            default_image=image,
            default_commands=list(ENTRYPOINT),
            use_pipeline_spec_2_1=True,
        ),
        output_dir=work,
        output_filename="pipeline.yaml",
    )
    with _quiet():
        runner.run(dag)
    return yaml.safe_load(pathlib.Path(work, "pipeline.yaml").read_text(encoding="utf-8"))


def plain(name: str) -> str:
    """A node's id as Argo, which runs the tasks, takes names: `[a-zA-Z0-9][-a-zA-Z0-9]*`."""
    return name.replace(".", "-").replace("_", "-")


def _with_plain_names(document: dict[str, Any]) -> dict[str, Any]:
    tasks: dict[str, Any] = {}
    for name, task in document["root"]["dag"]["tasks"].items():
        task["taskInfo"]["name"] = plain(name)
        task["componentRef"]["name"] = plain(task["componentRef"]["name"])
        if "dependentTasks" in task:
            task["dependentTasks"] = sorted(map(plain, task["dependentTasks"]))
        for given in task.get("inputs", {}).get("artifacts", {}).values():
            output = given["taskOutputArtifact"]
            output["producerTask"] = plain(output["producerTask"])
        if plain(name) in tasks:
            raise NotCompilable(f"two tasks are called {plain(name)!r} in Argo's names")
        tasks[plain(name)] = task
    document["root"]["dag"]["tasks"] = tasks
    for component in document["components"].values():
        component["executorLabel"] = plain(component["executorLabel"])
    document["components"] = {plain(k): v for k, v in document["components"].items()}
    executors = document["deploymentSpec"]["executors"]
    document["deploymentSpec"]["executors"] = {plain(k): v for k, v in executors.items()}
    return document


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _label(document: dict[str, Any], name: str) -> str:
    """The executor of a task."""
    task = document["root"]["dag"]["tasks"][name]
    label: str = document["components"][task["componentRef"]["name"]]["executorLabel"]
    return label


def _container(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The container of a task."""
    executors = document["deploymentSpec"]["executors"]
    container: dict[str, Any] = executors[_label(document, name)]["container"]
    return container


def _configure(document: dict[str, Any], name: str, task: TaskConfig, history: str) -> None:
    """Adds to a task what TFX has no words for."""
    from ranklite.pipeline.history import HISTORY_PROPERTY

    spec = document["root"]["dag"]["tasks"][name]
    container = _container(document, name)
    container["args"] += [f"--history={history}"]
    if task.timeout:
        container["args"] += [f"--timeout={task.timeout:g}"]
    resources: dict[str, Any] = {}
    if task.cpu:
        resources["cpuLimit"] = task.cpu
    if task.memory:
        resources["memoryLimit"] = task.memory
    if task.accelerator:
        resources["accelerator"] = {
            "type": task.accelerator.type,
            "count": str(task.accelerator.count),
        }
    if resources:
        container["resources"] = resources
    if task.retries:
        spec["retryPolicy"] = {
            "maxRetryCount": task.retries,
            "backoffDuration": f"{task.backoff:g}s",
            "backoffFactor": 2.0,
        }
    spec.pop("cachingOptions", None)
    # The log, and what earlier runs left, change without the task's inputs changing.
    reads = {"data_root", HISTORY_PROPERTY} & spec["inputs"]["parameters"].keys()
    if task.cache and not reads:
        spec["cachingOptions"] = {"enableCache": True}


def _refuse_templates(document: dict[str, Any]) -> None:
    """Argo, which runs the tasks, and Kubeflow replace some of what stands in double braces."""
    for name, task in document["root"]["dag"]["tasks"].items():
        for key, given in task["inputs"]["parameters"].items():
            value = given.get("runtimeValue", {}).get("constant")
            if isinstance(value, str) and "{{" in value:
                place = value.index("{{")
                raise NotCompilable(
                    f"{name}: its parameter {key} holds {value[place : place + 20]!r}; Argo and "
                    "Kubeflow take double braces for a template of theirs"
                )


def _check_shared(config: RunConfig, logs: str) -> None:
    """Refuses an engine whose workers would not see what a task reads and writes."""
    if config.engine is None or config.engine.on_this_machine:
        return
    volume = config.kubeflow.shared_volume
    if volume is None:
        raise NotCompilable(
            f"engine.kind: {config.engine.kind} needs kubeflow.shared_volume on Kubeflow: the "
            "workers of a cluster do not see the folders of a pod. Name a ReadWriteMany claim that "
            "pods and workers mount under one path, kubeflow.shared_volume: {claim: ranklite, "
            "path: /mnt/ranklite}; or use engine: {kind: local}, whose processes share the pod, "
            "with kubeflow.tasks for its size"
        )
    if not storage.is_remote(logs) and not volume.holds(logs):
        raise NotCompilable(
            f"kubeflow.data: {logs} is a folder, and the workers of engine.kind: "
            f"{config.engine.kind} see those in kubeflow.shared_volume.path only: put the log "
            f"below {volume.path}, or into object storage"
        )


def _of_engine(config: RunConfig) -> list[str]:
    """Arguments of a task that an engine works for."""
    assert config.engine is not None
    arguments = [f"--engine={config.engine.model_dump_json()}"]
    if config.kubeflow.shared_volume and not config.engine.on_this_machine:
        arguments.append(f"--shared={config.kubeflow.shared_volume.path}")
    return arguments


def _platform(document: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """What only Kubernetes understands: secrets as environment variables, a mounted claim."""
    secrets = [
        {
            "secretName": secret.name,
            "keyToEnv": [{"secretKey": k, "envVar": v} for k, v in sorted(secret.env.items())],
        }
        for secret in config.kubeflow.secrets
    ]
    executors: dict[str, dict[str, Any]] = {
        label: {"secretAsEnv": secrets} if secrets else {}
        for label in document["deploymentSpec"]["executors"]
    }
    if volume := config.kubeflow.shared_volume:
        # Every release reads `constant`; the older ones do not know `pvcNameParameter`.
        mount = {"constant": volume.claim, "mountPath": volume.path}
        for name in _ON_ENGINE:
            executors[_label(document, name)]["pvcMount"] = [mount]
    executors = {label: given for label, given in executors.items() if given}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
