"""Uploading and scheduling, against a server of the tests that can fail."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.kubeflow import storage, transport
from ranklite.pipeline.kubeflow.client import Kubeflow
from ranklite.pipeline.kubeflow.run_record import Failure
from ranklite.pipeline.kubeflow.transport import KubeflowError
from tests.kubeflow_server import Server, kubeflow_server
from tests.object_store import ObjectStore

CRON = "0 0 2 * * *"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Server]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with kubeflow_server() as served:
        yield served


class Waits(list[float]):
    """Notes how long it was asked to wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def connect(server: Server, waits: Waits | None = None, **given: Any) -> Kubeflow:
    return Kubeflow(server.host, sleep=Waits() if waits is None else waits, **given)


@pytest.fixture
def package(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text("pipelineInfo: {name: nightly}\n", encoding="utf-8")
    return path


def test_a_pipeline_is_made_once_and_gets_versions(server: Server, package: pathlib.Path) -> None:
    kubeflow = connect(server)
    pipeline, version, new = kubeflow.upload(str(package), "nightly")
    assert new
    assert server.changes() == ["POST /pipelines/upload", "POST /pipelines/upload_version"]
    assert server.uploads[-1][1] == package.read_bytes()
    assert kubeflow.upload(str(package), "nightly") == (pipeline, version, False)
    assert len(server.uploads) == 2  # unchanged: not sent again
    package.write_text("pipelineInfo: {name: nightly}\nmore: 1\n", encoding="utf-8")
    again, other, new = kubeflow.upload(str(package), "nightly")
    assert again == pipeline
    assert new
    assert other != version
    assert server.changes()[-1] == "POST /pipelines/upload_version"


def test_a_schedule_replaces_those_of_its_name_and_no_other(server: Server) -> None:
    kubeflow = connect(server)
    first, replaced = kubeflow.schedule("nightly", CRON, "p", "v1")
    assert replaced == []
    experiment = server.kept["experiments"][0]["experiment_id"]
    (sent,) = [
        body for m, p, _, body in server.requests if (m, p[-13:]) == ("POST", "recurringruns")
    ]
    assert sent["trigger"] == {"cron_schedule": {"cron": CRON}}
    assert sent["max_concurrency"] == 1
    assert sent["no_catchup"] is True
    assert sent["mode"] == "ENABLE"
    assert sent["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "v1"}
    for name in ("a", "b", "c"):  # more than a page
        server.add("recurringruns", display_name=name, experiment_id=experiment)
    server.add("recurringruns", display_name="nightly", experiment_id=experiment)
    second, replaced = kubeflow.schedule("nightly", "0 0 3 * * *", "p", "v2")
    assert len(replaced) == 2
    assert first in replaced
    left = {run["display_name"]: run["recurring_run_id"] for run in server.kept["recurringruns"]}
    assert left.keys() == {"a", "b", "c", "nightly"}
    assert left["nightly"] == second
    changes = server.changes()
    assert changes.index("POST /recurringruns", 2) < changes.index(f"DELETE /recurringruns/{first}")


def test_a_schedule_that_fails_leaves_the_old_one(server: Server) -> None:
    kubeflow = connect(server)
    first, _ = kubeflow.schedule("nightly", CRON, "p", "v1")
    server.failures = [("POST", "recurringruns", 500)]
    with pytest.raises(KubeflowError, match=r"POST .*recurringruns: 500 told to answer 500"):
        kubeflow.schedule("nightly", CRON, "p", "v2")
    assert [run["recurring_run_id"] for run in server.kept["recurringruns"]] == [first]


def test_a_replaced_schedule_that_stays_is_told(server: Server) -> None:
    kubeflow = connect(server)
    first, _ = kubeflow.schedule("nightly", CRON, "p", "v1")
    server.failures = [("DELETE", "recurringruns", 403)]
    with pytest.raises(KubeflowError, match=f"still there and runs too .{first}.*another --name"):
        kubeflow.schedule("nightly", CRON, "p", "v2")


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "credentials"), (403, "names"), (404, "--host")]
)
def test_a_refusal_is_explained_and_not_repeated(server: Server, status: int, hint: str) -> None:
    waits = Waits()
    kubeflow = connect(server, waits)
    server.failures = [("GET", "experiments", status)]
    with pytest.raises(KubeflowError, match=f"{status} told to answer {status} .*{hint}"):
        kubeflow.runs("nightly", 3)
    assert waits == []


