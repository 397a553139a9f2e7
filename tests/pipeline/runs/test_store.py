"""What a run did is read from ML Metadata as TFX writes it."""

from __future__ import annotations

import datetime
import pathlib

import pytest
from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.components.run_logs import kept
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.local.tensorboard import arrange
from ranklite.pipeline.runs.names import check_name
from ranklite.pipeline.runs.store import (
    all_runs,
    count_runs,
    latest_run,
    note_failure,
    note_name,
    open_store,
)
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
    recorder.execution("mine", new, "Exporter.float", mlmd.Execution.FAILED, {})
    stages = latest_run(str(path), "mine").stages
    assert set(stages) == {"Trainer", "Exporter.float"}
    trainer = stages["Trainer"]
    assert (trainer.state, trainer.execution_id) == ("cached", done)
    assert trainer.outputs == {"model": [str(tmp_path)], "run": ["gone"]}
    assert trainer.folder("model") == str(tmp_path)
    assert trainer.folder("run") is None
    assert trainer.folder("nothing") is None
    assert stages["Exporter.float"].state == "failed"


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
        "movies", new, "Quantizer", mlmd.Execution.COMPLETE, {"model_run": str(logs[1])}
    )
    note_name(str(tmp_path / "movies" / "metadata.sqlite"), "movies", 2, "wide tower")
    view = pathlib.Path(arrange(str(tmp_path)))
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    result = {str(path.relative_to(view)): path.resolve() for path in view.glob("*/*")}
    assert result == {
        f"{today} movies run 1/trainer": logs[0].resolve(),
        f"{today} movies run 2 wide tower/quantizer": logs[1].resolve(),
    }
    logs[0].rmdir()
    arrange(str(tmp_path))
    assert [path.name for path in view.glob("*/*")] == ["quantizer"]


def test_tensorboard_shows_trainings_that_have_not_finished(tmp_path: pathlib.Path) -> None:
    (tmp_path / "movies").mkdir()
    recorder = Recorder(tmp_path / "movies" / "metadata.sqlite")
    run = recorder.run("movies", "movies.1")
    running = recorder.execution("movies", run, "Trainer", mlmd.Execution.RUNNING, {})
    recorder.execution("movies", run, "Exporter.float", mlmd.Execution.RUNNING, {})
    logs = tmp_path / "movies" / "artifacts" / "Trainer" / "model_run" / str(running)
    (logs / "train").mkdir(parents=True)
    (logs / "train" / "events").touch()

    def linked() -> dict[str, pathlib.Path]:
        view = pathlib.Path(arrange(str(tmp_path)))
        return {path.name: path.resolve() for path in view.glob("*/*")}

    assert linked() == {"trainer": logs.resolve()}
    with pytest.raises(ArithmeticError), kept(str(logs)):
        raise ArithmeticError("the loss became nan")
    assert list(logs.iterdir()) == []
    logs.rmdir()  # as TFX does
    note_failure(str(tmp_path / "movies" / "metadata.sqlite"), "movies", "Trainer", "nan")
    assert linked() == {"trainer": logs.parent.resolve() / f"{running}.failed"}
    assert (logs.parent / f"{running}.failed" / "train" / "events").is_file()


def test_a_stage_that_logged_nothing_leaves_no_folder(tmp_path: pathlib.Path) -> None:
    logs = tmp_path / "12"
    logs.mkdir()
    with pytest.raises(ArithmeticError), kept(str(logs)):
        raise ArithmeticError
    assert [path.name for path in tmp_path.iterdir()] == ["12"]


def test_tensorboard_without_runs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="`ranklite run` makes them"):
        arrange(str(tmp_path))


def test_a_name_is_kept_with_its_run(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    recorder = Recorder(path)
    recorder.run("mine", "mine.1")
    recorder.run("mine", "mine.2")
    note_name(str(path), "mine", 1, "wide tower")
    note_name(str(path), "mine", 3, "never: there is no such run")
    runs = all_runs(str(path), "mine")
    assert [run.name for run in runs] == ["wide tower", None]
    assert [run.label for run in runs] == ["mine#1 wide tower", "mine#2"]
    assert runs[0].title == f"{runs[0].started:%Y-%m-%d} mine run 1 wide tower"
    assert count_runs(str(path), "mine") == 2


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("", "letters"),
        ("a" * 41, "1 to 40"),
        ("8/16 bit", "letters"),
        ("#1", "letters"),
        ("two  spaces", "single spaces"),
        ("-v", "begins with"),
        ("mine", "the pipeline's own name"),
        ("mine run 2", "the pipeline's own name"),
        ("taken", "mine#1, started on .*, is called so"),
    ],
)
def test_a_name_that_cannot_be_given(tmp_path: pathlib.Path, name: str, reported: str) -> None:
    path = tmp_path / "metadata.sqlite"
    recorder = Recorder(path)
    done = mlmd.Execution.COMPLETE
    for number, called in ((1, "taken"), (2, "stopped")):
        run = recorder.run("mine", f"mine.{number}")
        recorder.execution("mine", run, "Pusher" if called == "taken" else "Trainer", done, {})
        note_name(str(path), "mine", number, called)
    runs = all_runs(str(path), "mine")
    with pytest.raises(ValueError, match=reported):
        check_name(name, "mine", runs)
    for allowed in ("stopped", "minestrone", "8-bit 0.8 x", "W"):
        check_name(allowed, "mine", runs)


def test_a_store_that_is_written_to_is_told(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "metadata.sqlite"
    Recorder(path).run("mine", "mine.1")
    busy = "Concurrent writes aborted after max number of retries."  # in ML Metadata's words
    with pytest.raises(OSError, match="is being written to"), open_store(str(path)):
        raise errors.AbortedError(busy)

    def locked(config: object) -> None:
        raise RuntimeError(busy)

    monkeypatch.setattr(metadata_store, "MetadataStore", locked)
    assert main(["compare", "--list", "--runs", str(tmp_path)]) == 1
    assert f"{path} is being written to by another process" in capsys.readouterr().err


def test_a_file_that_is_no_store_is_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    path.touch()
    reported = "cannot be read as a metadata store: no such table"
    with pytest.raises(OSError, match=reported), open_store(str(path)):
        raise errors.InternalError("no such table: Type")


def test_a_failure_keeps_its_reason(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metadata.sqlite"
    recorder = Recorder(path)
    run = recorder.run("mine", "mine.1")
    recorder.execution("mine", run, "Transform", mlmd.Execution.COMPLETE, {})
    recorder.execution("mine", run, "Trainer", mlmd.Execution.RUNNING, {})
    note_failure(str(path), "mine", "Trainer", "the loss became nan")
    note_failure(str(path), "mine", "Transform", "never: it is done")
    note_failure(str(path), "mine", "Pusher", "never: it did not run")
    stages = latest_run(str(path), "mine").stages
    assert (stages["Trainer"].state, stages["Trainer"].error) == ("failed", "the loss became nan")
    assert (stages["Transform"].state, stages["Transform"].error) == ("done", None)
    assert set(stages) == {"Trainer", "Transform"}
