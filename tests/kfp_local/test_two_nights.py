"""Two nights by kfp's own code, each task in the image, on a real S3 server."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Iterator

import pytest
import yaml

from ranklite.pipeline.kubeflow import storage
from tests.kfp_local import machine
from tests.kfp_local.place import HARDENED, Place, place
from tests.nightly import SPANS

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.skipif(bool(machine.lacks()), reason=machine.lacks()),
]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place("s3", tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def local(s3: Place) -> Iterator[concurrent.futures.Future[None]]:
    """The same nights by the local runner, beside kfp, which runs one task at a time."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield pool.submit(s3.run_locally, *SPANS[1:])


# Four tests, not one: a worker of pytest-xdist takes on a further file when two are left of one.
def test_the_first_night(s3: Place, local: concurrent.futures.Future[None]) -> None:
    s3.arrives(0)
    s3.arrives(1)
    first = s3.night(SPANS[1])
    assert first.code == 0, first.text[-6000:]
    document = yaml.safe_load((s3.shared / "nightly.pipeline.yaml").read_text())
    folders = {path.name for path in first.folder.iterdir() if path.is_dir()}
    assert folders == set(document["root"]["dag"]["tasks"])
    assert first.owners == {1000}
    assert first.artifact("Pusher", "pushed_model")["metadata"]["pushed"] == 1
    assert first.artifact("LogExampleGen", "examples")["metadata"]["span"] == 20_474
    model = first.file("Trainer", "model", "Format-Serving/checkpoint.json")
    assert model["metrics"]["warm_started"] == 0
    assert len(s3.recalled()) == 3


def test_the_second_night_as_another_user_on_a_root_that_cannot_be_written(s3: Place) -> None:
    s3.arrives(2)
    second = s3.night("", **HARDENED)  # the newest there is
    assert second.code == 0, second.text[-6000:]
    assert second.owners == {12345}
    report = second.file("LogExampleGen", "report", "report.json")
    assert report["spans"] == list(SPANS[1:])
    model = second.file("Trainer", "model", "Format-Serving/checkpoint.json")
    assert model["metrics"]["warm_started"] == 1
    blessing = second.artifact("Evaluator-against-blessed", "blessing")["metadata"]
    assert blessing["blessed"] == 1
    assert blessing["baseline_model_id"]
    assert second.artifact("Pusher", "pushed_model")["metadata"]["pushed"] == 1


def test_both_push_what_local_runs_push(s3: Place, local: concurrent.futures.Future[None]) -> None:
    local.result()
    for version in (1, 2):
        assert s3.pushed(version) == s3.pushed_locally(version), f"version {version}"


def test_a_task_that_fails_fails_the_run_and_changes_nothing(s3: Place) -> None:
    before, versions = s3.recalled(), storage.files(f"{s3.home}/pushed")
    failed = s3.night_of_a_broken_log()
    assert failed.code != 0
    assert "Inner task failed" in failed.text, failed.text[-3000:]
    (kept,) = failed.folder.rglob("failure.json")
    assert json.loads(kept.read_text())["task"] == "LogExampleGen"
    assert s3.recalled() == before
    assert storage.files(f"{s3.home}/pushed") == versions
    rejects = storage.read(f"{s3.home}/rejects/rejects.csv")
    assert rejects is not None
    assert f"clicks-{SPANS[2]}.csv" in rejects.decode()
