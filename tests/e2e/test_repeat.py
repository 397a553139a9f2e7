"""A run with several seeds: killed between two of them, finished, cached, seen by people."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest
import yaml
from tfx.types import artifact_utils, standard_artifacts

from benchmarks import small_run
from ranklite.components.artifact_types import SeedFigures
from ranklite.components.seed_repeats import executor
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.local.runner import Outcome
from ranklite.pipeline.local.synthetic import generate
from tests.small_runs import finished_run

pytestmark = pytest.mark.e2e

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = {
    **small_run.SETTINGS,
    "name": "seeded",
    "training": {"epochs": 2, "batch_size": 64},
    "tune": {"trials": 2, "keys": ["training.learning_rate"]},
    "repeat": 3,
    "gates": small_run.GATES,
}


def artifact(kind: Any, folder: str | None, **properties: Any) -> list[Any]:
    made = kind()
    made.uri = str(folder)
    for name, value in properties.items():
        setattr(made, name, value)
    return [made]


def repeated(made: Outcome, folder: pathlib.Path) -> Any:
    """What SeedRepeats makes of the stages of a run, as its node was given them."""
    stages = made.stages
    splits = artifact_utils.encode_split_names(["train", "eval", "test"])
    inputs = {
        "base_model": artifact(standard_artifacts.Model, stages["Trainer"].folder("model")),
        "transformed_examples": artifact(
            standard_artifacts.Examples,
            stages["Transform"].folder("transformed_examples"),
            split_names=splits,
        ),
        "transform_graph": artifact(
            standard_artifacts.TransformGraph, stages["Transform"].folder("transform_graph")
        ),
    }
    properties = {**stages["SeedRepeats"].properties, "repeat": 2, "work_dir": str(folder / "work")}
    output = artifact(SeedFigures, str(folder / "again"))
    executor.Executor().Do(inputs, {"seeds": output}, properties)
    return executor.artifact_json.read(output[0].uri, "seeds.json")["seeds"]


def test_a_run_with_several_seeds(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(str(tmp_path / "data"), rows=6000)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    arguments = ["run", "--config", str(config)]
    arguments += ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]

    process = subprocess.Popen(
        [sys.executable, "-m", "ranklite", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    work = tmp_path / "runs" / "seeded" / "artifacts" / ".search-seeds"
    while process.poll() is None and not list(work.glob("*/seed-1042")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (kept,) = work.glob("*/seed-*/seed.json")
    written = kept.stat().st_mtime_ns

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(arguments) == 0, printed.getvalue()
    assert kept.stat().st_mtime_ns == written
    made = finished_run(tmp_path, "seeded")
    assert made.stages["Quantizer"].state == "cached"
    seeds = made.stages["SeedRepeats"].document("seeds", "seeds.json")["seeds"]
    assert [seed["seed"] for seed in seeds] == [1042, 2042]
    for shown in ("mean ± sd of 3 seeds", "shipped less float", "AUC lost to float over 3 seeds: "):
        assert shown in printed.getvalue()
    page = pathlib.Path(str(made.stages["RunReport"].folder("page")), "report.html").read_text()
    assert "AUC lost to float over 3 seeds: " in page

    # With the run's own seed it comes to what the run did: Trainer, with what a search chose,
    # Quantizer, Exporter and FileValidator do the same.
    monkeypatch.setattr(executor, "further_seeds", lambda first, repeat: [first])
    (again,) = repeated(made, tmp_path)
    report = made.stages["FileValidator"].document("report", "report.json")
    assert again["seed"] == 42
    for stage in ("float", "control", "shipped"):
        own = report["stages"][stage]
        for name in ("auc", "log_loss"):
            assert again["figures"][stage][name] == pytest.approx(own[name], abs=1e-6), stage

    config.write_text(yaml.safe_dump({**SETTINGS, "repeat": 2}), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(arguments) == 0
    made = finished_run(tmp_path, "seeded")
    assert made.stages["FileValidator"].state == "cached"
    assert kept.stat().st_mtime_ns == written
    assert len(made.stages["SeedRepeats"].document("seeds", "seeds.json")["seeds"]) == 1