def test_what_is_there_already_is_said(server: Server, package: pathlib.Path) -> None:
    server.failures = [("POST", "upload", 409)]
    with pytest.raises(KubeflowError, match=r"409 told to answer 409 \(it is there already"):
        connect(server).upload(str(package), "nightly")


def test_reads_and_deletes_are_tried_again_with_growing_pauses(server: Server) -> None:
    waits = Waits()
    kubeflow = connect(server, waits)
    server.failures = [("GET", "experiments", status) for status in (500, 502, 503)]
    kubeflow.schedule("nightly", CRON, "p", "v1")
    assert waits == [1.0, 2.0, 4.0]
    server.failures = [("DELETE", "recurringruns", 504)]
    _, replaced = kubeflow.schedule("nightly", CRON, "p", "v2")
    assert len(replaced) == 1
    assert len(server.kept["recurringruns"]) == 1


def test_a_change_is_repeated_only_where_it_was_not_carried_out(server: Server) -> None:
    waits = Waits()
    kubeflow = connect(server, waits)
    server.failures = [("POST", "recurringruns", 503), ("POST", "recurringruns", 429)]
    kubeflow.schedule("nightly", CRON, "p", "v1")
    assert waits == [1.0, 2.0]
    assert len(server.kept["recurringruns"]) == 1


def test_it_gives_up_in_the_end(server: Server) -> None:
    waits = Waits()
    kubeflow = connect(server, waits)
    server.failures = [("GET", "experiments", 503)] * 9
    with pytest.raises(KubeflowError, match="503"):
        kubeflow.runs("nightly", 1)
    assert waits == list(transport.DELAYS_SECONDS)


