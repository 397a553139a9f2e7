"""Two nights on Kubeflow: every task of the compiled pipeline runs by its own command."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import io
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.kubeflow import storage
from ranklite.pipeline.kubeflow.compiler import compile_pipeline
from ranklite.pipeline.kubeflow.run_record import Failure, failures
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
Change = Callable[[pd.DataFrame], pd.DataFrame]  # of a night's log


@dataclasses.dataclass
class Cluster:
    """A configuration, its log night by night, and a cluster to run it on."""

    folder: pathlib.Path
    store: ObjectStore
    backend: Backend

    def __post_init__(self) -> None:
        self.configure()
        self.data.mkdir()

    def configure(self, **changes: Any) -> None:
        """Writes the configuration."""
        settings = nightly.settings(
            image="ranklite:test",
            pipeline_root=f"{BUCKET}/root",
            data=f"{BUCKET}/logs",
            defaults={"timeout": "10m"},
        )
        self.config.write_text(yaml.safe_dump({**settings, **changes}), encoding="utf-8")

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

    def compiled(self, **changes: Any) -> dict[str, Any]:
        """The pipeline of a configuration that differs by some keys."""
        path = str(self.folder / "nightly.pipeline.yaml")
        self.configure(**changes)
        compile_pipeline(load_config(str(self.config)), path)
        self.configure()
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

    def kept(self) -> dict[str, bytes | None]:
        """What later nights recall, and the versions: a night that fails changes none of it."""
        home = f"{BUCKET}/root/nightly"
        return {
            f"{folder}/{name}": storage.read(f"{home}/{folder}/{name}")
            for folder in ("history", "pushed")
            for name in storage.files(f"{home}/{folder}")
        }

    def schema(self, feature: str) -> bytes:
        """That of an accepted night, with the values of a feature closed."""
        artifacts = f"{BUCKET}/root/nightly/artifacts"
        name = next(n for n in storage.files(artifacts) if n.endswith("/schema.pbtxt"))
        content = storage.read(f"{artifacts}/{name}") or b""
        schema = text_format.Parse(content, schema_pb2.Schema())
        (entry,) = (each for each in schema.feature if each.name == feature)
        entry.ClearField("drift_comparator")
        for path in self.data.iterdir():
            values = pd.read_csv(path)[feature].unique()
            entry.string_domain.value.extend(set(values) - {*entry.string_domain.value})
        return text_format.MessageToString(schema).encode()

    def failures(self) -> list[Failure]:
        """The tasks of the newest run that failed."""
        run, artifacts = f"run-{self.backend.runs}", f"{BUCKET}/root/nightly/artifacts"
        (folder,) = {
            name.partition(f"{run}/")[0] for name in storage.files(artifacts) if f"{run}/" in name
        }
        return failures(f"{artifacts}/{folder}{run}")

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


_COUNTED = re.compile(r"(?<=quantize_annotate)_\d+")


def arrays(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a checkpoint, by name; tfmot counts what it wrapped in a process before."""
    result = {}
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(
            lambda name, node: (
                result.update({_COUNTED.sub("", name): node[()]})
                if isinstance(node, h5py.Dataset)
                else None
            )
        )
    return result


def trained(outputs: dict[str, Any]) -> dict[str, float]:
    """What the Trainer measured."""
    uri = outputs["Trainer"]["model"]["uri"]
    spec = json.loads(storage.read(f"{uri}/Format-Serving/checkpoint.json") or b"")
    metrics: dict[str, float] = spec["metrics"]
    return metrics


@dataclasses.dataclass(frozen=True)
class Nights:
    """Two nights on the cluster, and the same by the local runner.

    Attributes:
      tasks: Of the compiled pipeline.
      outputs: Of each night, by task.
      metrics: What the Trainer measured, each night.
      recalled: The model pushed last, after each night.
      local: The file that the local runner pushed, each night.
      different: Names of the weights that differ between the first of both, by stage.
      shown: Runs in TensorBoard after the first.
    """

    tasks: set[str]
    outputs: list[dict[str, Any]]
    metrics: list[dict[str, float]]
    recalled: list[str]
    local: list[bytes]
    different: dict[str, list[str]]
    shown: set[str]


@pytest.fixture(scope="module")
def nights(cluster: Cluster) -> Nights:
    document = cluster.compiled()
    outputs: list[dict[str, Any]] = []
    recalled, local = [], []

    def night(number: int, **span: str) -> None:
        cluster.night(number)
        outputs.append(cluster.backend.run(document, **span))
        recalled.append(cluster.recalled("LastPushedModel")["uri"])
        local.append(cluster.run_locally(SPANS[number]))

    cluster.night(0)
    night(1, span=SPANS[1])
    different = {
        stage: cluster.differences(outputs[0], stage) for stage in ("Trainer", "Quantizer")
    }
    runs = str(cluster.folder / "runs")
    assert main(["kubeflow", "collect", "--config", str(cluster.config), "--runs", runs]) == 0
    kept = pathlib.Path(arrange(runs)).glob("*/*")
    shown = {f"{path.parent.name[11:]}/{path.name}" for path in kept}
    night(2)  # no span: the newest there is
    tasks = set(document["root"]["dag"]["tasks"])
    metrics = [trained(each) for each in outputs]
    return Nights(tasks, outputs, metrics, recalled, local, different, shown)


