"""FileValidator whole, on a small model of a small log: five rows decide nothing, many decide."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from ranklite.components import artifact_io, model_file
from ranklite.components.artifact_types import StageReport
from ranklite.components.file_validator.executor import Executor
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.evaluation.accuracy import GATES
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export import export_target
from ranklite.models.features import arrow
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.notebook import preprocess
from ranklite.models.notebook.prepared import Prepared
from ranklite.models.notebook.table import raw_batches
from ranklite.models.training.config import TrainingConfig

pytestmark = pytest.mark.slow

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "categorical", "name": "item", "dtype": "int64"},
        ],
        "label": "click",
        "user": "user",
        "item": "item",
    }
)
GRAPH = "transform_graph"
# Bounds that every model keeps, and that none of them can show to keep on five rows.
WIDE = {gate.key: 0.01 if gate.key.startswith("min_") else 0.9 for gate in GATES}
WIDE |= {"max_log_loss": 9.0, "max_calibration": 9.0, "min_gain_over_baselines": -0.9}


def clicks(rows: int, seed: int) -> pd.DataFrame:
    """Users who like items of their own parity, as a rule."""
    random = np.random.default_rng(seed)
    user, item = random.integers(0, 40, rows), random.integers(0, 20, rows)
    liked = random.random(rows) < np.where((user + item) % 2, 0.8, 0.2)
    return pd.DataFrame({"user": [f"u{u}" for u in user], "item": item, "click": liked.astype(int)})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The inputs of a run whose judged split has so many rows."""
    folder = tmp_path_factory.mktemp("run")
    train = clicks(2000, 1)
    data = Prepared.make(train, clicks(400, 2), FEATURES)
    settings = DeepFMConfig(embedding_dim=4, hidden_units=(8,))
    checkpoint = data.trained(
        settings, TrainingConfig(batch_size=64, epochs=12, learning_rate=0.01, ridge=0.5)
    )
    target = export_target("tflite")
    content = target.export(checkpoint, data.raw_features(checkpoint))

    def artifact(kind: Any, name: str) -> Any:
        made = kind()
        made.uri = str(folder / name)
        return made

    def examples(name: str, rows: int, transformed: bool) -> Any:
        made = artifact(standard_artifacts.Examples, f"{name}-{rows}")
        made.split_names = artifact_utils.encode_split_names(["train", "test"])
        for split, table in (("train", train), ("test", clicks(rows, 3))):
            where = pathlib.Path(made.uri, f"Split-{split}")
            where.mkdir(parents=True, exist_ok=True)
            batches = raw_batches(table, FEATURES)
            if transformed:
                preprocess.apply(data.graph, batches, str(where / "rows.gz"))
                continue
            with tf.io.TFRecordWriter(str(where / "rows.gz"), "GZIP") as file:
                for batch in batches:
                    for record in arrow.encode(batch):
                        file.write(record)
        return made

    def of(rows: int) -> dict[str, list[Any]]:
        keras = [artifact(standard_artifacts.Model, "keras")]
        artifact_io.save(checkpoint, keras)
        files = {}
        for number, key in enumerate(("model", "float_model", "blessed_model")):
            files[key] = [artifact(standard_artifacts.Model, key)]
            files[key][0].id = number + 1
            model_file.write(files[key], target, content)
        graph = standard_artifacts.TransformGraph()
        graph.uri = data.graph
        return {
            **files,
            "keras_model": keras,
            "examples": [examples("raw", rows, transformed=False)],
            "transformed_examples": [examples("transformed", rows, transformed=True)],
            "transform_graph": [graph],
        }

    return of


def run(inputs: dict[str, list[Any]], gates: dict[str, Any], folder: pathlib.Path) -> Any:
    """The blessing and the report."""
    blessing, report = standard_artifacts.InfraBlessing(), StageReport()
    blessing.uri, report.uri = str(folder / "blessing"), str(folder / "report")
    Executor().Do(
        inputs,
        {"blessing": [blessing], "report": [report]},
        {
            "features": FEATURES.model_dump_json(),
            "gates": GatesConfig.model_validate(gates).model_dump_json(),
            "split": "test",
            "code_digest": "",
        },
    )
    return blessing, json.loads(pathlib.Path(report.uri, "report.json").read_text("utf-8"))


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    """Of the gates on accuracy, by key."""
    keys = {f"gates.{gate.key}" for gate in GATES}
    return {
        v["key"].removeprefix("gates."): "undecided"
        if v["undecided"]
        else "passed"
        if v["passed"]
        else "failed"
        for v in report["verdicts"]
        if v["key"] in keys
    }


EXACT = {"max_single_feature_auc": None, "min_distinct_scores": None}  # not what this is about


@pytest.mark.parametrize("policy", ["pass", "refuse"])
def test_five_rows_are_undecided_and_told(inputs: Any, tmp_path: pathlib.Path, policy: str) -> None:
    policies = {f"undecided{of}": policy for of in ("", "_from_blessed", "_over_constant")}
    blessing, report = run(inputs(5), {**WIDE, **EXACT, **policies}, tmp_path)
    assert outcomes(report) == {gate.key: "undecided" for gate in GATES}
    assert blessing.get_int_custom_property("blessed") == (policy == "pass")
    assert blessing.get_int_custom_property("undecided") == len(GATES)
    assert blessing.get_int_custom_property("baseline_model_id") == 3
    assert json.loads(blessing.get_string_custom_property("verdicts")) == report["verdicts"]
    told = [line for line in report["warnings"] if line.startswith("Undecided: ")]
    assert bool(told) == (policy == "pass")
    if told:
        assert any(
            "users with a positive row" in line and "AUC lost to float" in line for line in told
        )


def test_many_rows_decide(inputs: Any, tmp_path: pathlib.Path) -> None:
    gates: dict[str, Any] = {**WIDE, **EXACT}
    gates["slices"] = {"user": {"min_gauc": 0.3}, "user = new": {"min_auc": 0.3}}
    blessing, report = run(inputs(1500), gates, tmp_path)
    beaten = report["baselines"]
    assert list(beaten) == ["constant", "logistic regression", "boosted trees"]
    assert beaten["constant"]["auc"] == 0.5
    shipped = report["stages"]["shipped"]
    for figures in beaten.values():
        gained, low, high = figures["change"]["auc"]
        assert gained == pytest.approx(shipped["auc"] - figures["auc"])
        assert low <= gained <= high
    assert outcomes(report) == {gate.key: "passed" for gate in GATES}
    assert blessing.get_int_custom_property("blessed") == 1
    by_key = {(v["name"], v["key"]): v for v in report["verdicts"]}
    auc = by_key["AUC", "gates.min_auc"]
    low, high = auc["interval"]
    assert low < auc["value"] < high
    assert report["stages"]["shipped"]["interval"]["auc"] == [low, high]  # one interval a figure
    # The model pushed last is the same file: it lost nothing, and its gate is sure of that.
    lost = by_key["AUC lost to the model pushed last", "gates.max_auc_drop_from_blessed"]
    assert lost["interval"] == pytest.approx([0, 0], abs=1e-9)
    assert by_key["GAUC, user = seen", "gates.slices.user.min_gauc"]["passed"]
    assert by_key["AUC, user = new", "gates.slices.user = new.min_auc"]["undecided"]
