"""A table becomes raw columns as a log does, and mistakes are named with their row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.notebook.table import ROWS, UnreadableTable, raw_batches

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "categorical", "name": "item", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 2, "separator": "|"},
            {"kind": "numeric", "name": "price"},
        ],
        "label": "click",
        "slices": ["country"],
    }
)
COLUMNS: dict[str, list[Any]] = {
    "click": [True, False, True],
    "user": ["a", "", None],
    "item": ["7", None, "-3"],
    "tags": ["x|y", "", " |z"],
    "price": [1.5, None, float("nan")],
    "country": ["nl", "be", None],
    "other": [1, 2, 3],
}


def read(table: Any, **options: Any) -> dict[str, list[Any]]:
    return pa.Table.from_batches(raw_batches(table, FEATURES, **options)).to_pydict()


def test_values_are_read_as_from_a_log() -> None:
    columns = read(pa.table(COLUMNS))
    assert columns == {
        "click": [1.0, 0.0, 1.0],
        "user": ["a", None, None],
        "item": [7, None, -3],
        "tags": [["x", "y"], [], ["z"]],
        "country": ["nl", "be", None],
        "price": [1.5, None, None],
    }


def test_pandas_and_arrow_give_the_same() -> None:
    typed = {**COLUMNS, "item": [7, None, -3], "tags": [["x", "y"], None, ["z"]]}
    frame = pd.DataFrame(typed)
    assert frame["item"].dtype == np.float64  # as pandas keeps integers with a gap
    frame["user"] = frame["user"].astype("category")
    frame.index = pd.Index([5, 9, 2])  # plays no part
    del typed["price"], frame["price"]
    features = FEATURES.model_copy(
        update={"features": tuple(f for f in FEATURES.features if f.name != "price")}
    )
    tables = [pa.Table.from_batches(raw_batches(t, features)) for t in (frame, pa.table(typed))]
    assert tables[0].to_pydict() == tables[1].to_pydict()


def test_rows_keep_their_order_over_many_batches() -> None:
    rows = 5 * ROWS + 1
    table = pa.table({**{k: v[:1] * rows for k, v in COLUMNS.items()}, "item": range(rows)})
    assert read(table)["item"] == list(range(rows))
    assert {batch.num_rows for batch in raw_batches(table, FEATURES)} <= {*range(1, ROWS + 1)}


def test_rows_to_score_need_no_label() -> None:
    table = pa.table(COLUMNS)
    for rows in (table, table.drop(["click"])):
        assert read(rows, labelled=False)["click"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": None}, r"no column 'price'; it has click, user"),
        ({"click": [1, None, 0]}, "1 rows cannot be read; row 1: click: neither 0 nor 1"),
        ({"click": [0, 1, 2]}, "row 2: click: neither 0 nor 1"),
        ({"item": ["1", "many", "x"]}, "2 rows cannot be read; row 1: item: not an integer: many"),
        ({"price": ["1", "2", "dear"]}, "row 2: price: not a number: dear"),
        ({name: values[:0] for name, values in COLUMNS.items()}, "the table has no rows"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], message: str) -> None:
    columns = {name: values for name, values in {**COLUMNS, **change}.items() if values is not None}
    with pytest.raises(UnreadableTable, match=message):
        read(pa.table(columns))


def test_a_text_without_a_separator_is_no_list() -> None:
    tags = {"kind": "multi_categorical", "name": "tags", "max_length": 2}
    features = FeatureSet.model_validate({"features": [tags], "label": "click"})
    with pytest.raises(UnreadableTable, match="'tags' is VARCHAR, not a list"):
        raw_batches(pa.table(COLUMNS), features)
