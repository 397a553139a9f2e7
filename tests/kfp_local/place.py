"""A compiled pipeline, and kfp's code that runs it in containers of the image."""

from __future__ import annotations

import contextlib
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
from tests.object_store import BUCKET, ObjectStore, object_store

DRIVER = pathlib.Path(__file__).with_name("driver.py")
# As a cluster may run it: any user of group 0, a root that cannot be written.
HARDENED = {"user": "12345:0", "read_only": True, "tmpfs": {"/tmp": ""}}


@dataclasses.dataclass
class Night:
    """A run by kfp: its exit code, what it printed, the artifacts it made."""

    code: int
    text: str
    folder: pathlib.Path

    def artifact(self, task: str, key: str) -> dict[str, Any]:
        """An output artifact, as the task wrote it down."""
        output = json.loads((self.folder / task / "executor_output.json").read_text())
        (artifact,) = output["artifacts"][key]["artifacts"]
        return dict(artifact)

    @property
    def owners(self) -> set[int]:
        """Users that the artifacts belong to."""
        return {path.stat().st_uid for path in self.folder.rglob("*") if path.is_file()}

    def file(self, task: str, key: str, name: str) -> Any:
        """A JSON file of an output artifact."""
        return json.loads(pathlib.Path(self.artifact(task, key)["uri"], name).read_text())


@dataclasses.dataclass
class Place:
    """A compiled pipeline, its log in a bucket, and containers to run it in.

    Attributes:
      folder: For all that is not in the bucket.
      store: The object storage: the log, the history, rejects and pushed versions.
      host: Address of the containers' service.
    """

    folder: pathlib.Path
    store: ObjectStore
    host: str

    def __post_init__(self) -> None:
        for path in (self.shared, self.root):
            path.mkdir()
            path.chmod(0o775)  # group 0 is what all users of the image have in common
        settings = nightly.settings(
            image=os.environ[machine.IMAGE_ENV],
            pipeline_root=f"{self.bucket}/root",
            data=f"{self.bucket}/logs",
            defaults={"timeout": "10m"},
        )
        (self.shared / "nightly.yaml").write_text(yaml.safe_dump(settings))
        (self.shared / "data").mkdir()
        for number in range(len(SPANS)):
            name, text = nightly.log(self.folder / "all", number)
            (self.shared / "data" / name).write_text(text)
        self.ranklite("kubeflow compile --config nightly.yaml -o nightly.pipeline.yaml")

    @property
    def bucket(self) -> str:
        """URI of the bucket."""
        return f"{self.store.scheme}://{BUCKET}"

    @property
    def home(self) -> str:
        """URI of what the pipeline's runs leave."""
        return f"{self.bucket}/root/{nightly.NAME}"

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

    def run_locally(self, *spans: str) -> None:
        """The same nights by the local runner."""
        for span in spans:
            self.ranklite(f"run --config nightly.yaml --data data --runs runs --span {span}")

    def pushed(self, version: int) -> list[bytes]:
        """The constants of a version in the bucket."""
        content = storage.read(f"{self.home}/pushed/{version}/model.tflite")
        assert content is not None
        return constants(content)

    def pushed_locally(self, version: int) -> list[bytes]:
        """The constants of a version that a local run pushed."""
        path = self.shared / f"runs/{nightly.NAME}/pushed/{version}/model.tflite"
        return constants(path.read_bytes())

    def recalled(self) -> dict[str, bytes | None]:
        """What the next night would recall."""
        folder = f"{self.home}/history"
        return {name: storage.read(f"{folder}/{name}") for name in storage.files(folder)}

    def arrives(self, number: int, text: str | None = None) -> None:
        """A night's log arrives in the bucket: its own or the text given."""
        name = f"clicks-{SPANS[number]}.csv"
        content = text.encode() if text else (self.shared / "data" / name).read_bytes()
        storage.write(f"{self.bucket}/logs/{name}", content)

    def night(self, span: str, **container: Any) -> Night:
        """Runs the pipeline by kfp.local.

        Args:
          span: The pipeline's parameter; empty for the newest night.
          **container: Further arguments of docker's client.
        """
        before = set(self.root.iterdir())
        settings = {
            "root": str(self.root),
            "arguments": {"span": span},
            "container": {
                "network_mode": "host",
                "environment": self.store.environment,
                "ulimits": machine.LIMITS,
                **container,
            },
        }
        (self.folder / "settings.json").write_text(json.dumps(settings))
        files = [str(self.shared / "nightly.pipeline.yaml"), str(self.folder / "settings.json")]
        done = subprocess.run(
            [machine.kfp_program("python"), str(DRIVER), *files],
            env={**os.environ, "DOCKER_HOST": self.host, "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (folder,) = set(self.root.iterdir()) - before
        return Night(done.returncode, done.stdout, folder)

    def night_of_a_broken_log(self) -> Night:
        """Runs the pipeline on a newest night of which one row in ten has its columns shifted."""
        good = (self.shared / "data" / f"clicks-{SPANS[2]}.csv").read_text()
        header, *lines = good.splitlines(keepends=True)
        broken = [line if k % 10 else line.replace(",", ",,", 20) for k, line in enumerate(lines)]
        self.arrives(2, "".join([header, *broken]))
        return self.night("")


@contextlib.contextmanager
def place(scheme: str, factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place whose object storage this process is set up to find.

    Args:
      scheme: Of the storage: `s3` or `gs`.
      factory: Makes folders.
    """
    with (
        machine.containers(factory.mktemp("podman")) as host,
        object_store(scheme) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in store.environment.items():
            patch.setenv(name, value)
        storage._store.cache_clear()
        yield Place(factory.mktemp("nights"), store, host)
    storage._store.cache_clear()
