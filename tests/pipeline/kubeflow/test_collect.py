"""Runs on Kubeflow can be seen here: their logs and pages are fetched once, under their names."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib

import pytest

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.kubeflow.collect import collect
from ranklite.pipeline.kubeflow.run_record import Failure, Record
from ranklite.pipeline.local.tensorboard import arrange, collected
from tests.object_store import ObjectStore

ROOT = "bucket/root/nightly/artifacts"
OLD, NEW = "nightly/run-old", "nightly/3f1c2d4e-0000-4000-8000-0123456789ab"
EXECUTION = "0a1b2c3d-0000-4000-8000-0123456789ab"


def fill(store: ObjectStore) -> None:
    store.objects.update(
        {
            f"{ROOT}/{OLD}/Trainer/model_run/train/events.1": b"one",
            f"{ROOT}/{OLD}/Trainer/model/model.h5": b"not to be fetched",
            f"{ROOT}/{OLD}/RunReport/page/report.html": b"page",
            # Newer versions of Kubeflow put the execution's id between task and output.
            f"{ROOT}/{NEW}/Quantizer/{EXECUTION}/model_run/train/events.1": b"two",
            f"{ROOT}/loose/report.json": b"{}",
            f"{ROOT}/model_run/events.9": b"of no task",
        }
    )


def content(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def counted(artifacts: str, pipeline: str) -> tuple[int, int]:
    fetched = collect(artifacts, pipeline)
    return fetched.runs, fetched.files


def test_logs_and_pages_are_fetched_once(store: ObjectStore, tmp_path: pathlib.Path) -> None:
    fill(store)
    assert counted(f"s3://{ROOT}", str(tmp_path)) == (2, 3)
    assert content(tmp_path / "collected") == {
        "run-old/Trainer/train/events.1": b"one",
        "run-old/report.html": b"page",
        f"{NEW.split('/')[1]}/Quantizer/train/events.1": b"two",
    }
    assert counted(f"s3://{ROOT}", str(tmp_path)) == (2, 0)
    store.objects[f"{ROOT}/{OLD}/Trainer/model_run/train/events.1"] = b"one, grown"
    assert counted(f"s3://{ROOT}", str(tmp_path)) == (2, 1)
    assert content(tmp_path / "collected")["run-old/Trainer/train/events.1"] == b"one, grown"


def test_tensorboard_shows_them_under_their_names(
    store: ObjectStore, tmp_path: pathlib.Path
) -> None:
    fill(store)
    collect(f"s3://{ROOT}", str(tmp_path / "nightly"))
    view = pathlib.Path(arrange(str(tmp_path)))
    shown = sorted(path.relative_to(view).as_posix() for path in view.glob("*/*"))
    assert len({name.split(" run ")[0] for name in shown}) == 1
    # Storage tells whole seconds, so either may be the older one.
    of_runs = sorted(tuple(name.split(" kubeflow ")[1].split("/")) for name in shown)
    assert [run for run, _ in of_runs] == ["run 1", "run 2"]
    assert {stage for _, stage in of_runs} == {"quantizer", "trainer"}
    assert (view / shown[0] / "train" / "events.1").is_file()


def test_a_run_keeps_its_number_when_an_older_one_comes_later(
    store: ObjectStore, tmp_path: pathlib.Path
) -> None:
    fill(store)
    late = {name: content for name, content in store.objects.items() if OLD in name}
    for name in late:
        del store.objects[name]
    collect(f"s3://{ROOT}", str(tmp_path / "nightly"))
    store.objects.update(late)
    for _ in range(2):
        collect(f"s3://{ROOT}", str(tmp_path / "nightly"))
        shown = [run.title.split(" kubeflow ")[1] for run in collected(tmp_path / "nightly")]
        assert shown == ["run 1", "run 2"]
        first, second = (run.folder.name for run in collected(tmp_path / "nightly"))
        assert (first, second) == (NEW.split("/")[1], "run-old")


def test_old_ones_can_go_and_are_not_fetched_again(
    store: ObjectStore, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.objects[f"{ROOT}/{NEW}/RunReport/page/report.html"] = b"newer page"
    nightly = tmp_path / "nightly"
    collect(f"s3://{ROOT}", str(nightly))
    older, newer = (run.folder for run in collected(nightly))
    before = content(older), content(newer)
    arguments = ["clean", "--keep", "1", "--runs", str(tmp_path)]
    assert main([*arguments, "--dry-run"]) == 0
    reported = "nightly on Kubeflow: 1 folders, 0.0 MB of #1 "
    assert capsys.readouterr().out == f"{reported}would be removed\n"
    assert (content(older), content(newer)) == before
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{reported}removed\n"
    assert [path.name for path in older.iterdir() if path.name != "run.json"] == ["report.html"]
    assert len(content(newer)) == 2
    assert counted(f"s3://{ROOT}", str(nightly)) == (2, 0)
    assert not [path for path in older.iterdir() if path.is_dir()]
    assert [path.name for path in pathlib.Path(arrange(str(tmp_path))).iterdir()] == [
        run.title for run in collected(nightly)[1:]
    ]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "nightly on Kubeflow: nothing to remove\n"


RECORD_OF_NEW = Record(
    pipeline="nightly",
    run_id=NEW.split("/")[1],
    name="wide tower, 3rd/try #2",
    started=datetime.datetime(2026, 11, 22, 2, tzinfo=datetime.timezone.utc),
    tasks=["LogExampleGen", "Trainer"],
    config={"name": "nightly"},
)


def test_a_failed_run_has_its_name_its_reason_and_its_page(
    store: ObjectStore, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = f"bucket/root/synthetic/artifacts/synthetic/{RECORD_OF_NEW.run_id}"
    folder = f"{run}/Trainer/{EXECUTION}/failure"
    reason = Failure("Trainer", "the loss became nan\n  at step 7", "2026-11-22T02:10:00+00:00")
    store.objects[f"{run}/ranklite-run.json"] = RECORD_OF_NEW.to_json()
    store.objects[f"{folder}/failure.json"] = json.dumps(dataclasses.asdict(reason)).encode()
    store.objects[f"{folder}/report.html"] = b"<h1>why</h1>"
    arguments = ["kubeflow", "collect", "--config", "configs/synthetic.yaml"]
    arguments += ["--runs", str(tmp_path), "--pipeline-root", "s3://bucket/root"]
    assert main(arguments) == 0
    (one,) = collected(tmp_path / "synthetic")
    assert one.title.endswith("synthetic kubeflow run 1 wide tower 3rd try 2")
    page = one.folder / "failed-Trainer.html"
    assert page.read_bytes() == b"<h1>why</h1>"
    printed = capsys.readouterr().out
    assert f"{one.title}: Trainer failed: the loss became nan\n  page: {page}\n" in printed
    assert main(arguments) == 0
    assert "Trainer failed" not in capsys.readouterr().out  # it was reported before
    assert page.is_file()
    del store.objects[f"{folder}/failure.json"]  # the task was repeated, and succeeded
    del store.objects[f"{folder}/report.html"]
    assert main(arguments) == 0
    assert "Trainer failed" not in capsys.readouterr().out
    assert not page.exists()


def test_nothing_there_is_an_error_that_says_where(
    store: ObjectStore, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = "configs/synthetic.yaml"
    arguments = ["kubeflow", "collect", "--config", config, "--runs", str(tmp_path)]
    assert main([*arguments, "--pipeline-root", "s3://bucket/root"]) == 1
    assert "no runs below s3://bucket/root/synthetic/artifacts" in (capsys.readouterr().err)
    assert main(arguments) == 1
    assert "kubeflow.pipeline_root" in capsys.readouterr().err
