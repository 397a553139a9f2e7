"""From the bytes of a file to the logs, whatever is left of a run."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.runs import lineage
from ranklite.pipeline.runs.lineage_text import render
from ranklite.pipeline.runs.store import note_name
from tests.recorder import Recorder

LOGS = {
    "files": [{"name": "clicks.csv", "bytes": 4321, "sha256": "ab" * 32}],
    "splits": {"train": {"rows": 1000}},
    "spans": ["2026-11-21", "2026-11-22"],
}
SIZE = {"name": "bytes", "value": 70000.0, "threshold": 65536, "at_least": False, "passed": False}
LOST = {"name": "AUC change from the blessed model", "value": -0.0123}
LOST |= {"threshold": -0.01, "at_least": True, "passed": False}
GATES = [{**gate, "detail": ""} for gate in (SIZE, LOST)]
CONFIG = {"name": "mine", "gates": {"min_auc": None}}


def push(
    recorder: Recorder, run: int, uri: str, properties: Mapping[str, str] = MappingProxyType({})
) -> None:
    kinds = {"pushed_model": "PushedModel"}
    done = mlmd.Execution.COMPLETE
    recorder.execution(
        "mine", run, "Pusher", done, {"pushed_model": uri}, kinds=kinds, **properties
    )


def mark(recorder: Recorder, number: int, properties: dict[str, int | str]) -> None:
    """Writes custom properties onto an artifact."""
    (artifact,) = recorder.store.get_artifacts_by_id([number])
    for key, value in properties.items():
        kind = "int_value" if isinstance(value, int) else "string_value"
        setattr(artifact.custom_properties[key], kind, value)
    recorder.store.put_artifacts([artifact])


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> pathlib.Path:
    """Five runs: pushed, refused, failed, stopped twice; the newest may be under way."""
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
    examples, weights, schema = folder("examples"), folder("weights"), folder("schema")
    model = folder("model", "Format-Serving/tflite", "the model")
    logs, kinds = {"report": report, "out": examples}, {"report": "components.IngestReport"}
    recorder.execution("mine", first, "LogExampleGen", done, logs, kinds=kinds)
    ids = recorder.artifacts
    recorder.execution("mine", first, "Unrelated", done, {"out": folder("unrelated")})
    recorder.execution(
        "mine", first, "SchemaGen", done, {"schema": schema}, kinds={"schema": "Schema"}
    )
    custom = json.dumps({"dim": 8, "code_digest": "beef"})
    made_of = [ids[examples], ids[schema]]
    recorder.execution(
        "mine", first, "Trainer", done, {"model": weights}, made_of, custom_config=custom
    )
    recorder.execution(
        "mine", first, "Exporter", done, {"model": model}, [ids[weights]], code_digest="c0de"
    )
    other = folder("model-onnx", "Format-Serving/onnx", "the same model")
    recorder.execution(
        "mine", first, "Exporter.onnx", done, {"model": other}, [ids[weights]], code_digest="0c0d"
    )
    pushed = folder("pushed_model", "pushed.json", json.dumps({"version": "1", "refused_by": []}))
    push(recorder, first, pushed, {"config": json.dumps(CONFIG)})
    reported = {
        "pushed": 1,
        "model_id": ids[model],
        "sha256": hashlib.sha256(b"the model").hexdigest(),
        "model_id.onnx": ids[other],
        "sha256.onnx": hashlib.sha256(b"the same model").hexdigest(),
    }
    mark(recorder, ids[pushed], reported)
    second = recorder.run("mine", "mine.2")
    cached = mlmd.Execution.CACHED  # ML Metadata calls it a maker of what it was served, too
    recorder.execution("mine", second, "LogExampleGen", cached, {"report": report, "out": examples})
    recorder.execution("mine", second, "Trainer", cached, {"model": weights}, [ids[examples]])
    judges = ["Evaluator.against_blessed", "FileValidator"]
    refusal = {"version": None, "refused_by": judges, "verdicts": GATES}
    push(recorder, second, folder("refused", "pushed.json", json.dumps(refusal)))
    third = recorder.run("mine", "mine.3")
    note_name(str(root / "metadata.sqlite"), "mine", 1, "wide tower")
    recorder.execution(
        "mine", third, "ValidationGate", mlmd.Execution.FAILED, {}, error="min_rows is 9"
    )
    fourth = recorder.run("mine", "mine.4")
    recorder.execution("mine", fourth, "LogExampleGen", cached, {"report": report})
    recorder.execution("mine", fourth, "Trainer", mlmd.Execution.RUNNING, {})
    fifth = recorder.run("mine", "mine.5")
    recorder.execution("mine", fifth, "LogExampleGen", cached, {"report": report})
    for number, content in ((1, "an older model"), (2, "the model")):
        version = root / "pushed" / str(number)
        version.mkdir(parents=True)
        (version / "model.tflite").write_text(content, encoding="utf-8")
    (version / "model.onnx").write_text("the same model", encoding="utf-8")
    targets = {name: {"file": f"model.{name}"} for name in ("tflite", "onnx")}
    about = {"target": "tflite", "targets": targets}
    (version / "model.json").write_text(json.dumps(about), encoding="utf-8")
    return root.parent


@pytest.mark.parametrize(
    "given", ["mine/pushed", "mine/pushed/2", "mine/pushed/2/model.tflite", "../copy.tflite"]
)
def test_a_file_leads_back_to_its_logs(runs: pathlib.Path, given: str) -> None:
    shutil.copy(runs / "mine/pushed/2/model.tflite", runs.parent / "copy.tflite")
    result = lineage.trace(str(runs / given), str(runs))
    nodes = ["LogExampleGen", "SchemaGen", "Trainer", "Exporter"]
    assert [step.node for step in result.steps] == nodes
    assert (result.pipeline, result.size, result.logs) == ("mine", len("the model"), LOGS)
    assert result.run is not None
    assert result.run["number"] == 1
    assert [step.code_digest for step in result.steps] == ["", "", "beef", "c0de"]
    assert result.config == CONFIG


@pytest.mark.parametrize("is_deleted", [False, True])
def test_the_file_of_a_further_target_leads_back_too(runs: pathlib.Path, is_deleted: bool) -> None:
    if is_deleted:
        shutil.rmtree(runs / "mine/artifacts/model-onnx")
    result = lineage.trace(str(runs / "mine/pushed/2/model.onnx"), str(runs))
    nodes = ["LogExampleGen", "SchemaGen", "Trainer", "Exporter.onnx"]
    assert [step.node for step in result.steps] == nodes
    assert result.config == CONFIG
    assert result.run is not None
    assert result.run["number"] == 1


def test_what_a_person_reads(runs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(runs / "mine/pushed"), "--runs", str(runs)]) == 0
    printed = capsys.readouterr().out
    for expected in (
        "mine, run 1 wide tower, ",
        "clicks.csv",
        "ab" * 32,
        "2026-11-21, 2026-11-22",
        "artifacts/schema (artifact",
        "beef",
        "    min_auc: null",  # a gate that was switched off
        "refused by FileValidator",
        "bytes 70000 <= 65536 FAILED",
        "AUC change from the blessed model -0.0123 >= -0.01 FAILED",
        "ValidationGate failed: min_rows is 9",
        "unfinished: stopped in Trainer\n",
        "unfinished: stopped, or still under way, between two stages\n",
    ):
        assert expected in printed, expected
    assert "Unrelated" not in printed


def test_everything_as_json(runs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(runs / "mine/pushed"), "--runs", str(runs), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [refused["number"] for refused in result["refused"]] == [2, 3, 4, 5]
    assert result["run"]["name"] == "wide tower"
    assert json.loads(result["steps"][2]["config"])["dim"] == 8
    assert result["steps"][1]["outputs"][0][0] == "schema"


def test_deleted_artifacts_leave_the_rest(runs: pathlib.Path) -> None:
    for name in ("logs", "schema", "examples", "model"):
        shutil.rmtree(runs / "mine/artifacts" / name)
    result = lineage.trace(str(runs / "mine/pushed"), str(runs))
    assert result.logs == {}
    assert result.steps[-1].node == "Exporter"
    assert len(result.refused[0]["reasons"]) == 4
    printed = render(result)
    assert "the report on the logs was deleted" in printed
    assert re.search(r"artifacts/schema \(artifact \d+, deleted\)", printed)


def test_what_cleaning_leaves_still_tells(
    runs: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(runs / "mine/metadata.sqlite")
    for number in (6, 7):  # what these pushed is kept for the next run, run 1 is not
        later = runs / f"mine/artifacts/pushed_model-{number}"
        later.mkdir()
        (later / "pushed.json").write_text(json.dumps({"version": str(number), "refused_by": []}))
        push(recorder, recorder.run("mine", f"mine.{number}"), str(later))
    before = lineage.trace(str(runs / "mine/pushed"), str(runs))
    assert main(["clean", "--keep", "1", "--runs", str(runs)]) == 0
    assert "#1" in capsys.readouterr().out
    assert not (runs / "mine/artifacts/model").exists()
    assert lineage.trace(str(runs / "mine/pushed"), str(runs)) == before


def test_a_file_that_no_run_made(
    runs: pathlib.Path, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    assert main(["lineage", str(runs / "mine/pushed/1"), "--runs", str(runs)]) == 1
    assert str(runs / "mine/metadata.sqlite") in capsys.readouterr().err
    assert main(["lineage", str(runs / "mine/pushed/1"), "--runs", str(tmp_path / "no")]) == 1
    assert "--runs" in capsys.readouterr().err
    assert main(["lineage", str(runs / "nothing.tflite"), "--runs", str(runs)]) == 1
    assert "does not exist" in capsys.readouterr().err
