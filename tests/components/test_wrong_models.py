"""Wrong models do not pass: labels without a signal, a constant, weights that are not numbers.

Others have tests of their own: a column that knows the outcome in `test_single_features.py`, a
judged split of five rows in `test_file_validator_run.py`, labels that drift between splits in
`tests/models/reporting/test_drift_words.py`.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tfx.types import standard_artifacts

from ranklite.components import artifact_io, model_file
from ranklite.components.artifact_types import IngestReport
from ranklite.components.run_report import gather
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.fine_tuning import copy
from ranklite.models.export import export_target
from ranklite.models.notebook.prepared import Prepared
from ranklite.models.reporting import page
from ranklite.models.training.config import TrainingConfig
from tests import click_log
from tests.click_log import FEATURES, artifact, clicks, examples

pytestmark = pytest.mark.slow

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(8,))
TRAINING = TrainingConfig(batch_size=64, epochs=4, learning_rate=0.01)
SPLITS = {"train": (3000, 1), "eval": (500, 2), "test": (2000, 3)}  # rows and seed

Log = dict[str, pd.DataFrame]
Made = tuple[Prepared, Checkpoint]


def shuffled(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the labels of others."""
    labels = np.random.default_rng(0).permutation(table["click"].to_numpy())
    return table.assign(click=labels)


@dataclasses.dataclass(frozen=True)
class Judged:
    """What FileValidator says of a model."""

    blessed: bool
    report: dict[str, Any]

    def verdict(self, key: str) -> dict[str, Any]:
        (one,) = (v for v in self.report["verdicts"] if v["key"] == f"gates.{key}")
        return dict(one)


def trained(log: Log) -> Made:
    data = Prepared.make(log["train"], log["eval"], FEATURES)
    return data, data.trained(MODEL, TRAINING)


@pytest.fixture(scope="module")
def log() -> Log:
    return {split: clicks(*drawn) for split, drawn in SPLITS.items()}


@pytest.fixture(scope="module")
def honest(log: Log) -> Made:
    return trained(log)


def with_weights(checkpoint: Checkpoint, change: Callable[[Any], Any]) -> Checkpoint:
    """A model of its own with other weights."""
    model = copy(checkpoint)
    model.set_weights([change(weight) for weight in model.get_weights()])
    return dataclasses.replace(checkpoint, model=model)


def judge(log: Log, made: Made, folder: pathlib.Path) -> Judged:
    """Exports a model and has its file judged on the test split."""
    data, checkpoint = made
    target = export_target("tflite")
    content = target.export(checkpoint, data.raw_features(checkpoint))
    tables = {split: log[split] for split in ("train", "test")}
    inputs = {
        "examples": [examples(folder / "raw", tables)],
        "transformed_examples": [examples(folder / "transformed", tables, data.graph)],
        "keras_model": [artifact(standard_artifacts.Model, folder / "keras")],
        "transform_graph": [artifact(standard_artifacts.TransformGraph, pathlib.Path(data.graph))],
    }
    artifact_io.save(checkpoint, inputs["keras_model"])
    for key in ("model", "float_model"):
        inputs[key] = [artifact(standard_artifacts.Model, folder / key)]
        model_file.write(inputs[key], target, content)
    blessing, report = click_log.judge(inputs, {}, folder)
    return Judged(blessing.get_int_custom_property("blessed") == 1, report)


def test_an_honest_model_passes(log: Log, honest: Made, tmp_path: pathlib.Path) -> None:
    judged = judge(log, honest, tmp_path)
    assert judged.blessed
    assert judged.verdict("min_auc")["value"] > 0.7  # the best is .8: others would not be refused
    assert judged.verdict("min_distinct_scores")["passed"]


def test_a_model_of_shuffled_labels_is_refused(log: Log, tmp_path: pathlib.Path) -> None:
    """All splits, as by a join that went wrong: nothing that is measured can look good."""
    wrong = {split: shuffled(table) for split, table in log.items()}
    judged = judge(wrong, trained(wrong), tmp_path)
    assert not judged.blessed
    low, high = judged.verdict("min_auc")["interval"]
    assert low < 0.5 < high
    assert not judged.verdict("min_gain_over_constant")["passed"]


@pytest.mark.fault("labels are shuffled", "not pushed")
def test_a_model_that_learned_from_shuffled_labels_is_refused(
    log: Log, tmp_path: pathlib.Path
) -> None:
    wrong = {**log, "train": shuffled(log["train"])}
    judged = judge(wrong, trained(wrong), tmp_path)
    assert not judged.blessed
    assert not judged.verdict("min_gain_over_constant")["passed"]


@pytest.mark.fault("a model gives every row the same score", "not pushed")
def test_a_constant_is_refused(log: Log, honest: Made, tmp_path: pathlib.Path) -> None:
    data, checkpoint = honest
    constant = with_weights(checkpoint, lambda weight: weight * 0)
    judged = judge(log, (data, constant), tmp_path)
    assert not judged.blessed
    auc, distinct = judged.verdict("min_auc"), judged.verdict("min_distinct_scores")
    assert auc["value"] == 0.5
    assert auc["interval"] == [0.5, 0.5]
    assert not judged.verdict("min_gain_over_constant")["passed"]
    assert distinct["value"] < 0.01
    assert not distinct["passed"]


@pytest.mark.fault("all scores are NaN", "not pushed")
def test_a_file_whose_scores_are_no_numbers_is_refused(
    log: Log, honest: Made, tmp_path: pathlib.Path
) -> None:
    data, checkpoint = honest
    broken = with_weights(checkpoint, lambda weight: weight * np.nan)
    judged = judge(log, (data, broken), tmp_path)
    assert not judged.blessed
    auc = judged.verdict("min_auc")
    assert not auc["passed"]
    assert auc["detail"] == "scores of the shipped file are no numbers"
    facts = gather.facts({"name": "clicks"}, "", {"stage_report": str(tmp_path / "report")}, [])
    assert "scores of the shipped file are no numbers" in page.render(facts)


def test_drift_is_on_the_page(log: Log, honest: Made, tmp_path: pathlib.Path) -> None:
    judge(log, honest, tmp_path)
    ingest = IngestReport()
    ingest.uri = str(tmp_path / "ingest")
    pathlib.Path(ingest.uri).mkdir()
    times = {"first_time": None, "last_time": None}
    splits = {"train": {"rows": 3000, "positives": 1500}, "test": {"rows": 2000, "positives": 500}}
    document = {"splits": {name: {**split, **times} for name, split in splits.items()}}
    pathlib.Path(ingest.uri, "report.json").write_text(json.dumps(document))
    folders = {"ingest_report": ingest.uri, "stage_report": str(tmp_path / "report")}
    report = gather.facts({}, "", folders, []).report
    assert report is not None
    (told,) = (line for line in report["warnings"] if "drifts" in line)
    assert told.startswith("the share of positives drifts: train 50.0 %, test 25.0 %")
