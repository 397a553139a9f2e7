"""Two nights on Kubeflow: every task of the compiled pipeline runs by its own command."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.compiler import compile_pipeline
from ranklite.pipeline.kubeflow.run_record import failures
from ranklite.pipeline.local.runner import outcome
from ranklite.pipeline.local.tensorboard import arrange
from ranklite.pipeline.runs.folders import Folders
from tests import nightly
from tests.kubeflow_backend import Backend, TaskFailed, load
from tests.nightly import SPANS, constants
from tests.object_store import ObjectStore, object_store

pytestmark = pytest.mark.e2e

BUCKET = "minio://bucket"
PUSHED = f"{BUCKET}/root/nightly/pushed"


@dataclasses.dataclass
class Cluster:
    """A configuration, its log night by night, and a cluster to run it on."""

    folder: pathlib.Path
    store: ObjectStore
    backend: Backend

    def __post_init__(self) -> None:
        settings = nightly.settings(
            image="ranklite:test",
            pipeline_root=f"{BUCKET}/root",
            data=f"{BUCKET}/logs",
            defaults={"timeout": "10m"},
        )
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.data.mkdir()

    @property
    def config(self) -> pathlib.Path:
        return self.folder / "nightly.yaml"

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    def night(self, number: int) -> None:
        """The log of a night arrives, in the object storage and on this machine."""
        name, text = nightly.log(self.folder / "all", number)
        (self.data / name).write_text(text)
        self.store.objects[f"bucket/logs/{name}"] = text.encode()

    def compiled(self) -> dict[str, Any]:
        path = str(self.folder / "nightly.pipeline.yaml")
        compile_pipeline(load_config(str(self.config)), path)
        return load(path)

    def run_locally(self, span: str) -> bytes:
        """The same night by the local runner; returns what it pushed."""
        runs = str(self.folder / "runs")
        arguments = ["run", "--config", str(self.config), "--data", str(self.data)]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main([*arguments, "--runs", runs, "--span", span]) == 0, printed.getvalue()
        made = outcome(load_config(str(self.config)), Folders(runs, "nightly"))
        assert made.pushed is not None
        return pathlib.Path(made.pushed, "model.tflite").read_bytes()

    def differences(self, outputs: dict[str, Any], stage: str) -> list[str]:
        """Names of the weights that differ between a walked stage and the local run's newest."""
        made = outcome(load_config(str(self.config)), Folders(str(self.folder / "runs"), "nightly"))
        folder = made.stages[stage].folder("model")
        walked = storage.read(f"{outputs[stage]['model']['uri']}/Format-Serving/model.h5")
        assert folder is not None
        assert walked is not None
        ours = arrays(walked)
        theirs = arrays(pathlib.Path(folder, "Format-Serving", "model.h5").read_bytes())
        assert ours.keys() == theirs.keys()
        return sorted(name for name in ours if not np.array_equal(ours[name], theirs[name]))

    def pushed(self, version: int) -> bytes:
        content = storage.read(f"{PUSHED}/{version}/model.tflite")
        assert content is not None
        return content

    def recalled(self, slot: str) -> dict[str, Any]:
        content = storage.read(f"{BUCKET}/root/nightly/history/{slot}.json")
        assert content is not None
        recalled: dict[str, Any] = json.loads(content)
        return recalled


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("kubeflow")
    with object_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        (folder / "disks").mkdir()
        yield Cluster(folder, store, Backend(store, folder / "disks"))


