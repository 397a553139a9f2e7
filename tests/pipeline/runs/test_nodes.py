"""Runs that were made before nodes were renamed are read under the present names."""

from __future__ import annotations

import json
import pathlib

import pytest
import yaml
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.comparison.runs import catalogue
from ranklite.pipeline.config.renamed import RenamedKey
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.runs import lineage
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.nodes import RENAMED, current_name
from ranklite.pipeline.runs.retention import free
from ranklite.pipeline.runs.store import latest_run, note_failure
from tests.recorder import Recorder

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LiteConverter", "Exporter"),
        ("LiteConverter.prune_units", "Exporter.prune_units"),
        ("LiteValidator", "FileValidator"),
        ("Evaluator.against_blessed", "Evaluator.against_blessed"),
        ("Trainer.LiteConverter", "Trainer.LiteConverter"),
        ("LiteConverters", "LiteConverters"),
        ("?", "?"),
    ],
)
def test_the_present_name(old: str, new: str) -> None:
    assert current_name(old) == new
    assert current_name(new) == new


def test_no_present_name_is_an_old_one() -> None:
    assert not set(RENAMED.values()) & set(RENAMED)


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run that was refused by LiteValidator, then one that died in LiteConverter.float."""
    root = tmp_path / "mine"
    artifacts = root / "artifacts"
    for folder in ("file/Format-Serving", "report", "pushed"):
        (artifacts / folder).mkdir(parents=True)
    (artifacts / "file/Format-Serving/tflite").write_text("the model")
    report = {"stages": {"shipped": {"auc": 0.75, "log_loss": 0.5, "bytes": 9}}, "verdicts": []}
    (artifacts / "report/report.json").write_text(json.dumps(report))
    refusal = {"version": None, "refused_by": ["LiteValidator"], "verdicts": []}
    (artifacts / "pushed/pushed.json").write_text(json.dumps(refusal))
    recorder = Recorder(root / "metadata.sqlite")
    first = recorder.run("mine", "mine.1")
    for node, key, folder, kind in (
        ("LiteConverter.float", "model", "file", "Model"),
        ("LiteValidator", "report", "report", "components.StageReport"),
        ("Pusher", "pushed_model", "pushed", "PushedModel"),
    ):
        outputs, kinds = {key: str(artifacts / folder)}, {key: kind}
        recorder.execution("mine", first, node, mlmd.Execution.COMPLETE, outputs, kinds=kinds)
    second = recorder.run("mine", "mine.2")
    running = mlmd.Execution.RUNNING
    execution = recorder.execution("mine", second, "LiteConverter.float", running, {})
    left = artifacts / "LiteConverter.float" / "model" / str(execution)
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x" * 10)
    recorder.run("mine", "mine.3")
    return tmp_path


def test_an_earlier_run_has_its_figures(runs: pathlib.Path) -> None:
    first, second, _ = catalogue(str(runs))
    assert first[-4:] == ["0.75000", "0.50000", "9", "refused by FileValidator"]
    assert second[-1] == "unfinished"


def test_an_earlier_file_leads_back(runs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = runs / "copy"
    copy.write_text("the model")
    result = lineage.trace(str(copy), str(runs))
    assert [step.node for step in result.steps] == ["Exporter.float"]
    assert result.run is not None
    assert result.run["number"] == 1
    assert result.refused[0]["reasons"] == ["refused by FileValidator"]
    assert main(["lineage", str(copy), "--runs", str(runs)]) == 0
    assert "unfinished: stopped in Exporter.float" in capsys.readouterr().out


def test_what_an_earlier_stage_left_is_removed(runs: pathlib.Path) -> None:
    artifacts = runs / "mine/artifacts"
    freed = free(Folders(str(runs), "mine"), 1)
    assert freed.size == len("the model") + 10
    assert not list(artifacts.glob("LiteConverter.float/model/*"))
    assert (artifacts / "report/report.json").exists()


def test_a_failure_is_noted_under_the_present_name(tmp_path: pathlib.Path) -> None:
    store = str(tmp_path / "metadata.sqlite")
    recorder = Recorder(tmp_path / "metadata.sqlite")
    run = recorder.run("mine", "mine.1")
    recorder.execution("mine", run, "LiteValidator", mlmd.Execution.RUNNING, {})
    note_failure(store, "mine", "FileValidator", "no file")
    stage = latest_run(store, "mine").stages["FileValidator"]
    assert (stage.state, stage.error) == ("failed", "no file")


def test_kubeflow_tasks_may_have_their_old_names(tmp_path: pathlib.Path) -> None:
    settings = yaml.safe_load((ROOT / "configs/synthetic.yaml").read_text(encoding="utf-8"))
    settings["kubeflow"] = {"tasks": {"LiteValidator": {"cpu": 3}, "Trainer": {"cpu": 4}}}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.warns(RenamedKey, match="LiteValidator is now called FileValidator"):
        config = load_config(str(path))
    assert config.kubeflow.task("FileValidator").cpu == 3
    assert config.kubeflow.task("Trainer").cpu == 4
