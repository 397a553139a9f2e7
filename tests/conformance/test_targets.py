"""What every export target must do: those of the registry, and one of another package."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
import yaml
from tfx.types import standard_artifacts

from ranklite.components import model_file
from ranklite.components.evaluator.eval_config import BASELINE, CANDIDATE, eval_config
from ranklite.components.evaluator.module import custom_extractors
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.technique import Setting, Splits
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.quantize import Quantization
from ranklite.models.evaluation import metrics
from ranklite.models.evaluation.score_calibration import ScoreCalibration
from ranklite.models.export import DEFAULT_TARGET, TARGETS, export_target
from ranklite.models.export.target import (
    SERVING_DEFAULT,
    SERVING_RAW,
    LoadedModel,
    Target,
    UnreadableModel,
)
from ranklite.models.features import raw_values
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.versions import write_version
from ranklite.models.training import fit as training
from ranklite.models.training import runtime
from ranklite.models.training.config import TrainingConfig
from ranklite.pipeline import digest
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.history import History
from ranklite.pipeline.pipeline import create_pipeline
from ranklite.pipeline.runs.store import code_digest
from tests.other_package import toy_installed

ROOT = pathlib.Path(__file__).parents[2]
TOYS = pathlib.Path(__file__).parent / "toys"
NAMES = [*TARGETS.names, "packed"]
FORMATS = {"float32": 1e-5, "int8": 0.02}  # how far a score may be from Keras'
CONFIG = DeepFMConfig(embedding_dim=4, hidden_units=(16, 8))
TRAINING = TrainingConfig(batch_size=100, epochs=2, learning_rate=0.01)
FEATURES: list[dict[str, Any]] = [
    {"kind": "categorical", "name": "user"},
    {"kind": "categorical", "name": "item", "dtype": "int64"},
    {"kind": "multi_categorical", "name": "tags", "max_length": 3},
    {"kind": "numeric", "name": "x"},
]
CONSTANTS = PreprocessingConstants(
    vocabularies={
        "user": [f"u{k}" for k in range(40)],
        "item": [str(k) for k in range(30)],
        "tags": [f"t{k}" for k in range(6)],
    },
    means={"x": 0.5},
    stds={"x": 2.0},
    boundaries={},
)
RAW_ROWS = {  # seen values, unseen ones and missing ones
    "user": np.array([b"u3", b"u39", b"nobody", b""], np.object_),
    "item": np.array([5, 29, 999, -(2**63)], np.int64),
    "tags": np.array(
        [[b"t1", b"t0", b""], [b"t5", b"", b""], [b"t1", b"?", b"t2"], [b"", b"", b""]], np.object_
    ),
    "x": np.array([0.5, -3.0, 40.0, np.nan], np.float32),
}


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A folder on the path with the toy and its distribution."""
    folder = tmp_path_factory.mktemp("toys")
    with toy_installed(folder, TARGETS, "target", "packed = toy_target:Packed"):
        yield folder


@dataclasses.dataclass(frozen=True)
class Exported:
    """Files of one target by format, without and with the raw signature."""

    target: Target
    plain: dict[str, LoadedModel]
    raw: dict[str, LoadedModel]


@pytest.fixture(scope="module")
def checkpoints(clicks: Any) -> dict[str, Checkpoint]:
    runtime.set_seeds(1)
    model = training.build(clicks.layout, CONFIG, TRAINING)
    training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    parent = Checkpoint(model, clicks.layout, CONFIG)
    splits = Splits(clicks.train, clicks.eval)
    step = Quantization(technique="quantize", epochs=0)
    return {
        "float32": parent,
        "int8": technique(step).apply(parent, Setting(None, splits, TRAINING)).model,
    }


@pytest.fixture(scope="module")
def raw_features(clicks: Any) -> RawFeatures:
    return RawFeatures(FeatureSet.model_validate({"features": FEATURES}), CONSTANTS, clicks.layout)


