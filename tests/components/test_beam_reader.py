"""Parquet on Beam: typed by the configuration, under the names that a feature has."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ranklite.components.log_example_gen.beam_executor import to_examples
from ranklite.components.log_example_gen.config import IngestConfig

CONFIG = IngestConfig.model_validate(
    {
        "source": {"files": "*.parquet", "engine": "beam"},
        "label": "label",
        "split": {"by": "hash"},
        "features": {
            "features": [
                {"kind": "categorical", "name": "user", "column": "User ID"},
                {"kind": "categorical", "name": "item", "dtype": "int64"},
            ]
        },
    }
)


def test_columns_have_the_names_of_features() -> None:
    table = pa.table({"User ID": ["A"], "item": [2**53 + 1], "label": [1.0]})
    (example,) = to_examples(table, CONFIG)
    features = example.features.feature
    assert sorted(features) == ["item", "label", "user"]
    assert features["user"].bytes_list.value == [b"A"]
    assert features["item"].int64_list.value == [2**53 + 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"User ID": [1234567.0]}, "'User ID' holds double, and a category is text or an integer"),
        ({"item": [7.5]}, "'item' holds double, the configuration says int64"),
        ({"User ID": None}, "no column 'User ID'"),
    ],
)
def test_what_would_become_another_value_is_refused(
    change: dict[str, list[float] | None], message: str
) -> None:
    columns = {"User ID": ["A"], "item": [1], "label": [1.0], **change}
    table = pa.table({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(ValueError, match=message):
        list(to_examples(table, CONFIG))
