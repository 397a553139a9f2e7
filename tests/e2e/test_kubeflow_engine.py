"""A cluster of Ray works for tasks on Kubeflow, whose own disks its workers do not see."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

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
LACKS = engine_clusters.lacks_ray() or engine_clusters.lacks_namespaces()


class Place:
    """Object storage with three nights, pods, and a cluster that sees no pod's disk.

    Attributes:
      claim: The volume that pods and workers see.
      disks: Where the pods' disks are.
      backend: Runs tasks.
    """

    def __init__(self, folder: pathlib.Path, backend: Backend, ray: str) -> None:
        self._folder, self.backend, self._ray = folder, backend, ray
        self.claim, self.disks = folder / "claim", folder / "disks"

    def run(self, volume: pathlib.Path | None) -> dict[str, dict[str, bytes]]:
        """Runs the tasks that an engine works for, and those before them.

        Args:
          volume: Shared with the workers of Ray; None takes no engine.

        Returns:
          Files of each task's artifacts.
        """
        kubeflow: dict[str, Any] = {
            "image": "ranklite:test",
            "pipeline_root": "s3://bucket/root",
            "data": "s3://bucket/logs",
        }
        settings = nightly.settings(**kubeflow)
        if volume:
            settings["kubeflow"]["shared_volume"] = {"claim": "ranklite", "path": str(volume)}
            settings["engine"] = {"kind": "ray", "address": self._ray}
        config, compiled = self._folder / "config.yaml", str(self._folder / "pipeline.yaml")
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        compile_pipeline(load_config(str(config)), compiled)
        outputs = self.backend.run(_up_to(load(compiled), ON_ENGINE))
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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if LACKS:
        pytest.skip(LACKS)
    folder = tmp_path_factory.mktemp("engine")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(object_store())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in store.environment.items():
            patch.setenv(name, value)
        storage._store.cache_clear()
        stack.callback(storage._store.cache_clear)
        for name in ("claim", "disks"):
            (folder / name).mkdir()
        for number in range(2):
            name, text = nightly.log(folder / "all", number)
            store.objects[f"bucket/logs/{name}"] = text.encode()
        hidden, log = folder / "disks", folder / "ray.log"
        address = stack.enter_context(engine_clusters.ray_cluster_elsewhere(hidden, log))
        yield Place(folder, Backend(store, folder / "disks"), address)


def test_a_cluster_writes_what_a_pod_writes(place: Place) -> None:
    ours, theirs = place.run(place.claim), place.run(None)
    for task in ON_ENGINE:
        assert ours[task].keys() == theirs[task].keys()
        names = sorted(theirs[task].keys() - NEVER_EQUAL)
        assert [name for name in names if ours[task][name] != theirs[task][name]] == []
        assert sum(name.endswith((".gz", ".pb")) for name in names) >= 2, names
    assert list(place.claim.iterdir()) == []


def test_a_volume_that_workers_do_not_see_is_told(place: Place) -> None:
    volume = place.disks / "claim"
    volume.mkdir()
    with pytest.raises(TaskFailed, match=r"a worker of engine\.kind: ray cannot write in .*claim"):
        place.run(volume)
    assert list(volume.iterdir()) == []
