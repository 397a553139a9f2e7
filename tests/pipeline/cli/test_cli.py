"""The command line says what went wrong and what comes next."""

from __future__ import annotations

import datetime
import fcntl
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
import yaml

from ranklite.pipeline.cli import commands
from ranklite.pipeline.cli import main as cli_main
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.runner import Outcome, run
from ranklite.pipeline.runs import report
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import Run, Stage


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 1
    return capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for command in ("run", "validate", "report", "score", "tensorboard"):
        assert f"\n    {command}" in text


def test_validate(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    assert main(["validate", "--config", "configs/movielens.yaml"]) == 0
    assert "configs/movielens.yaml is valid: movielens" in capsys.readouterr().out
    error = fails(capsys, "validate", "--config", "configs/movielens.yaml", "--data", str(tmp_path))
    assert "no file matches 'ratings.csv'" in error
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\n")
    error = fails(capsys, "validate", "--config", str(wrong))
    assert f"{wrong}:1: split: this key is required" in error


def test_validate_refuses_what_a_key_does_not_hold_together(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    text = pathlib.Path("configs/movielens.yaml").read_text(encoding="utf-8")
    text = text.replace("  query:", "  partition_by: userId\n  query:")
    config = tmp_path / "keyed.yaml"
    config.write_text(text)
    assert main(["validate", "--config", str(config)]) == 0
    config.write_text(text.replace("USING (movieId)", "USING (movieId) ORDER BY timestamp"))
    error = fails(capsys, "validate", "--config", str(config))
    assert "ORDER BY over 'ratings' needs all its rows. With source.partition_by: userId" in error


def test_run_without_data(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    arguments = ["run", "--config", "configs/movielens.yaml", "--runs", str(tmp_path)]
    assert "name their folder with --data" in fails(capsys, *arguments)
    error = fails(capsys, *arguments, "--data", str(tmp_path / "nowhere"))
    assert "is not a folder" in error


def test_two_runs_of_one_pipeline_do_not_meet(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "movielens"
    folder.mkdir()
    with open(folder / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another run of this pipeline is under way"):
            run("configs/movielens.yaml", str(tmp_path), str(tmp_path))


def test_report_and_tensorboard_before_any_run(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    assert "nothing was run there yet" in fails(capsys, "report", "--runs", str(tmp_path))
    assert "no runs in" in fails(capsys, "tensorboard", "--runs", str(tmp_path / "none"))


def test_tensorboard_goes_on_looking_for_runs_while_a_store_is_locked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked = threading.Semaphore(0)
    answers = iter([None, OSError("is being written to"), None])

    def arrange(runs: str) -> str:
        answer = next(answers, None)
        looked.release()
        if answer:
            raise answer
        return "view"

    class Board:
        def configure(self, argv: list[str]) -> None:
            assert argv[2] == "view"

        def main(self) -> int:
            return 0 if all(looked.acquire(timeout=60) for _ in range(3)) else 1

    monkeypatch.setattr(commands, "TENSORBOARD_SECONDS", 0.01)
    monkeypatch.setattr("ranklite.pipeline.stack.import_tensorflow", lambda: None)
    monkeypatch.setattr("ranklite.pipeline.local.tensorboard.arrange", arrange)
    program = importlib.import_module(
        "tensorboard.program"
    )  # tensorboard's own name for it is lazy
    monkeypatch.setattr(program, "TensorBoard", Board)
    assert main(["tensorboard"]) == 0
    assert "is being written to; tried again soon" in capsys.readouterr().err


def test_score_without_a_model(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    error = fails(capsys, "score", str(tmp_path), "in.csv", "-o", "out.csv")
    assert "no pushed model" in error


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)  # as `| head` does
    command = [sys.executable, "-m", "ranklite", "validate"]
    ended = subprocess.run(
        command,
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


def stops(monkeypatch: pytest.MonkeyPatch, command: str, error: BaseException) -> int:
    def fail(args: Any) -> int:
        raise error

    monkeypatch.setitem(cli_main._COMMANDS, command, fail)
    return main([command])


def test_a_pipe_that_is_not_the_output_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert stops(monkeypatch, "report", BrokenPipeError("the storage hung up")) == 1
    assert "ranklite report: the storage hung up" in capfd.readouterr().err


@pytest.mark.parametrize(("command", "goes_on"), [("run", True), ("report", False)])
def test_only_a_run_goes_on_where_it_was_stopped(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    goes_on: bool,
) -> None:
    assert stops(monkeypatch, command, KeyboardInterrupt()) == 130
    reported = capsys.readouterr().err
    assert reported.startswith("\nstopped")
    assert ("Rerun the command to resume from the last completed stage" in reported) == goes_on


FIGURES = {"auc": 0.71234, "log_loss": 0.5, "calibration": 1.0}
SLICE: dict[str, Any] = {"column": "slice_user", "value": "new", "rows": 3}
REPORT = {
    "split": "test",
    "rows": 4000,
    "positives": 1000,
    "stages": {
        "float": {**FIGURES, "bytes": 107_228, "latency_1_us": 4.5},
        "shipped": {**FIGURES, "bytes": 69_184, "latency_1_us": 4.25},
    },
    "slices": [{**SLICE, "float": FIGURES, "shipped": FIGURES}],
    "verdicts": [
        {"name": "AUC", "passed": True, "value": 0.71, "threshold": 0.65, "at_least": True}
        | {"detail": ""},
        {"name": "bytes", "passed": False, "value": 69184, "threshold": 65536, "at_least": False}
        | {"detail": "too big"},
    ],
    "warnings": ["One user has 400 of the 4,000 rows."],
    "validation": {
        "calibrated_auc": 0.72,
        "calibrated_log_loss": 0.5,
        "trained_auc": 0.71,
        "trained_log_loss": 0.51,
        "chosen": "calibrated",
    },
    "evidence": {
        "score_change": {
            "float": {"max": 0.31, "p999": 0.12},
            "control": {"max": 0.05, "p999": 0.02},
        }
    },
}


STARTED = datetime.datetime(2026, 11, 24, 22, 10, tzinfo=datetime.timezone.utc)


def made(
    tmp_path: pathlib.Path, pushed: dict[str, Any], ingest: dict[str, Any] | None = None
) -> Outcome:
    """The outcome of a run that left these files."""
    stages = {}
    for node, key, name, content in (
        ("LogExampleGen", "report", "report.json", ingest or {}),
        ("FileValidator", "report", "report.json", REPORT),
        ("Pusher", "pushed_model", "pushed.json", pushed),
    ):
        folder = tmp_path / node
        folder.mkdir()
        (folder / name).write_text(json.dumps(content))
        stages[node] = Stage(node, "cached", 1, {key: [str(folder)]})
    folders = Folders(str(tmp_path), "synthetic")
    truth = pathlib.Path(folders.synthetic)
    truth.mkdir(parents=True)
    (truth / "truth.json").write_text(json.dumps({"best": {"test": {"auc": 0.8}}}))
    config = load_config("configs/synthetic.yaml")
    return Outcome(config, folders, Run("synthetic", 7, STARTED, stages, "wide"), {"total": 12.0})


def test_the_table(tmp_path: pathlib.Path) -> None:
    outcome = made(tmp_path, {"version": str(tmp_path / "7"), "refused_by": []})
    text = report.render(outcome)
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    assert lines["float"] == ["float", "0.7123", "0.5000", "1.000", "-", "-"] + [
        "107,228",
        "-",
        "4.50",
        "-",
    ]
    assert lines["best reachable"][2] == "0.8000"
    assert lines["AUC"] == ["AUC", "0.71", ">=", "0.65", "passed"]
    assert lines["bytes (too big)"][-4:] == ["69184", "<=", "65536", "FAILED"]
    assert lines["user = new"][-4:] == ["3", "0.7123", "0.7123", "1.000"]
    assert "2026-11-24 synthetic run 7 wide, test split" in text
    assert (
        "against float 0.310, 99.9 % of them less than 0.120; against float control 0.050" in text
    )
    assert "ranklite score" in text
    assert "12 s, 3 of 3 cached" in text
    assert "attention    One user has 400 of the 4,000 rows.\n" in text
    assert outcome.pushed == str(tmp_path / "7")


def test_drift_of_the_label_is_told(tmp_path: pathlib.Path) -> None:
    times = {"first_time": 5, "last_time": 5}
    splits = {
        "train": {"rows": 10_000, "positives": 1200, **times},
        "test": {"rows": 4000, "positives": 1000, **times},
    }
    text = report.render(made(tmp_path, {}, {"splits": splits}))
    assert "attention    the share of positives drifts: train 12.0 %, test 25.0 %; scores" in text


def test_a_refused_model_says_by_whom(tmp_path: pathlib.Path) -> None:
    lost = {"name": "AUC by Evaluator", "value": 0.71, "threshold": 0.8, "at_least": True}
    lost |= {"passed": False, "detail": ""}
    reported = {"refused_by": ["Evaluator"], "verdicts": [*REPORT["verdicts"], lost]}
    outcome = made(tmp_path, {"version": None, **reported})
    text = report.render(outcome)
    assert "not pushed   refused by Evaluator\n" in text
    assert "because      AUC by Evaluator is 0.71, the bound is >= 0.8\n" in text
    assert re.search("AUC by Evaluator +0.71 +>= 0.8 +FAILED", text)
    assert "bytes (too big)" in text
    assert outcome.pushed is None


@pytest.mark.parametrize("node", ["RunReport", "Pusher"])
def test_a_judged_run_that_failed_later_says_why_nothing_was_pushed(
    tmp_path: pathlib.Path, node: str
) -> None:
    outcome = made(tmp_path, {})
    outcome.stages["Pusher"] = Stage("Pusher", "cached", 1, {})
    outcome.stages[node] = Stage(node, "failed", 2, {}, "the disk is full")
    assert f"not pushed   {node} failed: the disk is full" in report.render(outcome)
    outcome.stages[node] = Stage(node, "unfinished", 2, {})
    assert f"not pushed   {node} unfinished" in report.render(outcome)


def test_an_unfinished_run(tmp_path: pathlib.Path) -> None:
    folders = Folders(str(tmp_path), "synthetic")
    stages = {
        "Transform": Stage("Transform", "cached", 1, {}),
        "Trainer": Stage("Trainer", "failed", 2, {}, "the loss became nan"),
    }
    run = Run("synthetic", 7, STARTED, stages)
    outcome = Outcome(load_config("configs/synthetic.yaml"), folders, run)
    text = report.render(outcome)
    assert "the last run, 2026-11-24 synthetic run 7, did not finish" in text
    assert "Trainer failed: the loss became nan" in text
    assert "Transform" not in text
    assert "report  " not in text
    assert outcome.pushed is None
    page = pathlib.Path(folders.stopped_page(7))
    page.parent.mkdir(parents=True)
    page.touch()
    assert f"report       {os.path.relpath(page)}" in report.render(outcome)


def test_a_renamed_key_is_shown_as_a_line(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = yaml.safe_load(pathlib.Path("configs/synthetic.yaml").read_text(encoding="utf-8"))
    settings["compression"] = {"budget": {"latency_us": 5}}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["validate", "--config", str(path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ranklite validate: {path}:")
    assert "latency_us is now called latency_1_us" in line
