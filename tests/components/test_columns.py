"""The page describes the columns as the statistics and the schema have them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from ranklite.components.run_report.columns import Statistics, describe
from ranklite.models.reporting.columns import sparkline


def statistics(**columns: list[Any]) -> Statistics:
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns), n_jobs=1)


def schema() -> schema_pb2.Schema:
    made = schema_pb2.Schema()
    price = made.feature.add(name="price", type=schema_pb2.FLOAT)
    price.presence.min_fraction = 0.5
    price.drift_comparator.jensen_shannon_divergence.threshold = 0.3
    device = made.feature.add(name="device", type=schema_pb2.BYTES)
    device.value_count.max = 1
    made.feature.add(name="never", type=schema_pb2.INT)
    return made


TRAIN = {"price": [0.0, 0.0, 0.0, 10.0], "device": ["a", "a", "b", None]}
EVAL = {"price": [-5.0, 20.0, 9.9, None], "device": ["b", "b", "c", "a"]}


def test_columns_by_hand() -> None:
    price, device = describe(schema(), {"train": statistics(**TRAIN), "eval": statistics(**EVAL)})
    assert price.name == "price"
    assert price.kind == "float, in 50% of the rows or more, drift at most 0.3"
    assert price.missing == {"train": 0.0, "eval": 0.25}
    assert price.typical.startswith("0 to 10, median 0, mean 2.5")
    assert price.bars["train"] == pytest.approx([0.75, *[0.0] * 8, 0.25], abs=0.02)
    # What lies outside of the first split's bins counts in the outermost ones.
    assert sum(price.bars["eval"]) == pytest.approx(1.0)
    assert price.bars["eval"][0] >= 1 / 3 - 0.02
    assert device.kind == "string"
    assert device.missing == {"train": 0.25, "eval": 0.0}
    assert device.typical == "2 different: a 66.7%, b 33.3%"
    assert device.bars == {
        "train": pytest.approx([2 / 3, 1 / 3]),
        "eval": pytest.approx([1 / 4, 1 / 2]),
    }


def test_the_drawing_is_to_scale() -> None:
    drawn = sparkline({"train": [1.0, 0.5], "eval": [0.0, 1.0]}, width=100, height=20)
    assert 'y="0.0" width="42.5" height="20.0"' in drawn
    assert 'y="10.0" width="42.5" height="10.0"' in drawn
    assert 'points="21.0,20.0 71.0,0.0"' in drawn


def test_nothing_to_draw_is_no_drawing() -> None:
    assert sparkline({}) == ""
    assert sparkline({"train": [0.0]}) == ""
