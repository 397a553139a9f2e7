"""The schema is what the configuration promises, and the gate names what breaks it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from components.schema_from_config.schema import SchemaMismatch, build_schema
from components.validation_gate.config import Comparison, ValidationConfig
from components.validation_gate.validation import DataRefused, refuse, validate
from models.config import FeatureSet

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


def statistics(**columns: Any) -> Any:
    rows = 100
    data = {
        "item": [f"i{k % 5}" for k in range(rows)],
        "user": list(range(rows)),
        "price": [k / 10 for k in range(rows)],
        "label": [float(k % 2) for k in range(rows)],
    }
    frame = pd.DataFrame(data | columns).dropna(axis=1, how="all")
    return tfdv.generate_statistics_from_dataframe(frame)


def check(
    config: ValidationConfig = CONFIG, baseline: Any = None, schema: Any = None, **columns: Any
) -> None:
    good = statistics()
    schema = schema or build_schema(good, FEATURES, config)
    splits = {"train": statistics(**columns), "eval": good}
    refuse(validate(splits, schema, config, baseline))


def test_good_data_pass() -> None:
    check()
    check(baseline=statistics())


def test_the_schema_follows_from_the_configuration() -> None:
    schema = {f.name: f for f in build_schema(statistics(), FEATURES, CONFIG).feature}
    assert set(schema) == {"item", "user", "price", "label"}
    assert schema["item"].drift_comparator.infinity_norm.threshold == 0.3
    assert schema["price"].drift_comparator.jensen_shannon_divergence.threshold == 0.3
    assert not schema["item"].HasField("skew_comparator")
    assert schema["label"].presence.min_fraction == 1.0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [None] * 100}, "no column 'item'"),
        ({"price": ["cheap"] * 100}, "'price' holds string values, the configuration says float"),
        ({"user": ["u"] * 100}, "'user' holds string values, the configuration says int64"),
    ],
)
def test_a_schema_that_the_data_contradict(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        build_schema(statistics(**columns), FEATURES, CONFIG)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [2.0] * 100}, "train: label: Out-of-range"),
        ({"price": ["cheap"] * 100}, "train: price: "),
        ({"item": [None] * 100}, "train: item: Column dropped"),
    ],
)
def test_data_that_break_the_schema(columns: dict[str, Any], message: str) -> None:
    schema = build_schema(statistics(), FEATURES, CONFIG)
    for feature in schema.feature:
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
    with pytest.raises(DataRefused, match=message):
        check(schema=schema, **columns)


def test_drift_against_the_last_accepted_data() -> None:
    drifted = ["i0"] * 100
    check(item=drifted)  # nothing to compare with
    with pytest.raises(DataRefused, match=r"item: High Linfty distance.*(\n|.)*loosen"):
        check(baseline=statistics(), item=drifted)
    check(ValidationConfig(drift=Comparison(threshold=None)), statistics(), item=drifted)
    check(
        ValidationConfig(drift=Comparison(threshold=0.3, features={"item": 0.9})),
        statistics(),
        item=drifted,
    )


def test_skew_between_train_and_eval() -> None:
    config = ValidationConfig(skew=Comparison(threshold=0.3))
    check(config)
    with pytest.raises(DataRefused, match="train: item: High Linfty distance"):
        check(config, item=["i0"] * 100)


def test_missing_values_and_rows() -> None:
    sparse = [1.0] + [None] * 99
    check(price=sparse)  # 99 % are allowed by default
    strict = ValidationConfig(missing={"price": 0.5})
    with pytest.raises(DataRefused, match=r"price: Missing values: missing in 99\.0%"):
        check(strict, price=sparse)
    with pytest.raises(DataRefused, match=r"100 rows, validation\.min_rows is 101"):
        check(ValidationConfig(min_rows=101))
