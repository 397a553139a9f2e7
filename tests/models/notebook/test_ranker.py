"""A model from a table to the file that ships: the file says what the Keras model says."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
from pydantic import ValidationError

from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.evaluation import metrics
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export import export_target
from ranklite.models.features.layout import MISSING, OOV, PADDING_ROW
from ranklite.models.notebook.ranker import Ranker
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.versions import versions

pytestmark = pytest.mark.slow

FEATURES: list[dict[str, Any]] = [
    {"kind": "categorical", "name": "user"},
    {"kind": "categorical", "name": "item", "dtype": "int64"},
    {"kind": "multi_categorical", "name": "tags", "max_length": 2},
    {"kind": "numeric", "name": "price", "log": True, "missing_indicator": True},
    {"kind": "numeric", "name": "age", "buckets": 4},
]
MODEL = {"embedding_dim": 4, "hidden_units": [16, 8]}
TRAINING = {"batch_size": 128, "epochs": 3, "learning_rate": 0.01}


def clicks(rows: int, seed: int) -> pd.DataFrame:
    """Active users, liked items and low prices; some values are missing, some come once."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 30, rows), rng.integers(0, 20, rows)
    price, age = np.exp(rng.normal(size=rows)), rng.integers(16, 80, rows).astype(float)
    logit = np.sin(user) * 2 + np.cos(item) * 2 - np.log(price)
    words = np.array(["x", "y", "z", "once"])
    return pd.DataFrame(
        {
            "user": [None if u == 29 else f"u{u}" for u in user],
            "item": item,
            "tags": [list(words[: n % 4]) for n in rng.integers(0, 9, rows)],
            "price": np.where(rng.random(rows) < 0.1, np.nan, price),
            "age": np.where(rng.random(rows) < 0.1, np.nan, age),
            "click": (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int),
        }
    )


TRAIN, VALID = clicks(3000, 1), clicks(800, 2)
VALID.loc[:9, "user"], VALID.loc[5:14, "item"] = "nobody", 999


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker.fit(
        TRAIN,
        pa.Table.from_pandas(VALID),
        features=FEATURES,
        label="click",
        user="user",
        item="item",
        model=MODEL,
        training=TRAINING,
    )


def scored(folder: str, rows: pd.DataFrame = VALID) -> np.ndarray[Any, Any]:
    return Scorer(folder).score(rows.drop(columns="click").to_dict("records"))


def test_it_learns(ranker: Ranker) -> None:
    figures = ranker.metrics["float"]
    assert figures["auc"] > 0.75
    scores = ranker.predict(VALID)
    expected = metrics.binary_metrics(VALID["click"].to_numpy(), scores)
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_transform_makes_of_rows_what_the_layout_says(ranker: Ranker) -> None:
    """The ids of the first train rows, looked up by hand."""
    data = ranker._data
    spec = {"ids": tf.io.FixedLenFeature([ranker.checkpoint.layout.num_ids], tf.int64)}
    records = tf.data.TFRecordDataset(data.splits.train, compression_type="GZIP").take(50)
    for record, row in zip(records, TRAIN.to_dict("records"), strict=False):
        ids = tf.io.parse_single_example(record, spec)["ids"].numpy()
        for name in ("user", "item", "tags"):
            field = ranker.checkpoint.layout.field(name)
            words = data.constants.vocabularies[name]
            given = row[name] if name == "tags" else [row[name]]
            rows = [
                MISSING if v is None else 2 + words.index(str(v)) for v in given[: field.length]
            ]
            rows = [field.offset + r for r in rows or [MISSING]]
            rows += [PADDING_ROW] * (field.length - len(rows))
            assert ids[field.start : field.start + field.length].tolist() == rows
    assert OOV == 0


def test_the_float_file_is_the_keras_model(ranker: Ranker, tmp_path: pathlib.Path) -> None:
    version = ranker.export(str(tmp_path), calibration="none")
    np.testing.assert_allclose(scored(version), ranker.predict(VALID), atol=2e-6)
    shuffled = VALID.sample(frac=1.0, random_state=0)
    np.testing.assert_allclose(scored(version, shuffled), ranker.predict(shuffled), atol=2e-6)
    again = ranker.export(str(tmp_path), calibration="none")
    assert again == version  # the same bytes make no second version
    document = json.loads(pathlib.Path(version, "model.json").read_text())
    of_apps = {"preprocessing.json", "clients/vectors.json", "clients/python/ranklite_client.py"}
    assert of_apps | {"clients/web/model.tflite"} <= set(document["files"])
    assert [entry["name"] for entry in document["features"]] == [f["name"] for f in FEATURES]
    assert document["config"]["model"]["hidden_units"] == [16, 8]
    assert document["config"]["compression"] == []
    exported = document["metrics"]["exported"]
    assert exported["bytes"] == pathlib.Path(version, "model.tflite").stat().st_size
    expected = metrics.binary_metrics(VALID["click"].to_numpy(), scored(version))
    assert {name: exported[name] for name in expected} == pytest.approx(expected)


