"""FileValidator whole, on a small model of a small log: five rows decide nothing, many decide."""

from __future__ import annotations

import json
import pathlib
import weakref
from typing import Any

import pytest
from tfx.types import standard_artifacts

from ranklite.components import artifact_io, model_file
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.evaluation.accuracy import GATES
from ranklite.models.export import export_target
from ranklite.models.notebook.prepared import Prepared
from ranklite.models.training.config import TrainingConfig
from tests.click_log import FEATURES, artifact, clicks, examples, judge

pytestmark = pytest.mark.slow

# Bounds that every model keeps, and that none of them can show to keep on five rows.
WIDE = {gate.key: 0.01 if gate.key.startswith("min_") else 0.9 for gate in GATES}
WIDE |= {"max_log_loss": 9.0, "max_calibration": 9.0, "min_gain_over_baselines": -0.9}


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

    further = export_target("onnx").export(checkpoint, data.raw_features(checkpoint))

    def of(rows: int, *, others: bool = False) -> dict[str, list[Any]]:
        keras = [artifact(standard_artifacts.Model, folder / "keras")]
        artifact_io.save(checkpoint, keras)
        files = {}
        for number, key in enumerate(("model", "float_model", "blessed_model")):
            files[key] = [artifact(standard_artifacts.Model, folder / key)]
            files[key][0].id = number + 1
            model_file.write(files[key], target, content)
        if others:
            files["further_model_0"] = [artifact(standard_artifacts.Model, folder / "further")]
            model_file.write(files["further_model_0"], export_target("onnx"), further)
        tables = {"train": train, "test": clicks(rows, 3)}
        where = folder / f"transformed-{rows}"
        return {
            **files,
            "keras_model": keras,
            "examples": [examples(folder / f"raw-{rows}", tables)],
            "transformed_examples": [examples(where, tables, data.graph)],
            "transform_graph": [
                artifact(standard_artifacts.TransformGraph, pathlib.Path(data.graph))
            ],
        }

    return of


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
    blessing, report = judge(inputs(5), {**WIDE, **EXACT, **policies}, tmp_path)
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


@pytest.mark.fault("the judged split has five rows", "not pushed")
def test_five_rows_are_refused_by_default(inputs: Any, tmp_path: pathlib.Path) -> None:
    blessing, report = judge(inputs(5), {}, tmp_path)
    assert blessing.get_int_custom_property("blessed") == 0
    (constant,) = (v for v in report["verdicts"] if v["key"] == "gates.min_gain_over_constant")
    assert (constant["passed"], constant["undecided"]) == (False, True)


def test_no_checkpoint_is_held_beside_a_file(
    inputs: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, load_file = artifact_io.load, model_file.load
    seen, held = list[Any](), list[int]()

    def loaded(models: list[Any]) -> Any:
        checkpoint = load(models)
        seen.append(weakref.ref(checkpoint.model))
        return checkpoint

    def loaded_file(models: list[Any]) -> Any:
        held.append(sum(model() is not None for model in seen))
        return load_file(models)

    monkeypatch.setattr(artifact_io, "load", loaded)
    monkeypatch.setattr(model_file, "load", loaded_file)
    judge(inputs(5), EXACT, tmp_path)
    assert len(seen) == 1
    assert held == [0, 0, 0]  # the float one, the shipped one, the one pushed last


def test_many_rows_decide(inputs: Any, tmp_path: pathlib.Path) -> None:
    gates: dict[str, Any] = {**WIDE, **EXACT}
    gates["slices"] = {"user": {"min_gauc": 0.3}, "user = new": {"min_auc": 0.3}}
    blessing, report = judge(inputs(1500), gates, tmp_path)
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


def test_very_many_rows_are_judged_by_users(inputs: Any, tmp_path: pathlib.Path) -> None:
    given = inputs(1500)
    _, whole = judge(given, {**WIDE, **EXACT}, tmp_path / "whole")
    _, some = judge(given, {**WIDE, **EXACT, "most_rows": 1_000}, tmp_path / "some")
    assert whole["rows"] == 1500
    assert 0 < some["rows"] <= 1_000
    every, few = (each["evidence"]["users"]["users"] for each in (whole, some))
    assert few < every
    told = f"{some['rows']:,} of the 1,500 rows of the"
    assert any(line.startswith(told) for line in some["warnings"])
    assert not any("are judged" in line for line in whole["warnings"])
    assert some["stages"]["shipped"]["auc"] == pytest.approx(
        whole["stages"]["shipped"]["auc"], abs=0.1
    )


def test_a_further_target_is_judged_by_every_gate_on_a_file(
    inputs: Any, tmp_path: pathlib.Path
) -> None:
    alone = judge(inputs(1500), {**WIDE, **EXACT}, tmp_path / "alone")[1]
    assert alone["targets"] == {}
    blessing, report = judge(inputs(1500, others=True), {**WIDE, **EXACT}, tmp_path / "both")
    assert blessing.get_int_custom_property("blessed") == 1
    figures, shipped = report["targets"]["onnx"], report["stages"]["shipped"]
    assert figures["title"] == "ONNX"
    assert figures["auc"] == pytest.approx(shipped["auc"], abs=1e-6)
    assert figures["interval"]["auc"] == pytest.approx(shipped["interval"]["auc"], abs=1e-6)
    assert figures["score_change"]["max"] < 1e-5
    assert "Gather" in figures["operators"]
    assert "GATHER" in shipped["operators"]
    names = [v["name"] for v in report["verdicts"]]
    own = [name.removeprefix("ONNX: ") for name in names if name.startswith("ONNX: ")]
    first = [name for name in names if not name.startswith("ONNX: ")]
    about_data = {"unseen or missing values", "AUC of one feature alone", "values taken for others"}
    assert sorted(name.replace("ONNX", "TFLite") for name in own) == sorted(
        name for name in first if name not in about_data
    )


def test_a_gate_that_a_further_target_fails_keeps_the_model_back(
    inputs: Any, tmp_path: pathlib.Path
) -> None:
    files = inputs(1500, others=True)
    sizes = {k: len(model_file.load(files[k]).content) for k in ("model", "further_model_0")}
    small, large = sorted(sizes.values())
    assert small < large
    gates = {**WIDE, **EXACT, "max_bytes": large - 1}
    blessing, report = judge(files, gates, tmp_path)
    assert blessing.get_int_custom_property("blessed") == 0
    failed = [v["name"] for v in report["verdicts"] if not v["passed"]]
    assert failed == (["bytes"] if sizes["model"] == large else ["ONNX: bytes"])