@pytest.fixture(scope="module", params=NAMES)
def exported(
    request: pytest.FixtureRequest, checkpoints: dict[str, Checkpoint], raw_features: RawFeatures
) -> Exported:
    target = export_target(request.param)
    return Exported(
        target,
        {name: target.load(target.export(c)) for name, c in checkpoints.items()},
        {name: target.load(target.export(c, raw_features)) for name, c in checkpoints.items()},
    )


@pytest.fixture(scope="module")
def inputs(clicks: Any) -> dict[str, Any]:
    return dict(transformed_inputs(read_records(clicks.eval), clicks.layout, [])[0])


def keras_scores(checkpoint: Checkpoint, inputs: dict[str, Any]) -> Any:
    return tf.sigmoid(checkpoint.model(inputs, training=False)).numpy()[:, 0]


def test_a_target_says_what_it_is(exported: Exported) -> None:
    target = exported.target
    assert isinstance(target, TARGETS.get(target.name))
    assert target.title
    assert target.file == f"model.{target.suffix}"
    assert target.file != "model.json"
    others = [export_target(name) for name in NAMES if name != target.name]
    assert target.file not in [other.file for other in others]


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_scores_as_keras_does(
    exported: Exported, checkpoints: dict[str, Checkpoint], inputs: dict[str, Any], format: str
) -> None:
    expected = keras_scores(checkpoints[format], inputs)
    assert np.ptp(expected) > 0.3
    for model in (exported.plain[format], exported.raw[format]):
        scores = model.score(inputs)
        assert (scores.dtype, scores.shape) == (np.float32, expected.shape)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=FORMATS[format])
    np.testing.assert_array_equal(
        exported.plain[format].score(inputs), exported.raw[format].score(inputs)
    )


@pytest.mark.parametrize("format", FORMATS)
def test_the_raw_signature_scores_as_keras_does(
    exported: Exported,
    checkpoints: dict[str, Checkpoint],
    raw_features: RawFeatures,
    format: str,
) -> None:
    keys = raw_features.encoder.encode(RAW_ROWS)
    inputs = raw_features({name: tf.constant(values) for name, values in keys.items()})
    expected = keras_scores(checkpoints[format], inputs)
    scores = exported.raw[format].score(RAW_ROWS, SERVING_RAW)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=FORMATS[format])
    assert len(set(scores)) == 4


AGREEMENT = {"float32": 1e-5, "int8": 1e-3}  # how far a score may be from that of another target
TEN_THOUSAND = 10_000


def hostile(count: int) -> list[dict[str, Any]]:
    """Rows with missing, unseen and Unicode values, the least and greatest integers, long lists."""
    random = np.random.default_rng(0)
    users = [None, "", "u3", "u39", "nobody", "ü", "\U0001f600", "u3 ", "U3", "a" * 300]
    items = [None, 0, 29, 30, -1, -(2**31), 2**31 - 1, 2**31, -(2**63) + 1, 2**63 - 1]
    tags = [None, "t0", "t5", "T0", "日本", ""]
    numbers = [None, 0.0, -0.0, 1e-30, -1e30, 3.4e38, 0.5, float("nan")]
    return [
        {
            "user": users[random.integers(len(users))] if k % 2 else f"u{random.integers(50)}",
            "item": items[random.integers(len(items))] if k % 3 else int(random.integers(40)),
            "tags": [tags[n] for n in random.integers(0, len(tags), random.integers(0, 12))],
            "x": numbers[random.integers(len(numbers))] if k % 5 == 0 else random.normal(),
        }
        for k in range(count)
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_targets_agree_on_ten_thousand_rows(
    exported: Exported,
    checkpoints: dict[str, Checkpoint],
    raw_features: RawFeatures,
    format: str,
    clicks: Any,
) -> None:
    first = export_target(DEFAULT_TARGET)
    file = first.load(first.export(checkpoints[format], raw_features))
    columns = FeatureSet.model_validate({"features": FEATURES}).raw_columns
    rows = hostile(TEN_THOUSAND)
    raw = raw_values.arrays(columns, rows)
    random = np.random.default_rng(1)
    ids = [
        random.integers(field.offset, field.offset + field.rows, (TEN_THOUSAND, field.length))
        for field in clicks.layout.fields
    ]
    numeric = random.normal(size=(TEN_THOUSAND, 1)).astype(np.float32)
    dtype = file.inputs()["ids"]["dtype"]
    for signature, inputs in (
        (SERVING_RAW, raw),
        (SERVING_DEFAULT, {"ids": np.hstack(ids).astype(dtype), "numeric": numeric}),
    ):
        expected = file.score(inputs, signature)
        assert len(np.unique(expected)) > 500
        scores = exported.raw[format].score(inputs, signature)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=AGREEMENT[format])


