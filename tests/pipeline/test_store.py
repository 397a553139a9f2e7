"""What a run did is read from ML Metadata as TFX writes it."""

from __future__ import annotations

import datetime
import pathlib

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.board import arrange
from pipeline.store import all_runs, latest_run


class Recorder:
    """Writes runs as TFX's launcher records them."""

    def __init__(self, path: pathlib.Path) -> None:
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(config)

    def context(self, kind: str, name: str) -> int:
        type_id = self.store.put_context_type(mlmd.ContextType(name=kind))
        found = self.store.get_context_by_type_and_name(kind, name)
        if found:
            return int(found.id)
        return int(self.store.put_contexts([mlmd.Context(type_id=type_id, name=name)])[0])

    def run(self, pipeline: str, name: str) -> int:
        parent, child = self.context("pipeline", pipeline), self.context("pipeline_run", name)
        self.store.put_parent_contexts([mlmd.ParentContext(parent_id=parent, child_id=child)])
        return child

    def execution(
        self, pipeline: str, run: int, node: str, state: int, outputs: dict[str, str]
    ) -> int:
        kind = self.store.put_execution_type(mlmd.ExecutionType(name=node))
        (execution,) = self.store.put_executions(
            [mlmd.Execution(type_id=kind, last_known_state=state)]
        )
        contexts = [run, self.context("node", f"{pipeline}.{node}")]
        self.store.put_attributions_and_associations(
            [], [mlmd.Association(execution_id=execution, context_id=c) for c in contexts]
        )
        type_id = self.store.put_artifact_type(mlmd.ArtifactType(name="Model"))
        for key, uri in outputs.items():
            (artifact,) = self.store.put_artifacts([mlmd.Artifact(type_id=type_id, uri=uri)])
            event = mlmd.Event(execution_id=execution, artifact_id=artifact, type=mlmd.Event.OUTPUT)
            event.path.steps.add().key = key
            event.path.steps.add().index = 0
            self.store.put_events([event])
        return int(execution)


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
        f"{today} movies #1/trainer": logs[0].resolve(),
        f"{today} movies #2/quantizer": logs[1].resolve(),
    }
    logs[0].rmdir()
    arrange(str(tmp_path))
    assert [path.name for path in view.glob("*/*")] == ["quantizer"]


def test_tensorboard_without_runs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="`ranklite run` makes them"):
        arrange(str(tmp_path))
