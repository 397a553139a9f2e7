"""The Pusher pushes what every gate blessed, and says who refused the rest."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx.types import standard_artifacts

from ranklite.components import model_file
from ranklite.components.artifact_json import pushed_version
from ranklite.components.artifact_types import RunPage, StageReport
from ranklite.components.blessings import BLESSINGS, EVALUATIONS
from ranklite.components.pusher import executor
from ranklite.models.evaluation.verdicts import Verdict
from ranklite.models.export.onnx import Onnx
from ranklite.models.export.tflite import TFLite
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.serving.versions import versions

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 3, "separator": "|"},
            {"kind": "numeric", "name": "price"},
        ]
    }
)
GATE = {"name": "AUC", "value": 0.7, "threshold": 0.5, "at_least": True, "passed": True}
REPORT = {
    "split": "test",
    "stages": {"shipped": {"auc": 0.7}},
    "targets": {"onnx": {"title": "ONNX", "auc": 0.7}},
    "verdicts": [GATE],
    "layout": {"fields": [{"name": "user", "rows": 5}]},
    "score_calibration": {
        "method": "platt",
        "slope": 1.1,
        "offset": 0.0,
        "knots": [],
        "changes": [],
    },
}


FURTHER, FURTHER_ID = b"the same in ONNX", 100


def result(*, refused: bool) -> tfma.ValidationResult:
    """What TFMA says of a model: nothing, or that there were no rows."""
    reported = tfma.ValidationResult(validation_ok=not refused)
    if refused:
        reported.missing_slices.add()
    return reported


class FakeModel:
    """Stands for a file that is not looked into here."""

    encoder = None  # it takes texts as they are: no client is generated

    def __init__(self, content: bytes, about: dict[str, Any] | None = None) -> None:
        self.content, self.about = content, about or {}

    def inputs(self, signature: str) -> dict[str, Any]:
        return {"ids": {"shape": [-1, 5], "dtype": "int64"}}


@pytest.fixture
def push(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(TFLite, "load", lambda self, content: FakeModel(content))
    monkeypatch.setattr(Onnx, "load", lambda self, content: FakeModel(content, {"opset": 18}))

    def do(number: int, further: bool = False, **blessed: int) -> Any:
        def artifact(kind: Any, name: str) -> Any:
            made = kind()
            made.uri, made.id = str(tmp_path / name / str(number)), number
            pathlib.Path(made.uri).mkdir(parents=True)
            return made

        inputs = {
            "model": [artifact(standard_artifacts.Model, "model")],
            "stage_report": [artifact(StageReport, "report")],
            "float_checkpoint": [artifact(standard_artifacts.Model, "checkpoint")],
            "examples": [artifact(standard_artifacts.Examples, "examples")],
            "page": [artifact(RunPage, "page")],
        }
        if further:
            inputs["further_model_0"] = [artifact(standard_artifacts.Model, "further")]
            inputs["further_model_0"][0].id = FURTHER_ID + number
            model_file.write(inputs["further_model_0"], Onnx(), FURTHER)
        for key in BLESSINGS:
            blessing = artifact(standard_artifacts.ModelBlessing, key)
            blessing.set_int_custom_property("blessed", blessed.get(key, 1))
            inputs[key] = [blessing]
        for key, node in EVALUATIONS.items():
            inputs[key] = [artifact(standard_artifacts.ModelEvaluation, key)]
            (blessing,) = (key for key, by in BLESSINGS.items() if by == node)
            reported = result(refused=blessed.get(blessing) == 0)
            with tf.io.TFRecordWriter(f"{inputs[key][0].uri}/validations.tfrecord") as file:
                file.write(reported.SerializeToString())
        made_of = pathlib.Path(inputs["model"][0].uri, "preprocessing.json")
        made_of.write_text('{"features": []}')
        serving = pathlib.Path(inputs["model"][0].uri) / "Format-Serving"
        serving.mkdir()
        (serving / "tflite").write_bytes(bytes([number]))
        (serving.parent / "preprocessing.json").write_text("{}")
        report = pathlib.Path(inputs["stage_report"][0].uri) / "report.json"
        report.write_text(json.dumps(REPORT))
        page = pathlib.Path(inputs["page"][0].uri) / "report.html"
        page.write_text("<!doctype html>")
        pushed = artifact(standard_artifacts.PushedModel, "pushed_model")
        executor.Executor().Do(
            inputs,
            {"pushed_model": [pushed]},
            {
                "features": FEATURES.model_dump_json(),
                "config": '{"name": "mine"}',
                "push_destination": str(tmp_path / "pushed"),
                "keep": 2,
                "code_digest": "abc",
            },
        )
        return pushed

    return do


def test_a_blessed_model_is_pushed(push: Any, tmp_path: pathlib.Path) -> None:
    pushed = push(1)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_int_custom_property("model_id") == 1
    assert pushed.get_string_custom_property("sha256") == hashlib.sha256(b"\x01").hexdigest()
    assert pushed_version(pushed.uri) == str(tmp_path / "pushed" / "1")
    metadata = json.loads((tmp_path / "pushed/1/model.json").read_text())
    assert metadata["target"] == "tflite"
    assert metadata["features"][1] == {
        "name": "tags",
        "kind": "multi_categorical",
        "dtype": "string",
        "max_length": 3,
        "separator": "|",
    }
    assert metadata["features"][2]["dtype"] == "float32"
    assert metadata["config"] == {"name": "mine"}
    assert metadata["lineage"] == {
        "artifacts": {
            "model": [1],
            "stage_report": [1],
            "float_checkpoint": [1],
            "examples": [1],
            "page": [1],
            "model_blessing": [1],
            "baseline_blessing": [1],
            "infra_blessing": [1],
            "evaluation": [1],
            "baseline_evaluation": [1],
        },
        "execution": 1,
    }
    assert json.loads((tmp_path / "pushed/1/report.json").read_text()) == REPORT
    assert (tmp_path / "pushed/1/report.html").read_text() == "<!doctype html>"


def test_every_target_is_in_the_version(push: Any, tmp_path: pathlib.Path) -> None:
    pushed = push(1, further=True)
    version = tmp_path / "pushed" / "1"
    assert (version / "model.tflite").read_bytes() == b"\x01"
    assert (version / "model.onnx").read_bytes() == FURTHER
    metadata = json.loads((version / "model.json").read_text())
    assert metadata["target"] == "tflite"
    digests = {"tflite": hashlib.sha256(b"\x01").hexdigest()}
    digests["onnx"] = hashlib.sha256(FURTHER).hexdigest()
    assert metadata["targets"] == {
        "tflite": {"file": "model.tflite"},
        "onnx": {
            "file": "model.onnx",
            "opset": 18,
            "metrics": REPORT["targets"]["onnx"],
        },
    }
    for name, digest in digests.items():
        assert metadata["files"][f"model.{name}"]["sha256"] == digest
    assert metadata["lineage"]["artifacts"]["further_model_0"] == [FURTHER_ID + 1]
    assert pushed.get_string_custom_property("sha256") == digests["tflite"]
    assert pushed.get_string_custom_property("sha256.onnx") == digests["onnx"]
    assert pushed.get_int_custom_property("model_id") == 1
    assert pushed.get_int_custom_property("model_id.onnx") == FURTHER_ID + 1


def test_a_refusal_keeps_every_file_back(push: Any, tmp_path: pathlib.Path) -> None:
    push(1, further=True, infra_blessing=0)
    assert versions(str(tmp_path / "pushed")) == []


EMPTY = {
    node: [Verdict(f"rows for {node}", False, 0.0, 1, at_least=True).to_dict()]
    for node in EVALUATIONS.values()
}


@pytest.mark.parametrize(("key", "gate"), list(BLESSINGS.items()))
def test_any_gate_can_refuse(push: Any, tmp_path: pathlib.Path, key: str, gate: str) -> None:
    pushed = push(1, **{key: 0})
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("sha256")
    assert pushed_version(pushed.uri) is None
    assert json.loads((pathlib.Path(pushed.uri) / "pushed.json").read_text()) == {
        "version": None,
        "refused_by": [gate],
        "verdicts": [GATE, *EMPTY.get(gate, [])],
        "changed_inputs": [],
        "changed_task": [],
    }
    assert versions(str(tmp_path / "pushed")) == []


def test_inputs_that_differ_from_the_version_before_are_named(
    push: Any, tmp_path: pathlib.Path
) -> None:
    """As where two configurations of one name push into one folder."""
    push(1)
    path = tmp_path / "pushed" / "1" / "model.json"
    metadata = json.loads(path.read_text())
    user, tags, price = metadata["features"]
    entries = [{**user, "dtype": "int64"}, tags, {**price, "name": "age"}]
    path.write_text(json.dumps({**metadata, "features": entries}))
    pushed = push(2)
    changed = json.loads((pathlib.Path(pushed.uri) / "pushed.json").read_text())["changed_inputs"]
    assert changed == [
        "'price' is new",
        "'age' is gone",
        "dtype of 'user' was 'int64' and is 'string'",
    ]


def test_a_task_that_differs_from_the_version_before_is_named(
    push: Any, tmp_path: pathlib.Path
) -> None:
    push(1)
    path = tmp_path / "pushed" / "1" / "model.json"
    metadata = json.loads(path.read_text())
    other = {"name": "yours", "label": "bought", "source": {"files": "a.csv"}, "seed": 7}
    path.write_text(json.dumps({**metadata, "config": other}))
    pushed = json.loads((pathlib.Path(push(2).uri) / "pushed.json").read_text())
    assert pushed["changed_task"] == [
        "name was 'yours' and is 'mine'",
        "source.files was 'a.csv' and is None",
        "label was 'bought' and is None",
    ]
    again = json.loads((pathlib.Path(push(3).uri) / "pushed.json").read_text())
    assert again["changed_task"] == []


def test_only_the_newest_are_kept(push: Any, tmp_path: pathlib.Path) -> None:
    for number in (1, 2, 3):
        push(number)
    assert versions(str(tmp_path / "pushed")) == [2, 3]


def test_a_folder_without_a_push(tmp_path: pathlib.Path) -> None:
    assert pushed_version(str(tmp_path)) is None