def test_the_first_night(cluster: Cluster, nights: Nights) -> None:
    first = nights.outputs[0]
    assert set(first) == nights.tasks
    assert first["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert nights.metrics[0]["warm_started"] == 0
    assert first["LogExampleGen"]["examples"]["metadata"]["span"] == 20_474
    version = json.loads(storage.read(f"{PUSHED}/1/model.json") or b"")
    assert version["config"]["name"] == "nightly"
    assert nights.recalled[0].startswith(f"{BUCKET}/root/nightly/artifacts")
    assert nights.different == {"Trainer": [], "Quantizer": []}
    assert constants(cluster.pushed(1)) == constants(nights.local[0])
    stages = ("trainer", "quantizer", "runreport")
    assert {f"nightly kubeflow run 1/{stage}" for stage in stages} <= nights.shown
    assert {f"nightly run 1/{stage}" for stage in stages} <= nights.shown


def test_the_second_night(cluster: Cluster, nights: Nights) -> None:
    second = nights.outputs[1]
    report_uri = second["LogExampleGen"]["report"]["uri"]
    report = json.loads(storage.read(f"{report_uri}/report.json") or b"")
    assert report["spans"] == list(SPANS[1:])  # the window rolls on
    assert nights.metrics[1]["warm_started"] == 1
    assert nights.metrics[1]["known_values"] > 100
    against = second["Evaluator-against-blessed"]
    assert against["blessing"]["metadata"]["blessed"] == 1
    assert against["blessing"]["metadata"]["baseline_model_id"]
    assert second["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert nights.recalled[1] == second["Exporter-quantized"]["model"]["uri"]
    assert constants(cluster.pushed(2)) == constants(nights.local[1])
    cluster.run_locally(SPANS[2])  # again: nothing to do, although there is a newer model now
    made = outcome(
        load_config(str(cluster.config)), Folders(str(cluster.folder / "runs"), "nightly")
    )
    states = {s.node: s.state for s in made.stages.values() if not s.node.startswith("Last")}
    assert set(states.values()) == {"cached"}, states


def all_from(column: str, value: Any) -> Change:
    return lambda log: log.assign(**{column: value})


def differing(log: pd.DataFrame) -> pd.DataFrame:
    """Other ids, another device, prices that are gone, ages beyond all, far more clicks."""
    often = (np.arange(len(log)) % 10 > 0).astype(int)
    return log.assign(
        user=log.user.map("new-{}".format),
        device="fridge",
        price=log.price.where(log.index % 2 == 0),
        age=log.age + 1000,
        click=np.where(log.click == 1, 1, often),
    )


@pytest.mark.parametrize(
    ("change", "changes", "task", "words"),
    [
        (
            lambda log: log.drop(columns="item"),
            {},
            "LogExampleGen",
            ["no file of the newest span, 2026-01-22, has the column 'item'", "write the span"],
        ),
        (
            all_from("item", "a-text"),
            {},
            "LogExampleGen",
            [
                "3000 of 9000 rows (33.33%) cannot be read, more than source.max_bad_rows",
                "item: not an integer: 'a-text'",
                f"All of them are in {BUCKET}/root/nightly/rejects/rejects.csv. Mend the log",
            ],
        ),
        (
            lambda log: log.head(0),
            {},
            "LogExampleGen",
            ["the newest span, 2026-01-22, has no rows", "of 2026-01-21", "`--span`"],
        ),
        (
            differing,
            {"source": {"files": "clicks-{YYYY}-{MM}-{DD}.csv", "window": 1}},
            "ValidationGate",
            [
                "train: user: Values replaced: ",
                "train: device: High Linfty distance",
                "now: 1 value, 'fridge' in 100.0%",
                "train: price: Values went missing: ",
                "missing in ",
                "train: age: High approximate Jensen-Shannon",
                "train: label: Label rate changed: the odds of label 1 rose ",
                "; last accepted: 0 to 1, mean 0.",
                "validation.max_label_odds",
                "Mend the log, or, if the change is meant, loosen `validation`",
            ],
        ),
        (
            all_from("device", "fridge"),
            {"schema_file": f"{BUCKET}/schemas/devices.pbtxt"},
            "ValidationGate",
            ["device: Unexpected string values: ", "fridge", "another schema in `schema_file`"],
        ),
    ],
    ids=["column gone", "type changed", "empty span", "drift", "schema"],
)
@pytest.mark.usefixtures("nights")
@pytest.mark.fault("a night on Kubeflow differs", "stopped at its task, with feature and values")
def test_a_night_that_differs(
    cluster: Cluster, change: Change, changes: dict[str, Any], task: str, words: list[str]
) -> None:
    before = cluster.kept()
    name = f"bucket/logs/clicks-{SPANS[2]}.csv"
    good = cluster.store.objects[name]
    cluster.store.objects["bucket/schemas/devices.pbtxt"] = cluster.schema("device")
    log = change(pd.read_csv(io.BytesIO(good)))
    cluster.store.objects[name] = log.to_csv(index=False).encode()
    try:
        with pytest.raises(TaskFailed, match=f"^{task}: "):
            cluster.backend.run(cluster.compiled(**changes))
    finally:
        cluster.store.objects[name] = good
    assert cluster.kept() == before
    (failed,) = cluster.failures()
    assert failed.task == task
    assert [each for each in words if each not in failed.reason] == [], failed.reason
    page = html.unescape((storage.read(str(failed.page)) or b"").decode())
    assert words[0] in page


@pytest.mark.usefixtures("nights")
def test_a_night_of_clicks_only_is_refused_and_changes_nothing(cluster: Cluster) -> None:
    before = cluster.kept()
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
    assert cluster.kept() == before
    (kept,) = cluster.failures()
    assert kept.task == "LogExampleGen"
    assert "have label 1" in kept.reason
    assert kept.page is not None
    page = (storage.read(kept.page) or b"").decode()
    assert f"LogExampleGen failed: {kept.first_line}"[:60] in page
    assert f"nightly kubeflow run run-{cluster.backend.runs}</h1>" in page


@pytest.mark.usefixtures("nights")
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
