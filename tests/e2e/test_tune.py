"""A run that searches its settings: killed between two trials, finished, cached, seen by people."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import yaml

from benchmarks import small_run
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.local.runner import Outcome
from ranklite.pipeline.local.synthetic import generate
from ranklite.pipeline.local.tensorboard import arrange
from ranklite.pipeline.runs.lineage import trace
from tests.small_runs import finished_run

pytestmark = pytest.mark.e2e

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = {
    **small_run.SETTINGS,
    "name": "tuned",
    "training": {"epochs": 2, "batch_size": 64, "learning_rate": 1e-5},
    "tune": {"trials": 4, "keys": ["model.embedding_dim", "training.learning_rate"]},
    "gates": small_run.GATES,
}


def loaded(made: Outcome, stage: str) -> Checkpoint:
    return Checkpoint.load(os.path.join(str(made.stages[stage].folder("model")), "Format-Serving"))


def test_a_run_that_searches_its_settings(tmp_path: pathlib.Path) -> None:
    generate(str(tmp_path / "data"), rows=6000)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    arguments = ["run", "--config", str(tmp_path / "config.yaml")]
    arguments += ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]

    process = subprocess.Popen(
        [sys.executable, "-m", "ranklite", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    work = tmp_path / "runs" / "tuned" / "artifacts" / ".search-settings"
    while process.poll() is None and len(list(work.glob("*/trial-????????????????"))) < 2:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {
        path: (path / "trial.json").stat().st_mtime_ns
        for path in work.glob("*/trial-????????????????")
    }
    assert 2 <= len(kept) < 4

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(arguments) == 0, printed.getvalue()
    assert {path: (path / "trial.json").stat().st_mtime_ns for path in kept} == kept
    assert len(list(work.glob("*/trial-*"))) == 4

    made = finished_run(tmp_path, "tuned")
    assert made.stages["Transform"].state == "cached"
    search = made.stages["SettingsSearch"]
    trials = search.document("trials", "trials.json")
    chosen = trials["settings"]
    assert chosen["training"]["learning_rate"] >= 2e-4  # 1e-5 teaches next to nothing
    checkpoint = loaded(made, "Trainer")
    assert checkpoint.config.embedding_dim == chosen["model"]["embedding_dim"]
    assert checkpoint.training is not None
    assert checkpoint.training.learning_rate == chosen["training"]["learning_rate"]
    quantized = loaded(made, "Quantizer")
    assert quantized.training == checkpoint.training

    # What is printed can be pasted: it trains the same model without a search.
    words = printed.getvalue()
    assert "settings     4 trials" in words
    assert ": the best is taken" in words
    pasted = {
        key: value
        for line in words.splitlines()
        if line.startswith("by the data  ")
        for key, value in yaml.safe_load(line.removeprefix("by the data  ")).items()
    }
    assert pasted["model"] == chosen["model"]
    rest = {key: value for key, value in SETTINGS.items() if key != "tune"}
    parts = {key: {**rest[key], **pasted[key]} for key in ("model", "training")}
    again = RunConfig.model_validate({**rest, **parts})
    assert (again.model, again.training.learning_rate) == (
        checkpoint.config,
        checkpoint.training.learning_rate,
    )
    page = pathlib.Path(str(made.stages["RunReport"].folder("page")), "report.html").read_text()
    for shown in ("Search for settings", "1 configured", "model: {embedding_dim: "):
        assert shown in page
    version = json.loads(pathlib.Path(str(made.pushed), "model.json").read_text())
    assert version["config"]["tune"]["keys"] == SETTINGS["tune"]["keys"]
    assert "SettingsSearch" in {
        step.node for step in trace(str(made.pushed), str(tmp_path / "runs")).steps
    }
    view = pathlib.Path(arrange(str(tmp_path / "runs")))
    assert {path.name for path in view.glob("*/settingssearch/*") if path.is_dir()} == {
        f"trial_00{k}" for k in range(1, 5)
    }

    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*arguments, "--name", "again"]) == 0
    states = {node: stage.state for node, stage in finished_run(tmp_path, "tuned").stages.items()}
    assert states["SettingsSearch"] == states["Trainer"] == states["Quantizer"] == "cached"
