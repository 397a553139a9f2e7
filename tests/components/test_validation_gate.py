"""The gate lets good data through and names what is wrong with the others."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.types import artifact_utils, standard_artifacts

from ranklite.components.artifact_types import DataBlessing
from ranklite.components.schema_from_config.schema import build_schema
from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.components.validation_gate.config import Comparison, ValidationConfig
from ranklite.components.validation_gate.executor import Executor
from ranklite.components.validation_gate.rules import broken_rules
from ranklite.components.validation_gate.validation import DataRefused, refuse, validate
from ranklite.models.features.feature_set import FeatureSet

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "item"},
            {"kind": "categorical", "name": "user", "dtype": "int64"},
            {"kind": "numeric", "name": "price"},
        ]
    }
)
CONFIG = ValidationConfig()


def frame(**columns: Any) -> pd.DataFrame:
    rows = 100
    data = {
        "item": [f"i{k % 5}" for k in range(rows)],
        "user": [k % 10 for k in range(rows)],
        "price": [k / 10 for k in range(rows)],
        "label": [float(k % 2) for k in range(rows)],
    }
    return pd.DataFrame(data | columns).dropna(axis=1, how="all")


def statistics(**columns: Any) -> Any:
    return tfdv.generate_statistics_from_dataframe(frame(**columns), statistics_options(FEATURES))


def check(
    config: ValidationConfig = CONFIG,
    baseline: Any = None,
    schema: Any = None,
    eval_split: Any = None,
    **columns: Any,
) -> None:
    good = statistics()
    schema = schema or build_schema(good, FEATURES, config)
    splits = {"train": statistics(**columns), "eval": eval_split or good}
    refuse(validate(splits, schema, config, baseline, "label"))


def test_good_data_pass() -> None:
    check()
    check(baseline=statistics())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [2.0] * 50 + [0.0] * 50}, "train: label: Out-of-range values: "),
        ({"label": [None] * 50 + [0.0, 1.0] * 25}, "train: label: Column dropped: "),
        ({"label": [1.0] * 100}, "train: label: Constant label: the label is 1 in every row"),
        ({"price": ["cheap"] * 100}, "train: price: Unexpected data type: "),
        ({"price": [float("inf")] * 100}, "train: price: Invalid values: .*Inf"),
        ({"item": [None] * 100}, r"train: item: Missing values: missing in 100\.0% of the rows"),
        ({"extra": ["new"] * 100}, "train: extra: New column: "),
    ],
)
def test_data_that_break_the_schema(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataRefused, match=message):
        check(**columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": ["i9"] * 100}, "item: Unexpected string values: .*i9"),
        ({"price": [11.0] * 100}, "price: Out-of-range values: "),
        ({"user": ["u1"] * 100}, "user: Unexpected data type: "),
        ({"item": [None] * 100}, "item: Column dropped: "),
    ],
)
def test_data_that_break_an_imported_schema(columns: dict[str, Any], message: str) -> None:
    # What a user would keep: a closed domain of `item`, all columns required.
    schema = tfdv.infer_schema(tfdv.generate_statistics_from_dataframe(frame()))
    tfdv.get_feature(schema, "price").float_domain.max = 10.0
    check(schema=schema)
    with pytest.raises(DataRefused, match=f"train: {message}"):
        check(schema=schema, **columns)


def test_every_split_is_looked_at_and_every_reason_is_given() -> None:
    with pytest.raises(DataRefused) as refused:
        check(
            ValidationConfig(max_missing=0.5),
            eval_split=statistics(item=[None] * 100, label=[0.0] * 100),
            label=[None] * 60 + [0.0, 3.0] * 20,
        )
    lines = str(refused.value).splitlines()
    assert [re.sub(r"( [^:]*:) .*", r"\1", line.strip()) for line in lines[1:-1]] == [
        "train: label:",
        "train: label:",
        "train: label:",
        "eval: item:",
        "eval: label:",
    ]
    assert "missing in 60.0% of the rows, 50.0% allowed" in str(refused.value)
    assert "loosen `validation`" in lines[-1]
    assert "schema_file" in lines[-1]


def test_drift_against_the_last_accepted_data() -> None:
    drifted = ["i0"] * 100
    check(item=drifted)  # nothing to compare with
    with pytest.raises(DataRefused, match=r"item: High Linfty distance.*maximum difference is: i0"):
        check(baseline=statistics(), item=drifted)
    with pytest.raises(DataRefused, match="user: High Linfty distance"):
        check(baseline=statistics(), user=[3] * 100)
    with pytest.raises(DataRefused, match="price: High approximate Jensen-Shannon divergence"):
        check(baseline=statistics(), price=[9.9] * 100)
    check(ValidationConfig(drift=Comparison()), statistics(), item=drifted)
    tolerant = ValidationConfig(drift=Comparison(threshold=0.3, features={"item": 0.9}))
    check(tolerant, statistics(), item=drifted)


def test_a_feature_that_is_new_or_changed_its_type_has_no_drift() -> None:
    check(baseline=statistics(price=[None] * 100))
    check(baseline=statistics(user=["u"] * 100))
    with pytest.raises(DataRefused, match="item: High Linfty"):
        check(baseline=statistics(price=[None] * 100), item=["i0"] * 100)


def test_skew_between_train_and_eval() -> None:
    config = ValidationConfig(skew=Comparison(threshold=0.3))
    check(config)
    with pytest.raises(DataRefused, match=r"train: item: High Linfty.*training and serving"):
        check(config, item=["i0"] * 100)


def test_missing_values() -> None:
    sparse = [1.0] + [None] * 99
    check(price=sparse)  # 99 % are allowed by default
    strict = ValidationConfig(missing={"price": 0.5})
    with pytest.raises(DataRefused, match=r"price: Missing values: missing in 99\.0%"):
        check(strict, price=sparse)
    check(strict, item=["i0"] + [None] * 99)
    with pytest.raises(DataRefused, match=r"price: Missing values: missing in 51\.0%"):
        check(strict, price=[float("nan")] * 51 + [1.0] * 49)


def test_too_few_rows() -> None:
    with pytest.raises(DataRefused, match=r"\(rows\): .*100 rows, validation\.min_rows is 101"):
        check(ValidationConfig(min_rows=101))
    nothing = statistics_pb2.DatasetFeatureStatisticsList(datasets=[{"num_examples": 0}])
    with pytest.raises(DataRefused) as refused:
        check(eval_split=nothing)
    assert "eval: there are no data" in str(refused.value)
    assert "eval: (rows): Too few rows: 0 rows, validation.min_rows is 1" in str(refused.value)


def test_a_list_that_is_always_empty_is_missing() -> None:
    result = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = result.datasets.add(num_examples=10)
    tags = dataset.features.add(name="tags", type=statistics_pb2.FeatureNameStatistics.STRING)
    tags.string_stats.common_stats.num_non_missing = 10
    schema = schema_pb2.Schema(feature=[{"name": "tags"}])
    assert [rule[:2] for rule in broken_rules(result, schema, CONFIG, "label")] == [
        ("tags", "Missing values")
    ]
    tags.string_stats.common_stats.max_num_values = 3
    assert list(broken_rules(result, schema, CONFIG, "label")) == []


def test_a_warning_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    result = anomalies_pb2.Anomalies()
    result.anomaly_info["item"].severity = anomalies_pb2.AnomalyInfo.WARNING
    result.anomaly_info["item"].description = "looks odd"
    refuse({"train": result})
    assert "train: item: looks odd" in caplog.text
    result.anomaly_info["item"].severity = anomalies_pb2.AnomalyInfo.UNKNOWN
    with pytest.raises(DataRefused, match="train: item: : looks odd"):
        refuse({"train": result})


# -------------------------------------------------------------------------------------- executor


def run(folder: pathlib.Path, train: Any, baseline: Any = None) -> tuple[Any, Any]:
    """Runs the executor; returns its two outputs."""

    def artifact(kind: Any, name: str) -> Any:
        made = kind()
        made.uri = str(folder / name)
        os.makedirs(made.uri)
        return made

    def example_statistics(name: str, **splits: Any) -> Any:
        made = artifact(standard_artifacts.ExampleStatistics, name)
        made.split_names = artifact_utils.encode_split_names(list(splits))
        for split, proto in splits.items():
            path = folder / name / f"Split-{split}" / "FeatureStats.pb"
            path.parent.mkdir()
            path.write_bytes(proto.SerializeToString())
        return made

    schema = artifact(standard_artifacts.Schema, "schema")
    tfdv.write_schema_text(
        build_schema(statistics(), FEATURES, CONFIG), os.path.join(schema.uri, "schema.pbtxt")
    )
    inputs = {
        "statistics": [example_statistics("statistics", train=train, eval=statistics())],
        "schema": [schema],
        "baseline_statistics": [example_statistics("last", train=baseline)] if baseline else [],
    }
    anomalies = artifact(standard_artifacts.ExampleAnomalies, "anomalies")
    blessing = artifact(DataBlessing, "blessing")
    outputs = {"anomalies": [anomalies], "blessing": [blessing]}
    Executor().Do(inputs, outputs, {"config": CONFIG.model_dump_json(), "label": "label"})
    return anomalies, blessing


def test_the_executor_blesses_good_data(tmp_path: pathlib.Path) -> None:
    anomalies, blessing = run(tmp_path, statistics(), baseline=statistics())
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("statistics_uri") == str(tmp_path / "statistics")
    for split in ("train", "eval"):
        path = pathlib.Path(anomalies.uri) / f"Split-{split}" / "SchemaDiff.pb"
        assert not anomalies_pb2.Anomalies.FromString(path.read_bytes()).anomaly_info
    assert artifact_utils.decode_split_names(anomalies.split_names) == ["train", "eval"]


def test_the_executor_refuses_drifted_data_and_blesses_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataRefused, match="train: item: High Linfty distance"):
        run(tmp_path, statistics(item=["i0"] * 100), baseline=statistics())
    written = (tmp_path / "anomalies/Split-train/SchemaDiff.pb").read_bytes()
    assert set(anomalies_pb2.Anomalies.FromString(written).anomaly_info) == {"item"}
    assert os.listdir(tmp_path / "blessing") == []
