"""From the bytes of a file to the logs, whatever is left of a run."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline import lineage
from pipeline.cli import main
from pipeline.store import note_name
from tests.recorder import Recorder

LOGS = {
    "files": [{"name": "clicks.csv", "bytes": 4321, "sha256": "ab" * 32}],
    "splits": {"train": {"rows": 1000}},
    "spans": ["2026-11-21", "2026-11-22"],
}
GATE = {"name": "bytes", "value": 70000.0, "threshold": 65536, "at_least": False, "passed": False}


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three runs: pushed, refused, failed."""
    root = tmp_path / "runs" / "mine"
    root.mkdir(parents=True)
    recorder = Recorder(root / "metadata.sqlite")
    done = mlmd.Execution.COMPLETE

    def folder(name: str, file: str = "", content: str = "") -> str:
        path = root / "artifacts" / name
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        if file:
            (path / file).write_text(content, encoding="utf-8")
        return str(path)

    first = recorder.run("mine", "mine.1")
    report = folder("logs", "report.json", json.dumps(LOGS))
    examples, weights = folder("examples"), folder("weights")
    model = folder("model", "Format-Serving/tflite", "the model")
    recorder.execution("mine", first, "LogExampleGen", done, {"report": report, "out": examples})
    ids = recorder.artifacts
    recorder.execution("mine", first, "Unrelated", done, {"out": folder("unrelated")})
    recorder.execution(
        "mine", first, "Trainer", done, {"model": weights}, [ids[examples]], config='{"dim": 8}'
    )
    recorder.execution(
        "mine", first, "LiteConverter", done, {"model": model}, [ids[weights]], code_digest="c0de"
    )
    second = recorder.run("mine", "mine.2")
    cached = mlmd.Execution.CACHED  # ML Metadata calls it a maker of what it was served, too
    recorder.execution("mine", second, "LogExampleGen", cached, {"report": report, "out": examples})
    recorder.execution("mine", second, "Trainer", cached, {"model": weights}, [ids[examples]])
    verdicts = folder("verdicts", "report.json", json.dumps({"verdicts": [GATE]}))
    refusal = json.dumps({"version": None, "refused_by": ["LiteValidator"]})
    recorder.execution("mine", second, "LiteValidator", done, {"report": verdicts})
    refused = folder("refused", "pushed.json", refusal)
    recorder.execution("mine", second, "Pusher", done, {"pushed_model": refused})
    third = recorder.run("mine", "mine.3")
    note_name(str(root / "metadata.sqlite"), "mine", 1, "wide tower")
    recorder.execution(
        "mine", third, "ValidationGate", mlmd.Execution.FAILED, {}, error="min_rows is 9"
    )
    for number, content in ((1, "an older model"), (2, "the model")):
        version = root / "pushed" / str(number)
        version.mkdir(parents=True)
        (version / "model.tflite").write_text(content, encoding="utf-8")
    return root.parent


@pytest.mark.parametrize(
    "given", ["mine/pushed", "mine/pushed/2", "mine/pushed/2/model.tflite", "../copy.tflite"]
)
def test_a_file_leads_back_to_its_logs(runs: pathlib.Path, given: str) -> None:
    shutil.copy(runs / "mine/pushed/2/model.tflite", runs.parent / "copy.tflite")
    found = lineage.trace(str(runs / given), str(runs))
    assert [step.node for step in found.steps] == ["LogExampleGen", "Trainer", "LiteConverter"]
    assert (found.pipeline, found.size, found.logs) == ("mine", len("the model"), LOGS)
    assert found.run is not None
    assert found.run["number"] == 1
    assert found.steps[2].code_digest == "c0de"


def test_what_a_person_reads(runs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(runs / "mine/pushed"), "--runs", str(runs)]) == 0
    printed = capsys.readouterr().out
    for expected in (
        "mine, run 1 wide tower, ",
        "clicks.csv",
        "ab" * 32,
        "2026-11-21, 2026-11-22",
        '{"dim": 8}',
        "refused by LiteValidator",
        "bytes is 70000, at most 65536 is asked for",
        "ValidationGate failed: min_rows is 9",
    ):
        assert expected in printed, expected
    assert "Unrelated" not in printed


def test_everything_as_json(runs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(runs / "mine/pushed"), "--runs", str(runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [refused["number"] for refused in found["refused"]] == [2, 3]
    assert found["run"]["name"] == "wide tower"
    assert found["steps"][1]["config"] == '{"dim": 8}'


def test_deleted_artifacts_leave_the_rest(runs: pathlib.Path) -> None:
    for name in ("logs", "verdicts", "examples"):
        shutil.rmtree(runs / "mine/artifacts" / name)
    found = lineage.trace(str(runs / "mine/pushed"), str(runs))
    assert found.logs == {}
    assert found.refused[0]["reasons"] == ["refused by LiteValidator"]
    assert "was deleted" in lineage.render(found)


def test_a_file_that_no_run_made(
    runs: pathlib.Path, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    assert main(["lineage", str(runs / "mine/pushed/1"), "--runs", str(runs)]) == 1
    assert str(runs / "mine/metadata.sqlite") in capsys.readouterr().err
    assert main(["lineage", str(runs / "mine/pushed/1"), "--runs", str(tmp_path / "no")]) == 1
    assert "--runs" in capsys.readouterr().err
    assert main(["lineage", str(runs / "nothing.tflite"), "--runs", str(runs)]) == 1
    assert "does not exist" in capsys.readouterr().err
