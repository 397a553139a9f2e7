"""The compiled pipeline: what Kubeflow and Argo take, and nothing of this machine."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
import shutil
import sys
from typing import Any

import pytest
import yaml

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import ConfigError, RunConfig, load_config
from ranklite.pipeline.kubeflow.compiler import ENTRYPOINT, NotCompilable, compile_pipeline
from ranklite.pipeline.kubeflow.run_record import NAME_PARAMETER
from tests.kubeflow_backend import ROOT, load
from tests.kubeflow_server import kubeflow_server

pytestmark = pytest.mark.slow

KUBEFLOW: dict[str, Any] = {
    "image": "registry.example/ranklite:1",
    "pipeline_root": "gs://bucket/ranklite",
    "data": "gs://bucket/logs",
    "defaults": {"cpu": 2, "memory": "4G", "retries": 1, "timeout": "2h"},
    "tasks": {
        "Trainer": {"memory": "16G", "accelerator": {"count": 1}, "timeout": "6h"},
        "StatisticsGen": {"cache": False},
    },
    "secrets": [{"name": "minio", "env": {"accesskey": "AWS_ACCESS_KEY_ID"}}],
}
ON_ENGINE = ("LogExampleGen", "StatisticsGen", "Transform")
RAY = {"kind": "ray", "address": "ray://ranklite-head-svc:10001"}
VOLUME = {"claim": "ranklite", "path": "/mnt/ranklite"}


def configuration(folder: pathlib.Path, name: str = "synthetic", **changes: Any) -> RunConfig:
    settings = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text(encoding="utf-8"))
    settings |= {"kubeflow": KUBEFLOW, **changes}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_config(str(path))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("compiled")
    config = configuration(
        folder,
        source={"files": "log-{SPAN}.csv"},
        beam={"pipeline_args": ["--runner=FlinkRunner", "--flink_master=flink:8081"]},
    )
    path = folder / "pipeline.yaml"
    compile_pipeline(config, str(path))
    return load(str(path)), path.read_text(encoding="utf-8")


def containers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Container of each task."""
    return {
        name: document["deploymentSpec"]["executors"][
            document["components"][task["componentRef"]["name"]]["executorLabel"]
        ]["container"]
        for name, task in document["root"]["dag"]["tasks"].items()
    }


def test_it_is_a_pipeline_spec_with_names_that_argo_takes(
    compiled: tuple[dict[str, Any], str],
) -> None:
    document, _ = compiled  # `load` has parsed it strictly
    assert document["schemaVersion"] == "2.1.0"
    names = [
        *document["root"]["dag"]["tasks"],
        *document["components"],
        *document["deploymentSpec"]["executors"],
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9]*", name) for name in names), names
    assert all(len(f"{name}-driver") <= 128 for name in names), names
    for task in document["root"]["dag"]["tasks"].values():
        assert set(task.get("dependentTasks", [])) <= set(document["root"]["dag"]["tasks"])
    assert document["root"]["inputDefinitions"]["parameters"] == {
        "span": {"parameterType": "STRING", "defaultValue": "", "isOptional": True}
    }


def test_it_fits_into_what_argo_and_linux_allow(compiled: tuple[dict[str, Any], str]) -> None:
    document, _ = compiled
    # etcd keeps objects of at most 1.5 MiB; a workflow holds the specification, and in its status
    # the parameters of every node once more.
    assert len(json.dumps(document)) < 1.5 * 2**20 / 4
    # A command's argument may have 128 KiB: the largest holds a task's whole input, whose artifacts
    # take less than 1 KiB each.
    for name, task in document["root"]["dag"]["tasks"].items():
        declared = document["components"][name]["outputDefinitions"]["artifacts"]
        artifacts = len(task.get("inputs", {}).get("artifacts", {})) + len(declared) + 1
        assert len(json.dumps(task["inputs"])) + 1024 * artifacts < 128 * 2**10, name


def test_text_that_would_be_taken_for_a_template_is_refused(tmp_path: pathlib.Path) -> None:
    query = "SELECT * FROM (SELECT *, '{{x}}' AS note FROM log)"
    config = configuration(tmp_path, source={"files": "log.csv", "query": query})
    with pytest.raises(NotCompilable, match=r"LogExampleGen: .*\{\{x\}\}.*template"):
        compile_pipeline(config, str(tmp_path / "pipeline.yaml"))


