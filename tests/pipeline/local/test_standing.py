"""What makes a run do something: a change of what it is made from, or of what the last one made."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
from typing import Any

import pytest
import yaml

from ranklite.components.artifact_json import PUSHED_FILE, REPORT_FILE
from ranklite.components.log_example_gen.input_files import digest_of, input_digest
from ranklite.models.serving.versions import write_version
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.local import standing
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import Run, Stage

SETTINGS: dict[str, Any] = {
    "name": "shop",
    "source": {"files": "log.csv"},
    "label": "click",
    "split": {"by": "hash", "eval": 0.2},
    "features": [{"name": "item", "kind": "categorical"}],
}


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "log.csv").write_text("click,item\n1,a\n0,b\n", encoding="utf-8")
    return folder


def config(tmp_path: pathlib.Path, **changed: Any) -> RunConfig:
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, **changed}), encoding="utf-8")
    return load_config(str(path))


def test_every_change_is_another_digest(
    tmp_path: pathlib.Path, data: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = str(tmp_path / "pushed")

    def digest(**changed: Any) -> tuple[str, str] | None:
        made = config(tmp_path, **changed)
        inputs = standing.inputs(made, str(data), push)
        return (inputs, input_digest(made.ingest, str(data))) if inputs else None

    first = digest()
    assert first is not None
    vendored = tmp_path / "vendored" / "other-1.0.dist-info"
    vendored.mkdir(parents=True)
    (vendored / "METADATA").write_text("Name: other\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(vendored.parent)  # as setuptools does, once it is imported
    assert digest() == first
    (data / "log.csv").touch()
    (data / "notes.txt").write_text("nothing reads it")
    assert digest() == first
    digests = {first, digest(training={"seed": 7})}
    elsewhere = standing.inputs(config(tmp_path), str(data), push + "2")
    assert elsewhere not in {None, first[0]}
    digests |= {(elsewhere, first[1])}
    query = {"source": {"files": "log.csv", "query": "SELECT * FROM logs"}}
    digests |= {digest(**query)}
    (data / "prices.csv").write_text("a query may read any file beside the log")
    digests |= {digest(**query)}
    (data / "log.csv").write_text("click,item\n1,a\n0,c\n", encoding="utf-8")
    digests |= {digest()}
    assert len(digests) == 6
    assert digest(training={"warm_start": True}) is None


def test_a_run_stands_while_all_that_it_made_is_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Folders(str(tmp_path / "runs"), "shop")
    model, pushed, report = tmp_path / "model", tmp_path / "artifact", tmp_path / "report"
    for folder in (model, pushed, report):
        folder.mkdir()
    files = [{"name": "log.csv", "bytes": 20, "sha256": "12ab"}]
    (report / REPORT_FILE).write_text(json.dumps({"files": files}))
    version = write_version(folders.pushed, {"model.tflite": b"the model"}, {"model": {}})
    (pushed / PUSHED_FILE).write_text(json.dumps({"version": version}))
    stages = {
        "LogExampleGen": Stage("LogExampleGen", "done", 3, {"report": [str(report)]}),
        "Trainer": Stage("Trainer", "done", 1, {"model": [str(model)]}),
        "Pusher": Stage("Pusher", "done", 2, {"pushed_model": [str(pushed)]}),
    }
    last = Run("shop", 3, datetime.datetime.now(datetime.timezone.utc), stages)
    runs = [last]
    monkeypatch.setattr(standing, "latest_run", lambda path, name: runs[-1])

    reads = list[str]()

    def stands(inputs: str = "abc", log: str = digest_of(files)) -> bool:
        run = standing.standing_run(
            folders, inputs, lambda: reads.append(log) or log, folders.pushed
        )
        assert run is None or {stage.state for stage in run.stages.values()} == {"cached"}
        return run is not None

    assert not stands()  # nothing was kept yet
    standing.keep(folders, "abc", last, folders.pushed)
    assert stands()
    assert not stands(log=digest_of([{**files[0], "sha256": "34cd"}]))
    reads.clear()
    assert not stands("another")
    assert not reads  # a log may be large

    runs.append(dataclasses.replace(last, number=4))
    assert not stands()
    runs[-1] = dataclasses.replace(
        last, stages={**stages, "Trainer": Stage("Trainer", "failed", 1, {})}
    )
    assert not stands()
    runs.pop()

    file = pathlib.Path(version, "model.tflite")
    for content in (b"the Model", b""):
        file.write_bytes(content)
        assert not stands()
    file.unlink()
    assert not stands()
    file.write_bytes(b"the model")
    assert stands()

    newer = write_version(folders.pushed, {"model.tflite": b"by hand"}, {"model": {}})
    assert not stands()
    for path in sorted(pathlib.Path(newer).iterdir()):
        path.unlink()
    pathlib.Path(newer).rmdir()
    assert stands()

    model.rmdir()
    assert not stands()
    model.mkdir()
    pathlib.Path(folders.standing).write_text("{")
    assert not stands()