@pytest.mark.parametrize("format", FORMATS)
def test_scores_do_not_depend_on_the_batch(
    exported: Exported, inputs: dict[str, Any], format: str
) -> None:
    model = exported.raw[format]
    whole = model.score(inputs)
    for batch in (1, 7, 1000):
        np.testing.assert_allclose(model.score(inputs, batch=batch), whole, rtol=0, atol=1e-6)
    raw = model.score(RAW_ROWS, SERVING_RAW)
    single = model.score(RAW_ROWS, SERVING_RAW, batch=1)
    np.testing.assert_allclose(single, raw, rtol=0, atol=1e-6)
    nothing = {name: values[:0] for name, values in inputs.items()}
    assert model.score(nothing).shape == (0,)


def test_signatures_and_their_inputs(
    exported: Exported, inputs: dict[str, Any], raw_features: RawFeatures
) -> None:
    assert set(exported.plain["int8"].signatures) == {SERVING_DEFAULT}
    model = exported.raw["int8"]
    assert set(model.signatures) == {SERVING_DEFAULT, SERVING_RAW}
    assert model.inputs() == {
        name: {"shape": [-1, *values.shape[1:]], "dtype": str(values.dtype)}
        for name, values in inputs.items()
    }
    # Texts and int64 either as they are, or as the int32 that the file says how to make.
    taken = raw_features if model.encoder else raw_features.with_strings()
    assert model.encoder in (None, raw_features.encoder)
    assert model.inputs(SERVING_RAW) == {
        name: {
            "shape": [-1, *RAW_ROWS[name].shape[1:]],
            "dtype": "string" if spec.dtype == tf.string else spec.dtype.name,
        }
        for name, spec in taken.input_signature().items()
    }
    model.try_out()
    with pytest.raises(ValueError, match="other"):
        model.inputs("other")
    with pytest.raises(ValueError, match=SERVING_RAW):
        exported.plain["int8"].score(RAW_ROWS, SERVING_RAW)


@pytest.mark.parametrize("format", FORMATS)
def test_operators_and_constants(exported: Exported, clicks: Any, format: str) -> None:
    for model in (exported.plain[format], exported.raw[format]):
        operators = model.operators()
        assert operators
        assert all(name and count > 0 for name, count in operators.items())
        assert exported.target.foreign(operators) == []
        constants = model.constants()
        sizes = [constant["bytes"] for constant in constants]
        assert sizes == sorted(sizes, reverse=True)
        for constant in constants:
            assert constant["name"]
            items = math.prod(constant["shape"])
            assert constant["bytes"] == items * np.dtype(constant["dtype"]).itemsize
        table = math.prod((clicks.layout.table_rows, CONFIG.embedding_dim))
        assert table in [math.prod(constant["shape"]) for constant in constants]
        share = model.integer_share()
        assert share == 0 if format == "float32" else 0.5 < share <= 1


def test_sizes_and_latency(exported: Exported, inputs: dict[str, Any]) -> None:
    small, large = exported.plain["int8"], exported.plain["float32"]
    assert 0 < small.gzip_bytes < len(small.content) + 64
    assert small.gzip_bytes < large.gzip_bytes
    one = {name: values[:1] for name, values in inputs.items()}
    single = small.latency(one, 1, seconds=0.05)
    batched = small.latency(one, 64, seconds=0.05)
    assert 0 < batched < single < 1e5


