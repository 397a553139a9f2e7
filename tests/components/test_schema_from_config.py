"""The schema says what the configuration promises, and the data are asked whether they keep it."""

from __future__ import annotations

import math
import os
import pathlib
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.types import artifact_utils, standard_artifacts

from ranklite.components.schema_from_config import executor
from ranklite.components.schema_from_config.schema import SchemaMismatch, build_schema
from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.components.validation_gate.config import Comparison, ValidationConfig
from ranklite.models.features.feature_set import FeatureSet

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "item"},
            {"kind": "categorical", "name": "user", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 2},
            {"kind": "numeric", "name": "price"},
        ],
        "user": "user",
        "item": "item",
        "slices": ["country"],
    }
)
ROWS = 20
COLUMNS = {
    "item": [f"i{k % 5}" for k in range(ROWS)],
    "user": list(range(ROWS)),
    "tags": ["x"] * ROWS,
    "price": [k / 10 for k in range(ROWS)],
    "country": ["nl"] * ROWS,
    "timestamp": list(range(ROWS)),
    "label": [float(k % 2) for k in range(ROWS)],
}


def statistics(**columns: Any) -> Any:
    frame = pd.DataFrame(COLUMNS | columns).dropna(axis=1, how="all")
    return tfdv.generate_statistics_from_dataframe(frame, statistics_options(FEATURES))


def described(validation: ValidationConfig | None = None) -> dict[str, schema_pb2.Feature]:
    schema = build_schema(statistics(), FEATURES, validation or ValidationConfig())
    return {feature.name: feature for feature in schema.feature}


def test_types_and_shapes() -> None:
    schema = described()
    assert {name: schema_pb2.FeatureType.Name(f.type) for name, f in schema.items()} == {
        "item": "BYTES",
        "user": "INT",
        "tags": "BYTES",
        "price": "FLOAT",
        "label": "FLOAT",
        "country": "BYTES",  # for the evaluation
        "timestamp": "INT",  # merely there
    }
    assert {name for name, f in schema.items() if f.value_count.max == 1} == {
        "item",
        "user",
        "price",
        "label",
    }
    assert not any(feature.HasField("shape") for feature in schema.values())
    assert schema["user"].int_domain.is_categorical
    assert schema["price"].float_domain.disallow_inf
    label = schema["label"]
    assert (label.float_domain.min, label.float_domain.max) == (0.0, 1.0)
    assert (label.presence.min_fraction, label.value_count.min) == (1.0, 1)


def test_thresholds_of_drift_and_skew() -> None:
    validation = ValidationConfig(
        drift=Comparison(threshold=0.3, features={"user": 0.5}),
        skew=Comparison(features={"price": 0.25}),
    )
    schema = described(validation)
    assert schema["item"].drift_comparator.infinity_norm.threshold == 0.3
    assert schema["user"].drift_comparator.infinity_norm.threshold == 0.5
    assert schema["price"].drift_comparator.jensen_shannon_divergence.threshold == 0.3
    assert schema["price"].skew_comparator.jensen_shannon_divergence.threshold == 0.25
    assert not schema["item"].HasField("skew_comparator")
    for name in ("label", "country", "timestamp"):
        assert not schema[name].HasField("drift_comparator")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [None] * ROWS}, "no column 'item', or no value in it"),
        ({"country": [None] * ROWS}, "no column 'country'"),
        ({"label": [None] * ROWS}, "no column 'label'"),
        ({"price": ["cheap"] * ROWS}, "'price' holds string values, the configuration says float"),
        ({"price": [3] * ROWS}, r"'price' holds int64 values.*cast the column in `source\.query`"),
        ({"user": ["u"] * ROWS}, "'user' holds string values, the configuration says int64"),
        ({"item": [7] * ROWS}, r"'item' holds int64 values.*It has country \(string\), item"),
        ({"label": [1] * ROWS}, "'label' holds int64 values, the configuration says float"),
    ],
)
def test_data_that_contradict_the_configuration(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        build_schema(statistics(**columns), FEATURES, ValidationConfig())


def test_no_rows() -> None:
    for empty in (
        statistics_pb2.DatasetFeatureStatisticsList(),
        statistics_pb2.DatasetFeatureStatisticsList(datasets=[{"num_examples": 0}]),
    ):
        with pytest.raises(SchemaMismatch, match="the train split has no rows"):
            build_schema(empty, FEATURES, ValidationConfig())


def test_integers_that_are_categories_are_counted() -> None:
    """Without the options TFDV sees numbers, and no drift in them whatever they are."""
    drifted = {"user": [0] * ROWS}
    schema = build_schema(statistics(), FEATURES, ValidationConfig())
    result = tfdv.validate_statistics(
        statistics(**drifted), schema, previous_statistics=statistics()
    )
    (measured,) = [m for m in result.drift_skew_info if m.path.step == ["user"]]
    # User 0 is in one of 20 rows, then in all of them.
    assert measured.drift_measurements[0].value == pytest.approx(0.95)
    assert "user" in result.anomaly_info


def test_infinite_numbers_are_refused_and_nan_is_not() -> None:
    schema = build_schema(statistics(), FEATURES, ValidationConfig())
    for value, expected in ((math.inf, ["price"]), (math.nan, [])):
        columns = {"price": [value, *COLUMNS["price"][1:]]}
        result = tfdv.validate_statistics(statistics(**columns), schema)
        assert list(result.anomaly_info) == expected


def test_the_executor_writes_a_schema_where_tfx_looks_for_it(tmp_path: pathlib.Path) -> None:
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(tmp_path / "statistics")
    artifact.split_names = artifact_utils.encode_split_names(["train"])
    os.makedirs(tmp_path / "statistics/Split-train")
    (tmp_path / "statistics/Split-train/FeatureStats.pb").write_bytes(
        statistics().SerializeToString()
    )
    schema = standard_artifacts.Schema()
    schema.uri = str(tmp_path / "schema")
    executor.Executor().Do(
        {"statistics": [artifact]},
        {"schema": [schema]},
        {
            "features": FEATURES.model_dump_json(),
            "validation": ValidationConfig().model_dump_json(),
        },
    )
    assert os.listdir(schema.uri) == ["schema.pbtxt"]
    written = tfdv.load_schema_text(os.path.join(schema.uri, "schema.pbtxt"))
    assert written == build_schema(statistics(), FEATURES, ValidationConfig())