def arrays(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a checkpoint, by name."""
    result = {}
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(
            lambda name, node: (
                result.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
            )
        )
    return result


def trained(outputs: dict[str, Any]) -> dict[str, float]:
    """What the Trainer measured."""
    uri = outputs["Trainer"]["model"]["uri"]
    spec = json.loads(storage.read(f"{uri}/Format-Serving/checkpoint.json") or b"")
    metrics: dict[str, float] = spec["metrics"]
    return metrics


def test_two_nights(cluster: Cluster) -> None:
    cluster.night(0)
    cluster.night(1)
    document = cluster.compiled()
    first = cluster.backend.run(document, span=SPANS[1])
    assert set(first) == set(document["root"]["dag"]["tasks"])
    assert first["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert trained(first)["warm_started"] == 0
    assert first["LogExampleGen"]["examples"]["metadata"]["span"] == 20_474
    version = json.loads(storage.read(f"{PUSHED}/1/model.json") or b"")
    assert version["config"]["name"] == "nightly"
    assert cluster.recalled("LastPushedModel")["uri"].startswith(f"{BUCKET}/root/nightly/artifacts")
    local = cluster.run_locally(SPANS[1])
    for stage in ("Trainer", "Quantizer"):
        assert cluster.differences(first, stage) == [], stage
    assert constants(cluster.pushed(1)) == constants(local)

    runs = str(cluster.folder / "runs")
    assert main(["kubeflow", "collect", "--config", str(cluster.config), "--runs", runs]) == 0
    shown = {
        path.parent.name[11:] + "/" + path.name for path in pathlib.Path(arrange(runs)).glob("*/*")
    }
    stages = ("trainer", "quantizer", "runreport")
    assert {f"nightly kubeflow run 1/{stage}" for stage in stages} <= shown
    assert {f"nightly run 1/{stage}" for stage in stages} <= shown

    cluster.night(2)
    second = cluster.backend.run(document)  # no span: the newest there is
    report_uri = second["LogExampleGen"]["report"]["uri"]
    report = json.loads(storage.read(f"{report_uri}/report.json") or b"")
    assert report["spans"] == list(SPANS[1:])  # the window rolls on
    assert trained(second)["warm_started"] == 1
    assert trained(second)["known_values"] > 100
    against = second["Evaluator-against-blessed"]
    assert against["blessing"]["metadata"]["blessed"] == 1
    assert against["blessing"]["metadata"]["baseline_model_id"]
    assert second["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert (
        cluster.recalled("LastPushedModel")["uri"] == second["Exporter-quantized"]["model"]["uri"]
    )
    local = cluster.run_locally(SPANS[2])
    assert constants(cluster.pushed(2)) == constants(local)
    cluster.run_locally(SPANS[2])  # again: nothing to do, although there is a newer model now
    made = outcome(
        load_config(str(cluster.config)), Folders(str(cluster.folder / "runs"), "nightly")
    )
    states = {s.node: s.state for s in made.stages.values() if not s.node.startswith("Last")}
    assert set(states.values()) == {"cached"}, states


def test_a_night_of_clicks_only_is_refused_and_changes_nothing(cluster: Cluster) -> None:
    before = {
        slot: cluster.recalled(slot) for slot in ("LastAcceptedStatistics", "LastPushedModel")
    }
    name = f"bucket/logs/clicks-{SPANS[2]}.csv"
    good = cluster.store.objects[name]
    header, *lines = good.decode().splitlines(keepends=True)
    broken = [",".join(["1", *line.split(",")[1:]]) for line in lines]
    cluster.store.objects[name] = "".join([header, *broken]).encode()
    try:
        with pytest.raises(TaskFailed, match=r"LogExampleGen[\s\S]*have label 1"):
            cluster.backend.run(cluster.compiled())
    finally:
        cluster.store.objects[name] = good
    assert {slot: cluster.recalled(slot) for slot in before} == before
    run = f"run-{cluster.backend.runs}"
    artifacts = f"{BUCKET}/root/nightly/artifacts"
    (folder,) = {
        name.partition(f"{run}/")[0] for name in storage.files(artifacts) if f"{run}/" in name
    }
    (kept,) = failures(f"{artifacts}/{folder}{run}")
    assert kept.task == "LogExampleGen"
    assert "have label 1" in kept.reason
    assert kept.page is not None
    page = (storage.read(kept.page) or b"").decode()
    assert f"LogExampleGen failed: {kept.first_line}"[:60] in page
    assert f"nightly kubeflow run {run}</h1>" in page


def test_rejects_of_a_refused_log_are_kept(cluster: Cluster) -> None:
    name = f"bucket/logs/clicks-{SPANS[2]}.csv"
    good = cluster.store.objects[name]
    header, *lines = good.decode().splitlines(keepends=True)
    cluster.store.objects[name] = "".join(
        [header, *(line if k % 10 else line.replace(",", ",,", 20) for k, line in enumerate(lines))]
    ).encode()
    try:
        with pytest.raises(TaskFailed, match="LogExampleGen"):
            cluster.backend.run(cluster.compiled())
    finally:
        cluster.store.objects[name] = good
    rejects = storage.read(f"{BUCKET}/root/nightly/rejects/rejects.csv")
    assert rejects is not None
    assert f"clicks-{SPANS[2]}.csv" in rejects.decode()
