"""Clusters of Ray and Spark work for tasks on Kubeflow, whose own disks they do not see."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import yaml

from ranklite.components.trainer.workers import free_ports
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.compiler import compile_pipeline
from tests import engine_clusters, nightly
from tests.kubeflow_backend import Backend, TaskFailed, load
from tests.object_store import object_store

pytestmark = pytest.mark.e2e

ON_ENGINE = ("LogExampleGen", "StatisticsGen", "Transform")
# Two runs without an engine differ in these, too: seconds, and the name of a temporary folder.
NEVER_EQUAL = {
    "report/report.json",
    "transform_graph/transform_fn/saved_model.pb",
    "transform_graph/transform_fn/fingerprint.pb",
}

Files: TypeAlias = dict[str, dict[str, bytes]]  # of each task's artifacts
Settings: TypeAlias = dict[str, Any]


class Kubeflow:
    """Object storage with two nights, and pods.

    Attributes:
      claim: A volume that all see.
      disks: Where the pods' disks are, which no cluster sees.
    """

    def __init__(self, folder: pathlib.Path, backend: Backend) -> None:
        self._folder, self._backend = folder, backend
        self.claim, self.disks = folder / "claim", folder / "disks"

    def run(self, engine: Settings | None = None, volume: pathlib.Path | None = None) -> Files:
        """Runs the tasks that an engine works for, and those before them.

        Args:
          engine: Its settings.
          volume: Shared with its workers.
        """
        settings = nightly.settings(
            image="ranklite:test", pipeline_root="s3://bucket/root", data="s3://bucket/logs"
        )
        if engine:
            settings["engine"] = engine
            settings["kubeflow"]["shared_volume"] = {"claim": "ranklite", "path": str(volume)}
        config, compiled = self._folder / "config.yaml", str(self._folder / "pipeline.yaml")
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        compile_pipeline(load_config(str(config)), compiled)
        outputs = self._backend.run(_up_to(load(compiled), ON_ENGINE))
        return {
            task: {
                f"{key}/{name}": storage.read(f"{artifact['uri']}/{name}") or b""
                for key, artifact in outputs[task].items()
                for name in storage.files(artifact["uri"])
            }
            for task in ON_ENGINE
        }


def _up_to(document: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A pipeline of some tasks, and those that they depend on."""
    tasks, wanted, left = document["root"]["dag"]["tasks"], set[str](), list(names)
    while left:
        name = left.pop()
        wanted.add(name)
        left += tasks[name].get("dependentTasks", [])
    document["root"]["dag"]["tasks"] = {name: tasks[name] for name in wanted}
    return document


@contextlib.contextmanager
def _ray(hidden: pathlib.Path, folder: pathlib.Path) -> Iterator[Settings]:
    if why := engine_clusters.lacks_ray():
        pytest.skip(why)
    [port] = free_ports(1)
    with engine_clusters.elsewhere(f"ray_cluster({port})", hidden, folder / "log"):
        yield {"kind": "ray", "address": f"ray://127.0.0.1:{port}"}


@contextlib.contextmanager
def _spark(hidden: pathlib.Path, folder: pathlib.Path) -> Iterator[Settings]:
    if why := engine_clusters.lacks_spark():
        pytest.skip(why)
    cluster = f"spark_cluster(pathlib.Path({str(folder)!r}))"
    with engine_clusters.elsewhere(cluster, hidden, folder / "log") as master:
        yield {"kind": "spark", "master": master, "options": engine_clusters.SPARK_OPTIONS}


CLUSTERS: dict[
    str, Callable[[pathlib.Path, pathlib.Path], contextlib.AbstractContextManager[Settings]]
] = {"ray": _ray, "spark": _spark}


@pytest.fixture(scope="module")
def kubeflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubeflow]:
    folder = tmp_path_factory.mktemp("kubeflow")
    with object_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        storage._store.cache_clear()
        for number in range(2):
            name, text = nightly.log(folder / "all", number)
            store.objects[f"bucket/logs/{name}"] = text.encode()
        for name in ("claim", "disks"):
            (folder / name).mkdir()
        yield Kubeflow(folder, Backend(store, folder / "disks"))
    storage._store.cache_clear()


@pytest.fixture(scope="module")
def plain(kubeflow: Kubeflow) -> Files:
    return kubeflow.run()


@pytest.fixture(scope="module")
def engine(
    request: pytest.FixtureRequest, kubeflow: Kubeflow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    if why := engine_clusters.lacks_namespaces():
        pytest.skip(why)
    with CLUSTERS[request.param](kubeflow.disks, tmp_path_factory.mktemp("cluster")) as settings:
        yield settings


@pytest.mark.parametrize("engine", CLUSTERS, indirect=True)
def test_a_cluster_writes_what_a_pod_writes(
    engine: Settings, kubeflow: Kubeflow, plain: Files
) -> None:
    written = kubeflow.run(engine, kubeflow.claim)
    for task in ON_ENGINE:
        assert written[task].keys() == plain[task].keys()
        names = sorted(plain[task].keys() - NEVER_EQUAL)
        assert [name for name in names if written[task][name] != plain[task][name]] == []
        assert sum(name.endswith((".gz", ".pb")) for name in names) >= 2, names
    assert list(kubeflow.claim.iterdir()) == []


@pytest.mark.parametrize("engine", ["ray"], indirect=True)
def test_a_volume_that_workers_do_not_see_is_told(engine: Settings, kubeflow: Kubeflow) -> None:
    volume = kubeflow.disks / "claim"
    volume.mkdir()
    with pytest.raises(TaskFailed, match=r"a worker of engine\.kind: ray cannot write in .*claim"):
        kubeflow.run(engine, volume)
    assert list(volume.iterdir()) == []