def test_every_command_exists(compiled: tuple[dict[str, Any], str]) -> None:
    document, _ = compiled
    assert document["deploymentSpec"]["executors"].keys() == {
        c["executorLabel"] for c in document["components"].values()
    }
    for container in containers(document).values():
        assert tuple(container["command"]) == ENTRYPOINT
        assert shutil.which(container["command"][0], path=pathlib.Path(sys.executable).parent)
        assert importlib.util.find_spec(container["command"][2])
        assert container["image"] == "registry.example/ranklite:1"
        path = container["args"][container["args"].index("--executor_class_path") + 1]
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path
        assert "--runner=FlinkRunner" in container["args"]


def test_nothing_of_this_machine_is_in_it(compiled: tuple[dict[str, Any], str]) -> None:
    _, text = compiled
    for path in (ROOT, pathlib.Path.home(), "/tmp/pytest", "site-packages"):
        assert str(path) not in text


def test_the_task_that_reads_the_log_is_told_of_the_run(
    compiled: tuple[dict[str, Any], str],
) -> None:
    document, _ = compiled
    tasks = document["root"]["dag"]["tasks"]
    given = {
        name: argument.removeprefix("--run=")
        for name, container in containers(document).items()
        for argument in container["args"]
        if argument.startswith("--run=")
    }
    assert given.keys() == {"LogExampleGen"}
    about = json.loads(given["LogExampleGen"])
    assert RunConfig.model_validate(about["config"]).name == document["pipelineInfo"]["name"]
    assert sorted(about["tasks"]) == sorted(tasks)
    for name, task in tasks.items():
        before = about["tasks"][: about["tasks"].index(name)]
        assert set(task.get("dependentTasks", [])) <= set(before), name
        parameters = task["inputs"]["parameters"]
        assert (NAME_PARAMETER in parameters) == (name == "LogExampleGen")
        declared = document["components"][task["componentRef"]["name"]]["inputDefinitions"]
        assert parameters.keys() == declared["parameters"].keys()


def test_tasks_get_what_the_configuration_says(compiled: tuple[dict[str, Any], str]) -> None:
    document, _ = compiled
    made = containers(document)
    tasks = document["root"]["dag"]["tasks"]
    assert made["Transform"]["resources"] == {"cpuLimit": 2.0, "memoryLimit": 4.0}
    assert made["Trainer"]["resources"] == {
        "cpuLimit": 2.0,
        "memoryLimit": 16.0,
        "accelerator": {"type": "nvidia.com/gpu", "count": "1"},
    }
    assert "--timeout=7200" in made["Transform"]["args"]
    assert "--timeout=21600" in made["Trainer"]["args"]
    assert tasks["Transform"]["retryPolicy"] == {
        "maxRetryCount": 1,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
    }
    cached = {name for name, task in tasks.items() if "cachingOptions" in task}
    assert "Transform" in cached
    never = {"LogExampleGen", "ValidationGate", "Evaluator-against-blessed", "Pusher"}
    assert not cached & (never | {"StatisticsGen"})


def test_secrets_reach_every_task(compiled: tuple[dict[str, Any], str]) -> None:
    document, text = compiled
    _, platform = yaml.safe_load_all(text)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == document["deploymentSpec"]["executors"].keys()
    assert executors["Trainer-executor"]["secretAsEnv"] == [
        {
            "secretName": "minio",
            "keyToEnv": [{"secretKey": "accesskey", "envVar": "AWS_ACCESS_KEY_ID"}],
        }
    ]


def test_twice_gives_the_same_file(tmp_path: pathlib.Path) -> None:
    config = configuration(tmp_path)
    texts = []
    for name in ("a.yaml", "b.yaml"):
        compile_pipeline(config, str(tmp_path / name))
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["frappe-distilled", "movielens", "criteo", "interactions"])
def test_every_configuration_compiles(name: str, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "pipeline.yaml")
    tasks = compile_pipeline(configuration(tmp_path, name), path)
    assert {"LogExampleGen", "Trainer", "Pusher"} <= set(tasks)
    if name == "frappe-distilled":
        assert {"Trainer-teacher-0", "Trainer-teacher-2", "BudgetSearch"} <= set(tasks)
    load(path)


