"""Old runs can go; what the next run, the cache or a question needs stays."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.retention import free
from tests.recorder import Recorder


class Past:
    """A pipeline's folder with runs in it."""

    def __init__(self, root: pathlib.Path) -> None:
        self.runs = root
        self.artifacts = root / "mine" / "artifacts"
        self.artifacts.mkdir(parents=True)
        self.store = root / "mine" / "metadata.sqlite"
        self.recorder = Recorder(self.store)
        self.count = 0

    def run(self, *, pushed: bool = False, cached: dict[str, str] | None = None) -> None:
        """A run that trains, or takes what an earlier one trained, and pushes or not."""
        context = self.context()
        model = cached or {"model": self.folder(f"model{self.count}")}
        state = mlmd.Execution.CACHED if cached else mlmd.Execution.COMPLETE
        self.execution(context, "Trainer", state, model)
        made = self.folder(f"pushed{self.count}")
        reported = {"version": "somewhere" if pushed else None, "refused_by": []}
        pathlib.Path(made, "pushed.json").write_text(json.dumps(reported))
        self.execution(context, "Pusher", mlmd.Execution.COMPLETE, {"pushed_model": made})

    def context(self) -> int:
        self.count += 1
        return self.recorder.run("mine", f"mine.{self.count}")

    def execution(self, context: int, node: str, state: int, outputs: dict[str, str]) -> None:
        kinds = {"pushed_model": "PushedModel"}
        self.recorder.execution("mine", context, node, state, outputs, kinds=kinds)

    def folder(self, name: str) -> str:
        path = self.artifacts / name
        path.mkdir()
        (path / "weights").write_bytes(b"x" * 100)
        return str(path)

    def free(self, keep: int, **options: Any) -> Any:
        return free(Folders(str(self.runs), "mine"), keep, **options)

    @property
    def models(self) -> list[str]:
        return sorted(path.name for path in self.artifacts.glob("model*"))

    def states(self) -> dict[str, int]:
        result = self.recorder.store.get_artifacts()
        return {pathlib.Path(artifact.uri).name: artifact.state for artifact in result}


@pytest.fixture
def past(tmp_path: pathlib.Path) -> Past:
    return Past(tmp_path)


def test_old_models_go_and_their_reports_stay(past: Past) -> None:
    for _ in range(4):
        past.run()
    before = past.free(2, dry_run=True)
    assert past.models == ["model1", "model2", "model3", "model4"]
    freed = past.free(2)
    assert freed == before
    assert (freed.runs, freed.kept, freed.size) == ([1, 2], [], 200)
    assert past.models == ["model3", "model4"]
    assert len(list(past.artifacts.glob("pushed*/pushed.json"))) == 4
    states = past.states()
    assert states["model1"] == mlmd.Artifact.DELETED
    assert states["model3"] != mlmd.Artifact.DELETED
    assert past.free(2).runs == []


def test_what_a_newer_run_took_from_the_cache_stays(past: Past) -> None:
    past.run()
    past.run()
    past.run(cached={"model": str(past.artifacts / "model1")})
    assert past.free(1).size == 100
    assert past.models == ["model1"]


def test_the_two_models_pushed_last_stay_however_old(past: Past) -> None:
    for pushed in (True, True, True, False, False):
        past.run(pushed=pushed)
    freed = past.free(1)
    assert freed.kept == [2, 3]
    assert freed.runs == [1, 4]
    assert past.models == ["model2", "model3", "model5"]


