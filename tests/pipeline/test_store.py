"""What a run did is read from ML Metadata as TFX writes it."""

from __future__ import annotations

import datetime
import pathlib

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.board import arrange
from pipeline.store import all_runs, latest_run, note_failure
from tests.recorder import Recorder


def test_the_newest_run_of_the_named_pipeline(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    recorder = Recorder(path)
    old, other = recorder.run("mine", "mine.1"), recorder.run("others", "others.1")
    new = recorder.run("mine", "mine.2")
    recorder.execution("mine", old, "Trainer", mlmd.Execution.COMPLETE, {"model": "old"})
    recorder.execution("others", other, "Trainer", mlmd.Execution.COMPLETE, {"model": "others"})
    done = recorder.execution(
        "mine", new, "Trainer", mlmd.Execution.CACHED, {"model": str(tmp_path), "run": "gone"}
    )
    recorder.execution("mine", new, "LiteConverter.float", mlmd.Execution.FAILED, {})
    stages = latest_run(str(path), "mine")
    assert set(stages) == {"Trainer", "LiteConverter.float"}
    trainer = stages["Trainer"]
    assert (trainer.state, trainer.execution_id) == ("cached", done)
    assert trainer.outputs == {"model": [str(tmp_path)], "run": ["gone"]}
    assert trainer.folder("model") == str(tmp_path)
    assert trainer.folder("run") is None
    assert trainer.folder("nothing") is None
    assert stages["LiteConverter.float"].state == "failed"


def test_no_store_and_no_run_are_told_apart(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    with pytest.raises(FileNotFoundError, match="nothing was run there yet"):
        latest_run(str(path), "mine")
    Recorder(path).run("others", "others.1")
    with pytest.raises(FileNotFoundError, match="knows no run of pipeline 'mine'"):
        latest_run(str(path), "mine")


def test_all_runs_in_order(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    recorder = Recorder(path)
    first = recorder.run("mine", "mine.1")
    recorder.run("others", "others.1")
    recorder.run("mine", "mine.2")
    recorder.execution("mine", first, "Trainer", mlmd.Execution.COMPLETE, {})
    runs = all_runs(str(path), "mine")
    assert [run.number for run in runs] == [1, 2]
    assert [set(run.stages) for run in runs] == [{"Trainer"}, set()]
    age = datetime.datetime.now(datetime.timezone.utc) - runs[0].started
    assert datetime.timedelta() <= age < datetime.timedelta(minutes=5)


def test_tensorboard_shows_runs_under_their_names(tmp_path: pathlib.Path) -> None:
    (tmp_path / "movies").mkdir()
    recorder = Recorder(tmp_path / "movies" / "metadata.sqlite")
    logs = [tmp_path / "movies" / "artifacts" / str(number) for number in (1, 2)]
    for folder in logs:
        folder.mkdir(parents=True)
    old, new = recorder.run("movies", "movies.1"), recorder.run("movies", "movies.2")
    made = {"model_run": str(logs[0])}
    recorder.execution("movies", old, "Trainer", mlmd.Execution.COMPLETE, made)
    recorder.execution("movies", new, "Trainer", mlmd.Execution.CACHED, made)
    recorder.execution(
        "movies", new, "Quantizer", mlmd.Execution.RUNNING, {"model_run": str(logs[1])}
    )
    view = pathlib.Path(arrange(str(tmp_path)))
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    found = {str(path.relative_to(view)): path.resolve() for path in view.glob("*/*")}
    assert found == {
        f"{today} movies run 1/trainer": logs[0].resolve(),
        f"{today} movies run 2/quantizer": logs[1].resolve(),
    }
    logs[0].rmdir()
    arrange(str(tmp_path))
    assert [path.name for path in view.glob("*/*")] == ["quantizer"]


def test_tensorboard_without_runs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="`ranklite run` makes them"):
        arrange(str(tmp_path))


def test_a_failure_keeps_its_reason(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    recorder = Recorder(path)
    run = recorder.run("mine", "mine.1")
    recorder.execution("mine", run, "Transform", mlmd.Execution.COMPLETE, {})
    recorder.execution("mine", run, "Trainer", mlmd.Execution.RUNNING, {})
    note_failure(str(path), "mine", "Trainer", "the loss became nan")
    note_failure(str(path), "mine", "Transform", "never: it is done")
    note_failure(str(path), "mine", "Pusher", "never: it did not run")
    stages = latest_run(str(path), "mine")
    assert (stages["Trainer"].state, stages["Trainer"].error) == ("failed", "the loss became nan")
    assert (stages["Transform"].state, stages["Transform"].error) == ("done", None)
    assert set(stages) == {"Trainer", "Transform"}
