"""What a pod does around an executor."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import threading
from typing import Any

import pytest

from ranklite.components.log_example_gen import IngestError
from ranklite.components.manifest import DamagedArtifact
from ranklite.models import progress
from ranklite.models.serving.versions import write_version
from ranklite.pipeline.kubeflow import entrypoint, storage, task_artifacts, task_folders
from ranklite.pipeline.local import progress as progress_lines
from tests.kubeflow_backend import ROOT


@pytest.fixture
def bucket(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`gs://bucket`, kept in a folder."""
    folder = tmp_path / "bucket"
    opened = storage._open

    def open_local(uri: str) -> Any:
        return opened(uri.replace("gs://bucket", str(folder)))

    monkeypatch.setattr(storage, "_open", open_local)
    monkeypatch.setenv(storage.MOUNTS_ENV, str(tmp_path / "mounts"))
    return "gs://bucket"


def model(uri: str, digest: str = "same") -> dict[str, Any]:
    return {"uri": uri, "metadata": {"features_digest": digest}}


def recall(bucket: str, task: dict[str, Any]) -> list[str]:
    """URIs of the baseline that a task gets."""
    task_artifacts.recall(task, {"baseline": "LastPushedModel"}, f"{bucket}/history")
    given = task["inputs"]["artifacts"].get("baseline", {"artifacts": []})
    return [artifact["uri"] for artifact in given["artifacts"]]


def keep(bucket: str, artifact: dict[str, Any]) -> None:
    storage.write(f"{bucket}/history/LastPushedModel.json", json.dumps(artifact).encode())
    storage.write(f"{artifact['uri']}/model.tflite", b"weights")


def test_a_first_run_recalls_nothing(bucket: str) -> None:
    assert recall(bucket, {}) == []


def test_what_was_kept_is_fetched(bucket: str, tmp_path: pathlib.Path) -> None:
    keep(bucket, model(f"{bucket}/runs/1"))
    task = {"inputs": {"artifacts": {"model": {"artifacts": [model("gs://bucket/runs/2")]}}}}
    assert recall(bucket, task) == [f"{bucket}/runs/1"]
    mirrored = tmp_path / "mounts/gcs/bucket/runs/1/model.tflite"
    assert mirrored.read_bytes() == b"weights"


def test_a_model_on_other_features_is_no_baseline(bucket: str) -> None:
    keep(bucket, model(f"{bucket}/runs/1", "other"))
    task = {"inputs": {"artifacts": {"model": {"artifacts": [model("gs://bucket/runs/2")]}}}}
    assert recall(bucket, task) == []


def test_what_is_gone_from_the_storage_is_left_out(
    bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    keep(bucket, model(f"{bucket}/runs/1"))
    storage.remove(f"{bucket}/runs/1")
    assert recall(bucket, {}) == []
    assert "is gone from the storage" in caplog.text


@pytest.mark.parametrize(("pushed", "kept"), [(1.0, True), (0.0, False), (None, False)])
def test_a_refused_model_is_not_recalled_later(pushed: float | None, kept: bool) -> None:
    metadata = {} if pushed is None else {"pushed": pushed}
    output = {"artifacts": {"pushed_model": {"artifacts": [{"metadata": metadata}]}}}
    assert task_artifacts.is_kept(output) is kept
    assert task_artifacts.is_kept({"artifacts": {"anomalies": {"artifacts": [{}]}}})


def push(bucket: str, content: bytes, keep: int | None = None) -> list[str]:
    """Pushes as the task would; returns what the remote folder holds."""
    parameters = {"push_destination": f"{bucket}/pushed"}
    with task_folders.local_folders(parameters):
        models = {"model.tflite": content}
        write_version(parameters["push_destination"], models, {"model": {"size": 1}}, keep)
    return storage.files(f"{bucket}/pushed")


def test_an_error_names_the_rejects_where_they_are_kept(bucket: str) -> None:
    parameters = {"rejects_dir": f"{bucket}/rejects"}
    with (
        pytest.raises(IngestError, match=r"^all of them are in gs://bucket/rejects/rejects\.csv$"),
        task_folders.local_folders(parameters),
    ):
        raise IngestError(f"all of them are in {parameters['rejects_dir']}/rejects.csv")


def test_a_schema_is_fetched(bucket: str) -> None:
    storage.write(f"{bucket}/schemas/clicks.pbtxt", b"feature {}")
    parameters = {"schema_file": f"{bucket}/schemas/clicks.pbtxt"}
    with task_folders.local_folders(parameters):
        path = pathlib.Path(parameters["schema_file"])
        assert (path.name, path.read_bytes()) == ("clicks.pbtxt", b"feature {}")
    assert not path.exists()
    in_image = {"schema_file": "/home/ranklite/clicks.pbtxt"}
    with task_folders.local_folders(in_image):
        assert in_image == {"schema_file": "/home/ranklite/clicks.pbtxt"}
    absent = {"schema_file": f"{bucket}/schemas/none.pbtxt"}
    with (
        pytest.raises(FileNotFoundError, match=r"there is no gs://bucket/schemas/none\.pbtxt"),
        task_folders.local_folders(absent),
    ):
        pass


def test_versions_are_numbered_on_and_equal_ones_not_repeated(bucket: str) -> None:
    assert push(bucket, b"one") == ["1/model.json", "1/model.tflite"]
    assert push(bucket, b"one") == ["1/model.json", "1/model.tflite"]
    assert "2/model.tflite" in push(bucket, b"two")
    assert storage.read(f"{bucket}/pushed/2/model.tflite") == b"two"
    assert push(bucket, b"three", keep=2) == [
        f"{number}/{name}" for number in (2, 3) for name in ("model.json", "model.tflite")
    ]


@pytest.mark.fault("a task on Kubeflow fails", "its rejects are kept, no version is seen")
def test_a_failed_task_publishes_its_rejects_and_no_version(bucket: str) -> None:
    parameters = {"push_destination": f"{bucket}/pushed", "rejects_dir": f"{bucket}/rejects"}
    with pytest.raises(RuntimeError), task_folders.local_folders(parameters):  # noqa: PT012
        write_version(parameters["push_destination"], {"model.tflite": b"one"}, {})
        pathlib.Path(parameters["rejects_dir"], "rejects.csv").write_text("why")
        raise RuntimeError
    assert storage.files(f"{bucket}/pushed") == []
    assert storage.read(f"{bucket}/rejects/rejects.csv") == b"why"


def test_folders_that_the_pod_sees_are_left_alone(tmp_path: pathlib.Path) -> None:
    parameters = {"data_root": "/mnt/logs", "push_destination": str(tmp_path), "config": "{}"}
    with task_folders.local_folders(parameters) as pushed:
        assert pushed is None
        assert parameters["data_root"] == "/mnt/logs"


@pytest.mark.parametrize(
    ("executor", "name"),
    [
        ("ranklite.components.pusher.executor.Executor", "pusher"),
        ("somewhere.Executor", "somewhere"),
    ],
)
def test_a_pod_says_in_plain_lines_how_far_its_task_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, executor: str, name: str
) -> None:
    reported = threading.Event()
    monkeypatch.setattr(progress_lines, "PLAIN_SECONDS", 0.3)
    monkeypatch.setattr(
        progress_lines.Display, "_line", lambda *args: reported.set() or "how far it is"
    )
    with entrypoint._progress(executor):
        assert progress.reported()
        progress.report("epoch 1/2", 0.5, figures={"auc": 0.75})
        assert reported.wait(10)
    lines = capsys.readouterr().err.splitlines()
    assert (lines[0], lines[1]) == (f"{name} ...", "how far it is")
    assert re.fullmatch(rf"{name} +\d+\.\d s  auc 0\.7500", lines[-1])