def test_a_search_for_settings_hands_its_choice_to_the_trainer(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "pipeline.yaml")
    config = configuration(tmp_path, tune={"minutes": 5, "trials": 20})
    assert "SettingsSearch" in compile_pipeline(config, path)
    document = load(path)
    tasks = document["root"]["dag"]["tasks"]
    assert tasks["Trainer"]["inputs"]["artifacts"]["hyperparameters"] == {
        "taskOutputArtifact": {
            "producerTask": "SettingsSearch",
            "outputArtifactKey": "best_hyperparameters",
        }
    }
    given = tasks["SettingsSearch"]["inputs"]["parameters"]
    values = {key: one["runtimeValue"]["constant"] for key, one in given.items()}
    assert values["work_dir"] == "/tmp/ranklite-search-settings"  # in the pod
    assert json.loads(values["space"])["training.ridge"] == {
        "low": 0.5,
        "high": 100.0,
        "log": True,
    }
    assert "cachingOptions" in tasks["SettingsSearch"]


def test_other_seeds_are_a_task(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "pipeline.yaml")
    assert "SeedRepeats" in compile_pipeline(configuration(tmp_path, repeat=3), path)
    tasks = load(path)["root"]["dag"]["tasks"]
    assert tasks["RunReport"]["inputs"]["artifacts"]["seeds"] == {
        "taskOutputArtifact": {"producerTask": "SeedRepeats", "outputArtifactKey": "seeds"}
    }
    given = tasks["SeedRepeats"]["inputs"]["parameters"]
    assert given["repeat"]["runtimeValue"]["constant"] == 3
    assert given["work_dir"]["runtimeValue"]["constant"] == "/tmp/ranklite-search-seeds"
    assert "cachingOptions" in tasks["SeedRepeats"]


def test_an_engine_is_told_to_the_tasks_that_it_works_for(tmp_path: pathlib.Path) -> None:
    config = configuration(tmp_path, engine={"kind": "local", "workers": 3})
    compile_pipeline(config, str(tmp_path / "pipeline.yaml"))
    arguments = {
        name: [arg for arg in container["args"] if arg.startswith("--engine=")]
        for name, container in containers(load(str(tmp_path / "pipeline.yaml"))).items()
    }
    told = {name: given for name, given in arguments.items() if given}
    expected = ['--engine={"kind":"local","workers":3}']
    assert told == dict.fromkeys(ON_ENGINE, expected)


@pytest.mark.parametrize(
    ("data", "engine", "shares"),
    [
        ("s3://bucket/logs", RAY, True),
        ("/mnt/ranklite/logs", RAY, True),
        ("/mnt/ranklite/logs", {"kind": "local"}, False),
    ],
)
def test_a_claim_is_mounted_where_an_engine_works(
    data: str, engine: dict[str, Any], shares: bool, tmp_path: pathlib.Path
) -> None:
    kubeflow = {**KUBEFLOW, "data": data, "shared_volume": VOLUME}
    path = tmp_path / "pipeline.yaml"
    compile_pipeline(configuration(tmp_path, kubeflow=kubeflow, engine=engine), str(path))
    _, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {label: given["pvcMount"] for label, given in executors.items() if "pvcMount" in given}
    mount = {"constant": "ranklite", "mountPath": "/mnt/ranklite"}
    assert mounts == {f"{name}-executor": [mount] for name in ON_ENGINE}
    assert all("secretAsEnv" in given for given in executors.values())
    told = {
        name: "--shared=/mnt/ranklite" in container["args"]
        for name, container in containers(load(str(path))).items()
    }
    assert {name for name, is_told in told.items() if is_told} == (
        set(ON_ENGINE) if shares else set()
    )


