"""Two nights by kfp's own code, each task in the image, on a real S3 server."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ranklite.pipeline.kubeflow import storage
from tests import nightly
from tests.kfp_local import machine
from tests.nightly import SPANS, constants

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.skipif(bool(machine.lacks()), reason=machine.lacks()),
]

DRIVER = pathlib.Path(__file__).with_name("driver.py")
BUCKET = "s3://nights"
HOME = f"{BUCKET}/root/{nightly.NAME}"
# As a cluster may run it: any user of group 0, a root that cannot be written.
HARDENED = {"user": "12345:0", "read_only": True, "tmpfs": {"/tmp": "", "/s3": "mode=0775"}}


@dataclasses.dataclass
class Night:
    """A run by kfp: its exit code, what it printed, the artifacts it made."""

    code: int
    text: str
    folder: pathlib.Path

    def artifact(self, task: str, key: str) -> dict[str, Any]:
        """An output artifact, as the task wrote it down."""
        # kfp.local takes the `comp-` from components' names that kfp's own compiler puts there.
        output = json.loads(
            (self.folder / task[len("comp-") :] / "executor_output.json").read_text()
        )
        (artifact,) = output["artifacts"][key]["artifacts"]
        return dict(artifact)

    def file(self, task: str, key: str, name: str) -> Any:
        """A JSON file of an output artifact."""
        return json.loads(pathlib.Path(self.artifact(task, key)["uri"], name).read_text())


@dataclasses.dataclass
class Place:
    """A compiled pipeline, its log in the bucket, and containers to run it in."""

    folder: pathlib.Path
    environment: dict[str, str]

    def __post_init__(self) -> None:
        for path in (self.shared, self.root):
            path.mkdir()
            path.chmod(0o775)  # group 0 is what all users of the image have in common
        settings = nightly.settings(
            image=os.environ[machine.IMAGE_ENV],
            pipeline_root=f"{BUCKET}/root",
            data=f"{BUCKET}/logs",
            defaults={"timeout": "10m"},
        )
        (self.shared / "nightly.yaml").write_text(yaml.safe_dump(settings))
        (self.shared / "data").mkdir()
        for number in range(len(SPANS)):
            name, text = nightly.log(self.folder / "all", number)
            (self.shared / "data" / name).write_text(text)
        self.ranklite("kubeflow compile --config nightly.yaml -o nightly.pipeline.yaml")

    @property
    def shared(self) -> pathlib.Path:
        """What the image's command line sees: configuration, log, local runs."""
        return self.folder / "shared"

    @property
    def root(self) -> pathlib.Path:
        """Where kfp.local keeps artifacts."""
        return self.folder / "artifacts"

    def ranklite(self, command: str) -> None:
        """Runs a command of RankLite in the image, on `shared`."""
        mount = [f"--volume={self.shared}:/work", "--workdir=/work"]
        done = machine.in_image("ranklite", *command.split(), options=mount)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    def run_locally(self) -> None:
        """The same two nights by the local runner."""
        for span in SPANS[1:]:
            self.ranklite(f"run --config nightly.yaml --data data --runs runs --span {span}")

    def arrives(self, number: int, text: str | None = None) -> None:
        """A night's log arrives in the bucket: its own or the text given."""
        name = f"clicks-{SPANS[number]}.csv"
        content = text.encode() if text else (self.shared / "data" / name).read_bytes()
        storage.write(f"{BUCKET}/logs/{name}", content)

    def night(self, host: str, arguments: dict[str, str], **container: Any) -> Night:
        """Runs the pipeline by kfp.local."""
        before = set(self.root.iterdir())
        settings = {
            "root": str(self.root),
            "arguments": arguments,
            "container": {
                "network_mode": "host",
                "environment": self.environment,
                "ulimits": machine.LIMITS,
                **container,
            },
        }
        (self.folder / "settings.json").write_text(json.dumps(settings))
        files = [str(self.shared / "nightly.pipeline.yaml"), str(self.folder / "settings.json")]
        done = subprocess.run(
            [machine.kfp_program("python"), str(DRIVER), *files],
            env={**os.environ, "DOCKER_HOST": host, "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (folder,) = set(self.root.iterdir()) - before
        return Night(done.returncode, done.stdout, folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("nights")
    with (
        machine.s3_server(folder, BUCKET.removeprefix("s3://")) as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Place(folder, environment)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with machine.containers(tmp_path_factory.mktemp("podman")) as address:
        yield address


def pushed(version: int) -> list[bytes]:
    """The constants of a version in the bucket."""
    content = storage.read(f"{HOME}/pushed/{version}/model.tflite")
    assert content is not None
    return constants(content)


def recalled() -> dict[str, bytes | None]:
    """What the next night would recall."""
    return {
        name: storage.read(f"{HOME}/history/{name}") for name in storage.files(f"{HOME}/history")
    }


def owners(night: Night) -> set[int]:
    """Users that the artifacts belong to."""
    return {path.stat().st_uid for path in night.folder.rglob("*") if path.is_file()}


def test_two_nights_push_what_local_runs_push(place: Place, host: str) -> None:
    pool = concurrent.futures.ThreadPoolExecutor()  # kfp runs one task at a time
    local = pool.submit(place.run_locally)
    place.arrives(0)
    place.arrives(1)
    first = place.night(host, {"span": SPANS[1]})
    assert first.code == 0, first.text[-6000:]
    document = yaml.safe_load((place.shared / "nightly.pipeline.yaml").read_text())
    assert {path.name for path in first.folder.iterdir()} == {
        name[len("comp-") :] for name in document["components"]
    }
    assert owners(first) == {1000}
    assert first.artifact("Pusher", "pushed_model")["metadata"]["pushed"] == 1
    assert first.artifact("LogExampleGen", "examples")["metadata"]["span"] == 20_474
    model = first.file("Trainer", "model", "Format-Serving/checkpoint.json")
    assert model["metrics"]["warm_started"] == 0
    assert len(recalled()) == 3

    place.arrives(2)
    second = place.night(host, {"span": ""}, **HARDENED)  # the newest there is
    assert second.code == 0, second.text[-6000:]
    assert owners(second) == {12345}
    report = second.file("LogExampleGen", "report", "report.json")
    assert report["spans"] == list(SPANS[1:])
    model = second.file("Trainer", "model", "Format-Serving/checkpoint.json")
    assert model["metrics"]["warm_started"] == 1
    blessing = second.artifact("Evaluator-against-blessed", "blessing")["metadata"]
    assert blessing["blessed"] == 1
    assert blessing["baseline_model_id"]
    assert second.artifact("Pusher", "pushed_model")["metadata"]["pushed"] == 1

    local.result()
    for version in (1, 2):
        ours = (place.shared / f"runs/nightly/pushed/{version}/model.tflite").read_bytes()
        assert pushed(version) == constants(ours), f"version {version}"


def test_a_task_that_fails_fails_the_run_and_changes_nothing(place: Place, host: str) -> None:
    before = recalled()
    versions = storage.files(f"{HOME}/pushed")
    good = (place.shared / "data" / f"clicks-{SPANS[2]}.csv").read_text()
    header, *lines = good.splitlines(keepends=True)
    broken = [line if k % 10 else line.replace(",", ",,", 20) for k, line in enumerate(lines)]
    place.arrives(2, "".join([header, *broken]))
    failed = place.night(host, {"span": ""})
    assert failed.code != 0
    assert "Inner task failed" in failed.text, failed.text[-3000:]
    assert recalled() == before
    assert storage.files(f"{HOME}/pushed") == versions
    rejects = storage.read(f"{HOME}/rejects/rejects.csv")
    assert rejects is not None
    assert f"clicks-{SPANS[2]}.csv" in rejects.decode()
