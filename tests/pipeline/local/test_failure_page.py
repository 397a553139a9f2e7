"""A run that failed has a page with what its finished stages found."""

from __future__ import annotations

import html
import json
import pathlib
import platform
import re

import tensorflow as tf
import yaml
from google.protobuf import text_format
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from ranklite.components.run_logs import FAILED
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.local.failure_page import write_page
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import latest_run, note_failure, note_name
from tests.recorder import Recorder

STATISTICS = """
datasets {
  num_examples: 8
  features {
    name: "price"
    type: FLOAT
    num_stats { common_stats { num_non_missing: 6 } min: 1 max: 9 median: 4 mean: 4 }
  }
}
"""
LOG = {"files": [{"name": "clicks.csv", "bytes": 4321, "sha256": "ab" * 32}], "rejected": {}}
GATED = ["LogExampleGen", "StatisticsGen", "SchemaFromConfig", "ValidationGate"]


def test_the_page_of_a_failed_training(tmp_path: pathlib.Path) -> None:
    asked = load_config("configs/synthetic.yaml")
    gates = asked.gates.model_copy(update={"max_auc_drop": None})
    config = asked.model_copy(update={"gates": gates})
    folders = Folders(str(tmp_path), config.name)
    artifacts = pathlib.Path(folders.artifacts)
    artifacts.mkdir(parents=True)
    recorder = Recorder(pathlib.Path(folders.metadata))
    run = recorder.run(config.name, "run.1")

    def finished(node: str, key: str, name: str, content: bytes) -> None:
        path = artifacts / node / key / "1" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        made = {key: str(artifacts / node / key / "1")}
        recorder.execution(config.name, run, node, mlmd.Execution.COMPLETE, made)

    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    text_format.Parse(STATISTICS, statistics)
    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name="price", type=schema_pb2.FLOAT)])
    anomalies = anomalies_pb2.Anomalies()
    anomalies.anomaly_info["price"].description = "a warning only"
    finished("LogExampleGen", "report", "report.json", json.dumps({**LOG, "splits": {}}).encode())
    serialized = statistics.SerializeToString()
    finished("StatisticsGen", "statistics", "Split-train/FeatureStats.pb", serialized)
    text = text_format.MessageToString(schema).encode()
    finished("SchemaFromConfig", "schema", "schema.pbtxt", text)
    result = anomalies.SerializeToString()
    finished("ValidationGate", "anomalies", "Split-train/SchemaDiff.pb", result)
    failed = recorder.execution(config.name, run, "Trainer", mlmd.Execution.RUNNING, {})
    logs = artifacts / "Trainer" / "model_run" / f"{failed}{FAILED}"
    with tf.summary.create_file_writer(str(logs / "validation")).as_default():
        for step, value in enumerate([0.6, float("nan")]):
            tf.summary.scalar("epoch_auc", value, step=step)
    note_failure(folders.metadata, config.name, "Trainer", "the loss became nan")
    note_name(folders.metadata, config.name, 1, "wide tower")
    made = latest_run(folders.metadata, config.name)
    path = write_page(
        config,
        folders,
        made,
        failed="Trainer",
        error="the loss became nan",
        log="logs/06-Trainer.log",
        stages=[*GATED, "Trainer", "Pusher"],
    )
    assert path == str(tmp_path / config.name / "reports" / "1.html")
    page = pathlib.Path(path).read_text(encoding="utf-8")
    assert f"<h1>{made.title}</h1>" in page
    assert made.title.endswith("synthetic run 1 wide tower")
    titles = ["Stopped", "Training", "Data", "Lineage and how to repeat it"]
    assert re.findall("<h2>(.*?)</h2>", page) == titles
    for words in (
        "Trainer failed: the loss became nan",
        "a warning only",
        "ab" * 32,
        "25.0%",  # of the prices are missing
        ">Trainer</text>",  # the legend of its curve
        f"Versions: python {platform.python_version()}",
        "repeats the run",
    ):
        assert words in page, words
    assert re.findall(r"<td>(\w+)</td><td>done</td><td>\d+\.\d</td>", page) == GATED
    assert "<td>Pusher</td><td>did not run</td><td>-</td>" in page
    (shown,) = re.findall("<summary>Configuration</summary><pre>(.*?)</pre>", page, re.DOTALL)
    assert RunConfig.model_validate(yaml.safe_load(html.unescape(shown))) == config
