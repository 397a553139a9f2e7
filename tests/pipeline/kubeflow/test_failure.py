"""A task that fails leaves its reason and a page, and a run its name, where its pods are gone."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import json
import pathlib
import re
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from ranklite.components.engines.current import current_engine
from ranklite.components.engines.local import Local
from ranklite.components.run_logs import FAILED
from ranklite.components.run_report.current import current_run
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.kubeflow import entrypoint, failure, run_record, storage
from ranklite.pipeline.kubeflow.object_store import StorageError
from ranklite.pipeline.kubeflow.run_record import Place, Record
from tests.object_store import ObjectStore
from tests.pipeline.local.test_failure_page import LOG, STATISTICS

RUN = "minio://bucket/root/synthetic/artifacts/synthetic/run-7"
EXECUTION = "0a1b2c3d-0000-4000-8000-0123456789ab"
TASKS = ["LogExampleGen", "StatisticsGen", "SchemaFromConfig", "ValidationGate", "Trainer"]
TASKS += ["Pusher"]
ENGINE = Local(workers=3).model_dump_json()
ABOUT = {"config": load_config("configs/synthetic.yaml").model_dump(mode="json"), "tasks": TASKS}


def task(name: str, *keys: str, execution: str = "") -> dict[str, Any]:
    """What an executor of a task is given."""
    folder = "/".join(filter(None, [RUN, name, execution]))
    artifacts = {key: {"artifacts": [{"uri": f"{folder}/{key}"}]} for key in keys}
    return {"inputs": {"parameterValues": {}}, "outputs": {"artifacts": artifacts}}


def begun(name: str = "wide tower") -> Record:
    """The run, after its first task began."""
    first = task("LogExampleGen", "examples", "report")
    first["inputs"]["parameterValues"] |= {run_record.NAME_PARAMETER: name, "span": ""}
    record = run_record.begin(first, json.dumps(ABOUT))
    assert first["inputs"]["parameterValues"] == {"span": ""}  # TFX does not know the name
    assert record is not None
    return record


def fail(given: dict[str, Any], record: Record | None, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)), failure.kept(given, record):
        raise ValueError(words)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        (f"{RUN}/Trainer/model", Place(RUN, "Trainer", f"{RUN}/Trainer")),
        (f"{RUN}/Trainer/{EXECUTION}/model", Place(RUN, "Trainer", f"{RUN}/Trainer/{EXECUTION}")),
        (f"{RUN}/Trainer/12/model", Place(RUN, "Trainer", f"{RUN}/Trainer/12")),
    ],
)
def test_where_a_task_writes(uri: str, place: Place) -> None:
    given = {"outputs": {"artifacts": {"model": {"artifacts": [{"uri": uri}]}}}}
    assert Place.of(given) == place
    assert Place.of({}) is None


def test_all_tasks_know_what_the_first_one_wrote_down(store: ObjectStore) -> None:
    assert run_record.begin(task("Trainer", "model"), None) is None
    first = begun()
    assert first.about.title == f"{first.started:%Y-%m-%d} synthetic kubeflow run wide tower"
    assert abs(datetime.datetime.now(datetime.timezone.utc) - first.started).seconds < 60
    assert run_record.begin(task("Trainer", "model", execution=EXECUTION), None) == first


def test_a_kubeflow_that_does_not_tell_the_name_leaves_the_id(store: ObjectStore) -> None:
    assert begun("{{$.pipeline_job_name}}").name == "run-7"


def test_no_task_fails_for_lack_of_it(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.objects[f"{RUN.partition('://')[2]}/{run_record.RECORD}"] = b"{}"
    assert run_record.begin(task("Trainer", "model"), None) is None
    assert "could not be read or written down" in caplog.text
    monkeypatch.setattr(storage, "write", lambda *given: _refuse())
    fail(task("Trainer", "model"), None, "the loss became nan")
    assert "could not be kept" in caplog.text


def _refuse() -> None:
    raise StorageError("no credentials")


def test_the_page_shows_what_the_run_s_tasks_have_uploaded(
    store: ObjectStore, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(storage.MOUNTS_ENV, str(tmp_path))
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    text_format.Parse(STATISTICS, statistics)
    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name="price", type=schema_pb2.FLOAT)])
    anomalies = anomalies_pb2.Anomalies()
    anomalies.anomaly_info["price"].description = "a warning only"
    record = begun()
    for path, content in {
        "LogExampleGen/report/report.json": json.dumps({**LOG, "splits": {}}).encode(),
        f"StatisticsGen/{EXECUTION}/statistics/Split-train/FeatureStats.pb": (
            statistics.SerializeToString()
        ),
        "SchemaFromConfig/schema/schema.pbtxt": text_format.MessageToString(schema).encode(),
        "ValidationGate/anomalies/Split-train/SchemaDiff.pb": anomalies.SerializeToString(),
        "Trainer/executor-logs/log": b"of Kubeflow",
    }.items():
        storage.write(f"{RUN}/{path}", content)
    given = task("Trainer", "model", "model_run", "executor-logs", execution=EXECUTION)
    place = Place.of(given)
    assert place is not None
    put_aside = storage.mounted(f"{place.own}/model_run") + FAILED
    with tf.summary.create_file_writer(f"{put_aside}/validation").as_default():
        for step, value in enumerate([0.6, float("nan")]):
            tf.summary.scalar("epoch_auc", value, step=step)
    fail(given, record, "the loss became nan")
    (kept,) = run_record.failures(RUN)
    assert (kept.task, kept.reason) == ("Trainer", "the loss became nan")
    assert kept.page == f"{RUN}/Trainer/{EXECUTION}/failure/report.html"
    page = (storage.read(kept.page) or b"").decode()
    assert f"<h1>{record.about.title}</h1>" in page
    titles = ["Stopped", "Training", "Data", "Lineage and how to repeat it"]
    assert re.findall("<h2>(.*?)</h2>", page) == titles
    for words in (
        "Trainer failed: the loss became nan",
        "a warning only",
        "ab" * 32,  # of the log's file
        ">Trainer</text>",  # the legend of its curve
        f"{RUN}/Trainer/{EXECUTION}/executor-logs",
        "min_auc: ",  # of the configuration
    ):
        assert words in page, words
    states = dict(re.findall(r"<td>(\w+)</td><td>([\w ]+)</td><td>-</td>", page))
    assert states.pop("Trainer") == "failed"
    assert states.pop("Pusher") == "not finished"
    assert states == dict.fromkeys(TASKS[:4], "done")


def test_a_run_that_is_not_known_has_the_reason_alone(store: ObjectStore) -> None:
    fail(task("Trainer", "model"), None, "the loss became nan")
    (kept,) = run_record.failures(RUN)
    assert (kept.task, kept.reason, kept.page) == ("Trainer", "the loss became nan", None)


def test_a_task_that_succeeds_when_it_is_repeated_did_not_fail(store: ObjectStore) -> None:
    record = begun()
    fail(task("Pusher", "pushed_model"), record, "busy")
    fail(task("Trainer", "model"), record, "the disk was full")
    assert [kept.task for kept in run_record.failures(RUN)] == ["Pusher", "Trainer"]
    with failure.kept(task("Trainer", "model", execution=EXECUTION), record):
        pass
    assert [kept.task for kept in run_record.failures(RUN)] == ["Pusher"]
    assert not [name for name in store.objects if "Trainer" in name]


def test_the_program_of_a_pod_keeps_it(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def run(args: Any, beam_args: Any, given: dict[str, Any], shared: None) -> None:
        parameters = copy.deepcopy(given["inputs"]["parameterValues"])
        seen.append((parameters, current_run(), current_engine()))
        raise ValueError("no rows")

    monkeypatch.setattr(entrypoint, "_run_task", run)
    first = task("LogExampleGen", "examples")
    first["inputs"]["parameterValues"] |= {run_record.NAME_PARAMETER: "wide tower"}
    arguments = ["--executor_class_path", "x.Executor", "--history", "minio://bucket/history"]
    given = ["--json_serialized_invocation_args", json.dumps(first)]
    with pytest.raises(ValueError, match="no rows"):
        entrypoint.main([*arguments, *given, f"--run={json.dumps(ABOUT)}", f"--engine={ENGINE}"])
    ((parameters, about, engine),) = seen
    assert engine == Local(workers=3)
    assert current_engine() is None
    assert parameters == {}
    assert about is not None
    assert about.title.endswith("synthetic kubeflow run wide tower")
    (kept,) = run_record.failures(RUN)
    assert dataclasses.asdict(kept) == {
        "task": "LogExampleGen",
        "reason": "no rows",
        "failed": kept.failed,
        "page": f"{RUN}/LogExampleGen/failure/report.html",
    }