def test_compressed_files_are_their_keras_models(ranker: Ranker, tmp_path: pathlib.Path) -> None:
    pruned = ranker.compress([{"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1}])
    small = pruned.compress([{"technique": "quantize", "epochs": 1}])
    assert list(small.metrics) == ["float", "pruned", "quantized"]
    assert list(ranker.metrics) == ["float"]  # which is left as it was
    kernel = pruned.checkpoint.model.get_layer("tower_0").kernel.numpy()
    assert np.mean(kernel == 0) == pytest.approx(0.5, abs=0.01)
    before, after = (
        model.export(str(tmp_path / name), calibration="none")
        for name, model in (("float", ranker), ("int8", small))
    )
    assert np.abs(scored(after) - small.predict(VALID)).max() < 0.05
    # In bytes, so small a model gains nothing: what counts is how its weights are stored.
    shares = [export_target().read(f"{v}/model.tflite").integer_share() for v in (before, after)]
    assert shares[0] == 0.0
    assert shares[1] > 0.5
    ranker.export(str(tmp_path / "int8"), keep=1)
    assert versions(str(tmp_path / "int8")) == [2]


def test_a_factorization_machine_ships_its_tables_as_integers(tmp_path: pathlib.Path) -> None:
    machine = Ranker.fit(
        TRAIN,
        VALID,
        features=FEATURES,
        label="click",
        model={**MODEL, "hidden_units": []},
        training=TRAINING,
    )
    assert machine.metrics["float"]["auc"] > 0.75
    whole = machine.export(str(tmp_path / "float"), calibration="none")
    np.testing.assert_allclose(scored(whole), machine.predict(VALID), atol=2e-6)
    for table in ("int8", "int8_per_row", "int4_per_row"):
        small = machine.compress([{"technique": "quantize", "epochs": 1, "table": table}])
        version = small.export(str(tmp_path / table), calibration="none")
        # Nothing but its tables is rounded: a hundredth of what a tower's int8 may differ by.
        np.testing.assert_allclose(scored(version), small.predict(VALID), atol=5e-4)
        share = export_target().read(f"{version}/model.tflite").integer_share()
        assert share > (GatesConfig().min_integer_share or 0)
    with pytest.raises(NotCompressible, match=r"step 1, prune_units: .* hidden_units \[\]"):
        machine.compress([{"technique": "prune_units", "keep": 0.5}])


def test_a_student_learns_from_teachers_of_its_own(ranker: Ranker) -> None:
    student = ranker.compress(
        [
            {
                "technique": "distill",
                "teachers": 2,
                "student": {"embedding_dim": 2, "hidden_units": [8]},
                "epochs": 15,
                "batch_size": 128,
                "learning_rate": 0.01,
                "unlabelled": {"per_row": 0.5},
            }
        ]
    )
    assert student.checkpoint.config.hidden_units == (8,)
    figures = student.metrics["distilled"]
    assert figures["teachers_auc"] > 0.75
    assert figures["auc"] > 0.75


def test_mistakes_cost_no_training(ranker: Ranker) -> None:
    with pytest.raises(ValidationError, match="the steps are quantize, prune"):
        ranker.compress(
            [{"technique": "quantize"}, {"technique": "prune", "tower": {"sparsity": 0.5}}]
        )
    with pytest.raises(ValidationError, match="technique"):
        ranker.compress([{"technique": "magic"}])
    with pytest.raises(NotCompressible, match="step 1, prune_units"):
        ranker.compress([{"technique": "prune_units", "hidden_units": [99, 99]}])
    with pytest.raises(ValueError, match="no export target 'magic'"):
        ranker.export("nowhere", target="magic")
    with pytest.raises(ValueError, match="warm_start"):
        Ranker.fit(TRAIN, VALID, features=FEATURES, training={"warm_start": True})
    with pytest.raises(ValueError, match="gru4rec reads the events of a session"):
        Ranker.fit(TRAIN, VALID, features=FEATURES, model={"family": "gru4rec"})
    with pytest.raises(ValueError, match="no column 'label'"):
        Ranker.fit(TRAIN, VALID, features=FEATURES)


def test_the_same_tables_give_the_same_file(ranker: Ranker) -> None:
    again = Ranker.fit(
        pa.Table.from_pandas(TRAIN),
        VALID,
        features=ranker._data.features,
        model=MODEL,
        training=TRAINING,
    )
    np.testing.assert_array_equal(again.predict(VALID), ranker.predict(VALID))