def test_a_claim_alone_is_mounted(tmp_path: pathlib.Path) -> None:
    kubeflow = {**KUBEFLOW, "data": "/mnt/ranklite/logs", "shared_volume": VOLUME, "secrets": []}
    path = tmp_path / "pipeline.yaml"
    compile_pipeline(configuration(tmp_path, kubeflow=kubeflow), str(path))
    _, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == {f"{name}-executor" for name in ON_ENGINE}


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({"claim": "Ranklite"}, "'Ranklite' is no claim that Kubeflow can mount"),
        ({"claim": "shared.ranklite"}, "without a dot"),
        ({"claim": "c" * 64}, "63 at most"),
        ({"path": "mnt"}, "'mnt' is no path to mount at: write an absolute one"),
        ({"path": "/mnt/../etc"}, "without '..'"),
        ({"path": "/mnt/ranklite/"}, "a slash at its end"),
        ({"path": "/mnt/a:b"}, "'/mnt/a:b' is no path"),
        ({"path": "/"}, "'/' is in use in the pods"),
        ({"path": "/s3/bucket"}, "'/s3/bucket' is in use in the pods"),
        ({"size": "5Gi"}, "size"),
    ],
)
def test_a_wrong_volume_is_told(volume: dict[str, Any], why: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        configuration(tmp_path, kubeflow={"shared_volume": {**VOLUME, **volume}})


@pytest.mark.parametrize(
    ("kubeflow", "changes", "why"),
    [
        ({"image": None}, {}, "kubeflow.image is not set.*--image"),
        ({"pipeline_root": "/mnt/nfs"}, {}, "'/mnt/nfs' is no URI that Kubeflow keeps"),
        ({"tasks": {"Trainr": {"cpu": 1}}}, {}, "no task 'Trainr'; there are Evaluator"),
        ({}, {"engine": RAY}, "engine.kind: ray needs kubeflow.shared_volume on Kubeflow"),
        ({}, {"engine": {"kind": "spark", "master": "yarn"}}, "kind: spark needs kubeflow.shared"),
        (
            {"shared_volume": VOLUME, "data": "/mnt/ranklite-logs"},
            {"engine": RAY},
            "kubeflow.data: /mnt/ranklite-logs is a folder.* put the log below /mnt/ranklite, or",
        ),
    ],
)
def test_what_cannot_run_there_is_refused(
    kubeflow: dict[str, Any], changes: dict[str, Any], why: str, tmp_path: pathlib.Path
) -> None:
    config = configuration(tmp_path, kubeflow={**KUBEFLOW, **kubeflow}, **changes)
    with pytest.raises(NotCompilable, match=why):
        compile_pipeline(config, str(tmp_path / "pipeline.yaml"))
    assert not (tmp_path / "pipeline.yaml").exists()


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"memory": "lots"}, "'lots': write such as 512M or 16G"),
        ({"timeout": "2 hours"}, "'2 hours': write such as 90s, 30m, 2h or 1d"),
        ({"cpu": 0}, "greater than 0"),
        ({"retrys": 2}, "retrys"),
    ],
)
def test_a_wrong_task_is_told_by_its_line(
    task: dict[str, Any], why: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        configuration(tmp_path, kubeflow={"defaults": task})


def test_from_a_configuration_to_a_schedule(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = ["--config", str(tmp_path / "config.yaml")]
    compiled = tmp_path / "compiled.yaml"
    assert main(["kubeflow", "compile", *config, "-o", str(compiled)]) == 0
    assert "16 tasks written to" in capsys.readouterr().out
    with kubeflow_server() as server:
        command = ["kubeflow", "schedule", *config, "--cron", "30 2 * * mon-fri"]
        command += ["--host", server.host]
        assert main([*command, "--dry-run"]) == 0
        assert "POST /apis/v2beta1/recurringruns" in capsys.readouterr().out
        assert server.changes() == []
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert "synthetic: version versions-" in printed
        assert "at '30 2 * * mon-fri' (UTC)" in printed
        assert server.uploads[-1][1] == compiled.read_bytes()
        (schedule,) = server.kept["recurringruns"]
        assert schedule["trigger"]["cron_schedule"]["cron"] == "0 30 2 * * mon-fri"
        assert main(command) == 0
        assert "is there already, unchanged" in capsys.readouterr().out
        assert len(server.kept["recurringruns"]) == 1
        server.failures = [("GET", "pipelines", 401)]
        assert main(command) == 1
        assert "kfp takes credentials from" in capsys.readouterr().err