CALIBRATIONS = [
    ScoreCalibration("platt", 1.5, -0.25),
    ScoreCalibration("isotonic", 0.5, 0.1, (-1.0, 0.5), (1.0, -0.75)),
]


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda c: c.method)
def test_a_file_ends_with_the_calibration(
    exported: Exported,
    checkpoints: dict[str, Checkpoint],
    raw_features: RawFeatures,
    inputs: dict[str, Any],
    calibration: ScoreCalibration,
) -> None:
    for format, checkpoint in checkpoints.items():
        ending = dataclasses.replace(checkpoint, calibration=calibration)
        file = exported.target.load(exported.target.export(ending, raw_features))
        expected = calibration.scores(exported.raw[format].score(inputs))
        np.testing.assert_allclose(file.score(inputs), expected, atol=2e-6)
        assert len(file.content) < len(exported.raw[format].content) + 4096
        before = exported.raw[format].score(RAW_ROWS, SERVING_RAW)
        after = file.score(RAW_ROWS, SERVING_RAW)
        np.testing.assert_allclose(after, calibration.scores(before), atol=2e-6)
        assert not exported.target.foreign(file.operators())


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_model_gives_the_same_bytes(
    exported: Exported,
    checkpoints: dict[str, Checkpoint],
    raw_features: RawFeatures,
    format: str,
    tmp_path: pathlib.Path,
) -> None:
    checkpoints[format].save(str(tmp_path))
    again = exported.target.export(Checkpoint.load(str(tmp_path)), raw_features)
    assert again == exported.raw[format].content