def test_nothing_outside_of_the_artifacts_is_removed(past: Past, tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    context = past.context()
    outputs = {"model": str(outside), "other": str(past.artifacts / ".." / ".." / "elsewhere")}
    past.execution(context, "Importer", mlmd.Execution.COMPLETE, outputs)
    past.execution(context, "Root", mlmd.Execution.COMPLETE, {"model": str(past.artifacts)})
    past.run()
    past.run()
    past.free(1)
    assert outside.is_dir()
    assert past.models == ["model3"]


@pytest.mark.fault("`ranklite clean` is killed halfway", "the next one finishes it")
def test_a_removal_that_was_stopped_is_finished_by_the_next(past: Past) -> None:
    past.run()
    past.run()
    (artifact,) = (a for a in past.recorder.store.get_artifacts() if a.uri.endswith("model1"))
    artifact.state = mlmd.Artifact.MARKED_FOR_DELETION
    past.recorder.store.put_artifacts([artifact])
    past.free(1)
    assert past.models == ["model2"]
    assert past.states()["model1"] == mlmd.Artifact.DELETED


def test_what_a_failed_stage_left_goes_too(past: Past) -> None:
    context = past.context()
    past.execution(context, "Trainer", mlmd.Execution.FAILED, {})
    (failed,) = past.recorder.store.get_executions_by_context(context)
    outputs = past.artifacts / "Trainer" / "model_run"
    for name in (f"{failed.id}.failed", f"{failed.id}0"):
        (outputs / name).mkdir(parents=True)
    past.run()
    freed = past.free(1)
    assert freed.runs == [1]
    assert freed.folders == [str(outputs / f"{failed.id}.failed")]
    assert [path.name for path in outputs.iterdir()] == [f"{failed.id}0"]
    assert past.free(1).runs == []


def test_what_was_put_aside_goes_too(past: Past) -> None:
    past.run()
    aside = past.artifacts / "Trainer" / "model" / "7.damaged"
    aside.mkdir(parents=True)
    assert past.free(1, dry_run=True).folders == [str(aside)]
    past.free(1)
    assert not aside.exists()


@pytest.mark.fault(
    "one pipeline's store is damaged", "clean and compare do the others, and name it"
)
def test_a_store_that_cannot_be_read_does_not_keep_others(
    past: Past, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past.run()
    past.run()
    (tmp_path / "a-damaged-one").mkdir()
    (tmp_path / "a-damaged-one" / "metadata.sqlite").write_bytes(b"no database" * 100)
    assert main(["clean", "--runs", str(tmp_path), "--keep", "1"]) == 1
    printed = capsys.readouterr()
    assert "of #1 removed" in printed.out
    assert "a-damaged-one/metadata.sqlite cannot be read as a metadata store" in printed.err
    assert "CREATE TABLE" not in printed.err
    assert main(["compare", "--list", "--runs", str(tmp_path)]) == 0
    assert "mine#2" in capsys.readouterr().out


def test_what_no_training_resumes_from_any_more_goes(past: Past) -> None:
    """Of the newest run it stays: the same command goes on from it."""
    past.run()
    for node in ("Trainer", "Quantizer"):
        folder = past.artifacts / node / "model_run" / ".unfinished" / "0123456789abcdef"
        folder.mkdir(parents=True)
        (folder / "1.npz").write_bytes(b"x" * 1000)
    killed = past.context()
    past.execution(killed, "Trainer", mlmd.Execution.RUNNING, {})
    freed = past.free(5)
    assert (freed.leftovers, freed.size, freed.runs) == (1, 1000, [])
    left = sorted(path.parts[-5] for path in past.artifacts.rglob("*.npz"))
    assert left == ["Trainer"]
    past.run()
    assert past.free(5).leftovers == 1
    assert not list(past.artifacts.rglob("*.npz"))


def test_the_command(
    past: Past, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past.run()
    past.run()
    arguments = ["clean", "--runs", str(tmp_path), "--keep", "1"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "mine: 1 folders, 0.0 MB of #1 would be removed" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "of #1 removed" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "mine: nothing to remove" in capsys.readouterr().out
    (past.artifacts / "Trainer" / "model_run" / ".unfinished" / "1").mkdir(parents=True)
    assert main(arguments) == 0
    said = "mine: 1 folders, 0.0 MB of killed trainings that nothing resumes removed"
    assert said in capsys.readouterr().out
    assert main([*arguments, "--config", "configs/frappe.yaml"]) == 1
    assert "no run of frappe" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["clean", "--keep", "0"])
    assert "at least 1" in capsys.readouterr().err