def test_a_slow_server_is_not_waited_for_forever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow = connect(server)
    monkeypatch.setattr(transport, "TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(transport, "DELAYS_SECONDS", ())
    server.kept["experiments"].append({"experiment_id": "e", "display_name": "nightly"})
    server.slow_seconds = 3.0
    with pytest.raises(KubeflowError, match="timed out"):
        kubeflow.runs("nightly", 1)


def test_no_server_at_all() -> None:
    with pytest.raises(KubeflowError, match="refused"):
        Kubeflow("http://127.0.0.1:9", sleep=Waits())


def test_a_dry_run_prints_the_requests_and_sends_none(
    server: Server, package: pathlib.Path
) -> None:
    reported: list[str] = []
    kubeflow = connect(server, say=reported.append)
    pipeline, version, _ = kubeflow.upload(str(package), "nightly")
    kubeflow.schedule("nightly", CRON, pipeline, version)
    assert server.changes() == []
    first_lines = [text.splitlines()[0] for text in reported]
    assert [line.split("?")[0] for line in first_lines] == [
        "POST /apis/v2beta1/pipelines/upload",
        "POST /apis/v2beta1/pipelines/upload_version",
        "POST /apis/v2beta1/experiments",
        "POST /apis/v2beta1/recurringruns",
    ]
    assert CRON in reported[-1]


def test_a_run_is_started_once_under_its_name(server: Server, package: pathlib.Path) -> None:
    kubeflow = connect(server)
    run_id = kubeflow.start("nightly", "wide tower", "p", "v1", {"span": "2026-11-21"})
    (kept,) = server.kept["runs"]
    assert kept["run_id"] == run_id
    assert kept["display_name"] == "wide tower"
    assert kept["runtime_config"]["parameters"] == {"span": "2026-11-21"}
    assert kept["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "v1"}
    assert kept["experiment_id"] == server.kept["experiments"][0]["experiment_id"]
    requests: list[str] = []
    connect(server, say=requests.append).start("nightly", "again", "p", "v1", {})
    assert len(server.kept["runs"]) == 1
    assert requests[-1].startswith("POST /apis/v2beta1/runs")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--name", "a/b", "single spaces"), ("--span", "2026-11-21", "has no {SPAN}")],
)
def test_a_run_that_cannot_be_is_refused_before_anything_is_sent(
    server: Server, capsys: pytest.CaptureFixture[str], option: str, value: str, words: str
) -> None:
    assert main(["kubeflow", "run", option, value, "--host", server.host]) == 1
    assert words in capsys.readouterr().err
    assert server.requests == []


def test_runs_are_listed_from_the_command_line(
    server: Server, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["kubeflow", "runs", "--host", server.host]
    assert main(arguments) == 1
    assert "no pipeline 'synthetic' was scheduled there" in capsys.readouterr().err
    made = server.add("experiments", display_name="synthetic")
    experiment = made["experiment_id"]
    assert main(arguments) == 0
    assert "no runs yet" in capsys.readouterr().out
    server.add("runs", display_name="night 1", experiment_id=experiment, state="SUCCEEDED")
    error = {"code": 5, "message": "ValidationGate: drift"}
    server.add(
        "runs", display_name="night 2", experiment_id=experiment, state="FAILED", error=error
    )
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "2026-11-22 02:00  SUCCEEDED" in printed
    assert "ValidationGate: drift" in printed


def test_a_failed_run_is_listed_with_its_task_its_reason_and_its_page(
    server: Server, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = server.add("experiments", display_name="synthetic")["experiment_id"]
    tasks = [
        {"display_name": name, "state": state, **more}
        for name, state, more in (
            ("root", "FAILED", {"error": {"message": "a child failed"}}),
            ("LogExampleGen", "SUCCEEDED", {}),
            ("Trainer", "FAILED", {"error": {"message": "Error (exit code 1)"}}),
            ("Transform-driver", "FAILED", {}),
        )
    ]
    run_id = server.add(
        "runs",
        display_name="wide tower",
        experiment_id=experiment,
        state="FAILED",
        run_details={"task_details": tasks},
    )["run_id"]
    arguments = ["kubeflow", "runs", "--host", server.host]

    def printed(*more: str) -> list[str]:
        assert main([*arguments, *more]) == 0
        return capsys.readouterr().out.splitlines()

    row = "wide tower  2026-11-22 02:00  FAILED  Trainer, Transform"
    known = ["", "wide tower:", "  Trainer: Error (exit code 1)"]
    without = printed()
    assert without[2:6] == [row, *known]
    assert "--pipeline-root" in without[6]

    root = ("--pipeline-root", "s3://bucket/root")
    run = f"s3://bucket/root/synthetic/artifacts/synthetic/{run_id}"
    nothing = printed(*root)
    assert nothing[2:6] == [row, *known]
    assert f"no task left its reason below {run}: its pod was killed" in nothing[6]

    page = f"{run}/Trainer/failure/report.html"
    kept = Failure("Trainer", "the loss became nan\nat step 7", "2026-11-22T02:10:00+00:00", page)
    content = json.dumps(dataclasses.asdict(kept)).encode()
    storage.write(f"{run}/Trainer/failure/failure.json", content)
    assert printed(*root)[2:] == [
        "wide tower  2026-11-22 02:00  FAILED      Trainer",
        "",
        "wide tower:",
        "  Trainer failed: the loss became nan",
        "    at step 7",
        f"  page: {page}",
    ]
    refused = printed("--pipeline-root", "s3://no-such-bucket/root")
    assert refused[2:6] == [row, *known]
    assert "cannot be read: cannot list" in refused[6]
    assert "there is no bucket 'no-such-bucket'" in refused[6]


def test_a_wrong_cron_is_refused_before_anything_is_sent(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kubeflow", "schedule", "--cron", "0 25 * * *", "--host", server.host]) == 1
    assert "hour '25' is out of range" in capsys.readouterr().err
    assert server.requests == []