def damaged(content: bytes) -> dict[str, bytes]:
    """Files that no runtime should take for a model."""
    return {
        "empty": b"",
        "text": b"no model",
        "json": b'{"format": "float32"}',
        "zip": b"PK\x03\x04" + bytes(64),
        "zeros": bytes(len(content)),
        "cut": content[: len(content) // 2],
        "end": content[len(content) // 2 :],
    }


@pytest.mark.parametrize("damage", damaged(b""))
def test_what_is_no_file_of_the_target_is_unreadable(exported: Exported, damage: str) -> None:
    with pytest.raises(UnreadableModel, match=r"\w"):
        exported.target.load(damaged(exported.raw["int8"].content)[damage])


def test_files_of_other_targets_are_unreadable(
    exported: Exported, checkpoints: dict[str, Checkpoint]
) -> None:
    for name in NAMES:
        other = export_target(name)
        if type(other).load is not type(exported.target).load:
            content = other.export(checkpoints["float32"])
            with pytest.raises(UnreadableModel):
                exported.target.load(content)


def test_a_file_is_scored_without_tensorflow(
    exported: Exported, toys: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / exported.target.file
    path.write_bytes(exported.raw["int8"].content)
    code = f"""
import sys
sys.path.insert(0, {str(toys)!r})
from ranklite.models.export import export_target
target = export_target({exported.target.name!r})
heavy = ("tensorflow", "tf_keras", "tfx", "pydantic", "pandas")
print([name for name in heavy if name in sys.modules])
target.read({str(path)!r}).try_out()
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_a_pushed_version_is_scored_by_the_target_that_it_names(
    exported: Exported, tmp_path: pathlib.Path
) -> None:
    model = exported.raw["int8"]
    metadata = {
        "target": exported.target.name,
        "features": [{"dtype": "float32", "separator": "|", **feature} for feature in FEATURES],
    }
    for feature in metadata["features"][:3:2]:
        feature["dtype"] = "string"
    write_version(str(tmp_path), {exported.target.file: model.content}, {"model": metadata})
    row = {"user": "u3", "item": 5, "tags": ["t1", "t0"], "x": 0.5}
    expected = model.score(RAW_ROWS, SERVING_RAW)[:1]
    np.testing.assert_allclose(Scorer(str(tmp_path)).score([row]), expected, atol=1e-6)


def artifact(folder: pathlib.Path) -> list[Any]:
    model = standard_artifacts.Model()
    model.uri = str(folder)
    return [model]


def test_the_evaluator_scores_it_whatever_its_name(
    exported: Exported, clicks: Any, inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    files = {CANDIDATE: exported.raw["int8"], BASELINE: exported.raw["float32"]}
    config = eval_config(label="label", signature=SERVING_DEFAULT)
    shared = []
    for name, model in files.items():
        models = artifact(tmp_path / name)
        model_file.write(models, exported.target, model.content)
        assert model_file.load(models).content == model.content
        shared.append(
            tfma.default_eval_shared_model(
                eval_saved_model_path=model_file.folder(models),
                model_name=name,
                eval_config=config,
            )
        )
    results = tfma.run_model_analysis(
        eval_shared_model=shared,
        eval_config=config,
        data_location=clicks.eval[0],
        output_path=str(tmp_path / "evaluation"),
        extractors=custom_extractors(shared, config, None),
    )
    labels = transformed_inputs(read_records(clicks.eval), clicks.layout, [])[1]
    for result in results.get_results():
        (name,) = (name for name in files if str(tmp_path / name) in result.model_location)
        measured = result.get_metrics_for_all_slices()[()]
        expected = metrics.binary_metrics(labels, files.pop(name).score(inputs))
        assert measured["auc"]["doubleValue"] == pytest.approx(expected["auc"], abs=2e-3)
    assert not files
    assert tfma.load_validation_result(str(tmp_path / "evaluation")).validation_ok


def test_a_folder_without_one_file_is_named(tmp_path: pathlib.Path) -> None:
    models = artifact(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds nothing, not one model file"):
        model_file.load(models)
    checkpoint = pathlib.Path(model_file.folder(models))
    checkpoint.mkdir()
    for name in ("model.h5", "deepfm.json"):
        (checkpoint / name).touch()
    with pytest.raises(FileNotFoundError, match=r"holds \['deepfm.json', 'model.h5'\]"):
        model_file.load(models)


def code_digests(folder: pathlib.Path, **changes: Any) -> dict[str, str]:
    """Code digest of each stage of a pipeline."""
    settings = yaml.safe_load((ROOT / "configs/synthetic.yaml").read_text(encoding="utf-8"))
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**settings, **changes}))
    for cached in (digest._source, digest._imports):
        cached.cache_clear()
    folders = dict.fromkeys(("data_root", "pipeline_root", "push_dir", "rejects_dir"), str(folder))
    pipeline = create_pipeline(
        load_config(str(path)), **folders, work_dir=str(folder), history=History()
    )
    found = {}
    for component in pipeline.components:
        properties = {k: v for k, v in component.exec_properties.items() if isinstance(v, str)}
        found[component.id] = code_digest(properties)
    return found


@pytest.mark.parametrize(
    ("changes", "more"),
    [({}, set()), ({"compression": {"budget": {"bytes": "64k"}}}, {"BudgetSearch"})],
)
def test_code_of_a_target_counts_in_the_stages_that_run_it(
    toys: pathlib.Path, tmp_path: pathlib.Path, changes: dict[str, Any], more: set[str]
) -> None:
    changes = {"targets": ["packed"], **changes}
    before = code_digests(tmp_path, **changes)
    assert code_digests(tmp_path, **changes) == before
    source = toys / "toy_target.py"
    content = source.read_text(encoding="utf-8")
    try:
        source.write_text(content + "# edited\n", encoding="utf-8")
        after = code_digests(tmp_path, **changes)
    finally:
        source.write_text(content, encoding="utf-8")
    changed = {node.partition(".")[0] for node in before if after[node] != before[node]}
    assert changed == {"Exporter", "Evaluator", "FileValidator", "Pusher"} | more
    ours = code_digests(tmp_path, **{**changes, "targets": ["tflite"]})
    assert {node.partition(".")[0] for node in ours if ours[node] != before[node]} == changed
