"""A task's folder on a volume that the workers of a cluster see, and what becomes of it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import pytest

from ranklite.components.engines.engine import Engine
from ranklite.components.engines.local import Local
from ranklite.components.manifest import DamagedArtifact
from ranklite.pipeline.kubeflow import entrypoint, shared_folder, storage, task_artifacts
from ranklite.pipeline.kubeflow.shared_folder import ALIVE, NotShared, opened
from tests.engine_clusters import until
from tests.kubeflow_backend import ROOT

LONG_AGO = 1_000_000_000


def test_it_is_removed_in_the_end(tmp_path: pathlib.Path) -> None:
    with opened(str(tmp_path)) as made:
        pathlib.Path(made.path, "folder").mkdir()
        assert [path.name for path in tmp_path.iterdir()] == [pathlib.Path(made.path).name]
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_where_the_task_fails(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError), opened(str(tmp_path)):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("a pod on Kubeflow is killed", "the next task removes what it left, and says so")
def test_what_a_killed_pod_left_is_removed(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    left, half_removed, runs = (tmp_path / f"ranklite-task-{name}" for name in "abc")
    for folder in (left, half_removed, runs):
        folder.mkdir()
    (left / ALIVE).touch()
    (runs / ALIVE).touch()
    (tmp_path / "logs").mkdir()
    for path in (left / ALIVE, left, half_removed, runs, tmp_path / "logs"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    with opened(str(tmp_path)) as made:
        there = {pathlib.Path(made.path), runs, tmp_path / "logs"}
        assert set(tmp_path.iterdir()) == there
    assert f"{left} was left by a pod that was killed: it is removed" in caplog.text


def test_its_file_is_touched_while_the_task_runs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_folder, "BEAT_SECONDS", 0.01)
    with opened(str(tmp_path)) as made:
        alive = pathlib.Path(made.path, ALIVE)
        os.utime(alive, (LONG_AGO, LONG_AGO))
        until(lambda: alive.stat().st_mtime > LONG_AGO)


def test_a_volume_that_is_not_there_is_told(tmp_path: pathlib.Path) -> None:
    volume = tmp_path / "claim"
    with (
        pytest.raises(NotShared, match=r"the pod cannot write in .*/claim \(on .+: No such file"),
        opened(str(volume)),
    ):
        pass


class Far(Local):
    """Workers that do not see the folder."""

    def map(self, work: Any, tasks: Any, *rest: Any) -> Any:
        return super().map(work, [f"{task}/elsewhere" for task in tasks], *rest)


@pytest.mark.parametrize(("engine", "seen"), [(Local(workers=2), True), (Far(workers=1), False)])
def test_workers_have_to_see_it(engine: Engine, seen: bool, tmp_path: pathlib.Path) -> None:
    with opened(str(tmp_path)) as made:
        if seen:
            made.check_seen(engine)
            return
        with pytest.raises(NotShared, match=r"kubeflow\.shared_volume: a worker of .*local cannot"):
            made.check_seen(engine)


def test_the_program_of_a_pod_gives_it_to_the_task(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(args: Any, beam_args: Any, task: Any, shared: str) -> None:
        seen.append((pathlib.Path(shared).parent, pathlib.Path(shared).is_dir()))
        raise ValueError("no rows")

    monkeypatch.setattr(entrypoint, "_run_task", run)
    given = ["--executor_class_path=x.Executor", "--json_serialized_invocation_args={}"]
    engine = ['--engine={"kind":"local","workers":2}', f"--shared={tmp_path}"]
    with pytest.raises(ValueError, match="no rows"):
        entrypoint.main([*given, "--history=/none", *engine])
    assert seen == [(tmp_path, True)]
    assert list(tmp_path.iterdir()) == []


def test_a_task_past_its_timeout_leaves_none(tmp_path: pathlib.Path) -> None:
    code = (
        "import sys, time; from ranklite.pipeline.kubeflow import entrypoint as e; "
        "from ranklite.pipeline.kubeflow.shared_folder import opened\n"
        "with opened(sys.argv[1]) as made:\n"
        "    e._stop_after(0.2, 'Transform', print, made); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == entrypoint.TIMED_OUT
    assert list(tmp_path.iterdir()) == []


def test_inputs_come_from_the_launcher_and_outputs_go_to_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(storage.MOUNTS_ENV, str(tmp_path / "mounts"))
    mirror, shared = tmp_path / "mounts/s3/bucket", tmp_path / "shared/s3/bucket"
    (mirror / "examples/Split-train").mkdir(parents=True)
    (mirror / "examples/Split-train/data").write_text("rows")
    task = {
        "inputs": {"artifacts": {"examples": {"artifacts": [{"uri": "s3://bucket/examples"}]}}},
        "outputs": {"artifacts": {"statistics": {"artifacts": [{"uri": "s3://bucket/made"}]}}},
    }
    uris = task_artifacts.to_mounts(task, str(tmp_path / "shared"))
    assert uris == {
        str(shared / "examples"): "s3://bucket/examples",
        str(shared / "made"): "s3://bucket/made",
    }
    assert (shared / "examples/Split-train/data").read_text() == "rows"
    (shared / "made/Split-train").mkdir()
    (shared / "made/Split-train/numbers").write_text("of rows")
    task_artifacts.to_launcher(task["outputs"], uris)
    assert (mirror / "made/Split-train/numbers").read_text() == "of rows"


def test_a_copy_is_held_to_the_manifest_of_its_artifact(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(storage.MOUNTS_ENV, str(tmp_path / "mounts"))
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(storage, "write", kept.__setitem__)
    monkeypatch.setattr(storage, "read", kept.get)
    data = tmp_path / "mounts/s3/bucket/examples/data"
    data.parent.mkdir(parents=True)
    data.write_text("rows")
    listed = {"artifacts": {"examples": {"artifacts": [{"uri": "s3://bucket/examples"}]}}}
    output: dict[str, Any] = {"artifacts": {"examples": {"artifacts": [{"uri": ""}]}}}
    output["artifacts"]["examples"]["artifacts"][0]["uri"] = str(data.parent)
    task_artifacts.keep_manifests(output, {str(data.parent): "s3://bucket/examples"})
    copy = shutil.copyfile

    def copy_short(source: str, target: str) -> str:
        copy(source, target)
        os.truncate(target, 2)
        return target

    monkeypatch.setattr(shutil, "copyfile", copy_short)
    task = {"inputs": listed}
    uris = task_artifacts.to_mounts(task, str(tmp_path / "shared"))
    with pytest.raises(DamagedArtifact, match="data is damaged: it has 2 bytes and had 4"):
        task_artifacts.check_inputs(task, uris)
