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
from ranklite.components.validation_gate.rules import broken_rules, replaced_values
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
@pytest.mark.fault("data break the schema", "stopped before training")
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
@pytest.mark.fault("data break an imported schema", "stopped before training")
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


@pytest.mark.fault("a feature drifts", "stopped before training, with values of both nights")
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


def told(baseline: Any = None, config: ValidationConfig = CONFIG, **columns: Any) -> str:
    """Why a second night is refused."""
    with pytest.raises(DataRefused) as refused:
        check(config, baseline if baseline is not None else statistics(), **columns)
    return str(refused.value)


def test_the_values_of_both_nights_are_told() -> None:
    assert ("is: i0; last accepted: 5 values, 'i0' in 20.0%; now: 1 value, 'i0' in 100.0%") in told(
        item=["i0"] * 100
    )
    assert ("last accepted: 10 values, '77' in none or few; now: 1 value, '77' in 100.0%") in told(
        user=[77] * 100
    )
    assert ("last accepted: 0 to 9.9, mean 4.95; now: 990 to 991, mean 990.5") in told(
        price=[990.0, 991.0] * 50
    )
    assert "last accepted: 5 values" in told(item=[None] * 100)
    assert "now: no such column" in told(item=[None] * 100)
    with pytest.raises(DataRefused) as first:
        check(item=[None] * 100)  # there is no other night
    assert "last accepted" not in str(first.value)


def test_values_that_go_missing_are_a_drift() -> None:
    holes = [None if k % 5 < 2 else k / 10 for k in range(100)]
    words = told(price=holes, config=ValidationConfig(drift=Comparison(features={"price": 0.35})))
    assert (
        "price: Values went missing: its share of missing values rose by 0.400, above 0.35 "
        "(validation.drift); last accepted: 0 to 9.9, mean 4.95; now: 0.2 to 9.9, mean 5.05, "
        "missing in 40.0%"
    ) in words
    loose = Comparison(threshold=0.45)
    check(ValidationConfig(drift=loose), statistics(), item=[None] * 40 + ["i0", "i1"] * 30)
    check(baseline=statistics(price=holes))  # that they come back is none
    check(ValidationConfig(drift=Comparison()), statistics(), price=holes)


changed = pytest.mark.fault("the rate of the label changes", "stopped before training")


@pytest.mark.parametrize(
    ("rates", "most", "words"),
    [
        pytest.param((50, 85), 4.0, "the odds of label 1 rose 5.7 times, 4 allowed", marks=changed),
        pytest.param((85, 50), 4.0, "the odds of label 1 fell 5.7 times, 4 allowed", marks=changed),
        ((50, 75), 4.0, None),
        ((50, 85), 6.0, None),
        ((50, 85), None, None),
        ((1, 6), 4.0, None),  # one row in a hundred: that may be chance
    ],
)
def test_the_rate_of_the_label(
    rates: tuple[int, int], most: float | None, words: str | None
) -> None:
    before, now = ([1.0] * rate + [0.0] * (100 - rate) for rate in rates)
    config = ValidationConfig(max_label_odds=most)
    if words is None:
        check(config, statistics(label=before), label=now)
        return
    refused = told(statistics(label=before), config, label=now)
    assert f"train: label: Label rate changed: {words}" in refused
    assert f"last accepted: 0 to 1, mean {rates[0] / 100:g}; now" in refused
    assert "max_label_odds" in refused.splitlines()[-1]


@pytest.mark.fault("all ids of a night are new ones", "stopped before training")
def test_values_that_are_all_new_are_seen_though_each_was_rare() -> None:
    many = statistics(user=list(range(100)))  # a share of 0.01 each: no single one drifts far
    tolerant = ValidationConfig(drift=Comparison(threshold=0.3))
    check(tolerant, many, user=list(range(100)))
    check(tolerant, many, user=list(range(80, 180)))  # a fifth is left
    with pytest.raises(DataRefused) as refused:
        check(tolerant, many, user=list(range(95, 195)))
    assert (
        "train: user: Values replaced: of the frequent values of the last accepted data, which "
        "100.0% of its rows had, 5.0% is left; at least 10.0% is asked for"
    ) in str(refused.value)
    check(ValidationConfig(overlap={"user": 0.04}), many, user=list(range(95, 195)))
    check(ValidationConfig(min_overlap=0.0), many, user=list(range(1000, 1100)))


def test_values_that_are_all_rare_are_not_compared() -> None:
    """Of 100,000 sessions the frequent ones have a hundredth of the rows: nothing is known."""

    def sessions(label: str) -> statistics_pb2.DatasetFeatureStatisticsList:
        made = statistics_pb2.DatasetFeatureStatisticsList()
        feature = made.datasets.add(num_examples=100_000).features.add(name="session")
        feature.type = statistics_pb2.FeatureNameStatistics.STRING
        values = feature.string_stats
        values.unique = values.common_stats.tot_num_values = 100_000
        for number in range(1000):
            values.rank_histogram.buckets.add(label=f"{label}{number}", sample_count=1)
        return made

    assert list(replaced_values(sessions("a"), sessions("b"), CONFIG)) == []


def test_a_value_beyond_the_frequent_ones_may_still_be_there() -> None:
    """The overlap is never too small: what is not listed may have the share of the last listed."""

    def listed(labels: str, unique: int) -> statistics_pb2.DatasetFeatureStatisticsList:
        made = statistics_pb2.DatasetFeatureStatisticsList()
        feature = made.datasets.add(num_examples=100).features.add(name="item")
        feature.type = statistics_pb2.FeatureNameStatistics.STRING
        feature.string_stats.unique = unique
        feature.string_stats.common_stats.tot_num_values = 100
        for label in labels:
            feature.string_stats.rank_histogram.buckets.add(label=label, sample_count=20)
        return made

    before = listed("abc", 3)
    assert list(replaced_values(listed("xyz", 9), before, CONFIG)) == []
    [(name, word, _)] = replaced_values(listed("xyz", 3), before, CONFIG)
    assert (name, word) == ("item", "Values replaced")


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