@pytest.mark.slow
@pytest.mark.fault("a task on Kubeflow hangs", "stopped at its timeout")
def test_a_task_that_takes_too_long_is_stopped() -> None:
    code = (
        "import time; from ranklite.pipeline.kubeflow import entrypoint as e; "
        "e._stop_after(0.2, 'Trainer', lambda reason: print('kept:', reason, flush=True)); "
        "time.sleep(60)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == entrypoint.TIMED_OUT
    assert "Trainer was stopped: it ran past 0.2 s" in process.stderr
    assert "kept: it ran past its timeout of 0.2 s" in process.stdout


def test_inputs_get_the_types_that_were_compiled() -> None:
    compiled = {"model": {"artifactType": {"instanceSchema": "title: tfx.Model", "x": 1}}}
    empty = {"schemaVersion": "0.0.1", "instanceSchema": ""}
    task = {
        "inputs": {
            "artifacts": {
                "model": {"artifacts": [{"uri": "a", "type": empty}, {"uri": "b"}]},
                "recalled": {"artifacts": [{"uri": "c", "type": {"schemaTitle": "tfx.Model"}}]},
            }
        }
    }
    task_artifacts.name_types(task, {"artifacts": compiled})
    inputs = task["inputs"]["artifacts"]
    assert [artifact["type"] for artifact in inputs["model"]["artifacts"]] == [
        compiled["model"]["artifactType"]
    ] * 2
    assert inputs["recalled"]["artifacts"][0]["type"] == {"schemaTitle": "tfx.Model"}


def test_outputs_of_kubeflow_s_own_are_left_alone() -> None:
    ours = {"artifacts": [{"uri": "a", "type": {"instanceSchema": "title: tfx.Model"}}]}
    logs = {"artifacts": [{"uri": "b", "type": {"schemaTitle": "system.Artifact"}}]}
    task = {"outputs": {"artifacts": {"model": ours, "executor-logs": logs}}}
    task_artifacts.drop_foreign_outputs(task)
    assert task["outputs"]["artifacts"] == {"model": ours}


@pytest.mark.fault(
    "an artifact in object storage is damaged", "the task that reads it stops, and names it"
)
def test_what_a_task_made_is_held_to_its_manifest(bucket: str, tmp_path: pathlib.Path) -> None:
    uri = f"{bucket}/runs/1/Trainer/model"
    output = {"artifacts": {"model": {"artifacts": [{"uri": uri}]}}}
    uris = task_artifacts.to_mounts({"outputs": output})
    weights = tmp_path / "mounts/gcs/bucket/runs/1/Trainer/model/weights"
    weights.write_bytes(b"weights")
    task_artifacts.keep_manifests(output, uris)
    assert storage.files(f"{bucket}/runs/1") == ["Trainer/.model.manifest.json"]
    task = {"inputs": {"artifacts": {"model": {"artifacts": [{"uri": uri}]}}}}
    uris = task_artifacts.to_mounts(task)
    task_artifacts.check_inputs(task, uris)
    weights.write_bytes(b"weight")
    with pytest.raises(DamagedArtifact, match="weights is damaged: it has 6 bytes and had 7"):
        task_artifacts.check_inputs(task, uris)
    storage.remove(f"{bucket}/runs/1")  # of an earlier version there are none
    task_artifacts.check_inputs(task, uris)
