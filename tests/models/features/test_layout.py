"""The fused layout by hand, and that no two features ever share a row or a column."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.models.features.layout import PADDING_ROW, FeatureLayout, Field, ListField

SIZES = st.lists(
    st.tuples(st.text("abcdef", min_size=1), st.integers(1, 6), st.integers(0, 50)),
    max_size=8,
    unique_by=lambda size: size[0],
)


def test_fields_follow_each_other_with_single_valued_ones_first() -> None:
    layout = FeatureLayout.build([("tags", 3, 4), ("user", 1, 10), ("item", 1, 0)], ["x", "y"])
    assert layout.fields == (
        Field("user", start=0, length=1, offset=1, rows=12),
        Field("item", start=1, length=1, offset=13, rows=2),
        Field("tags", start=2, length=3, offset=15, rows=6),
    )
    assert (layout.num_ids, layout.num_numeric, layout.table_rows) == (5, 2, 21)
    item = layout.field("item")
    assert (item.oov_row, item.missing_row) == (13, 14)


def test_lists_of_the_user_come_last_and_are_a_part() -> None:
    lists = {"seen": ListField("item", 2, of_user=True), "near": ListField("item", 1)}
    sizes = [("seen", 3, 0), ("item", 1, 4), ("near", 2, 0), ("tags", 2, 5)]
    layout = FeatureLayout.build(sizes, ["x"], lists)
    assert [f.name for f in layout.fields] == ["item", "near", "tags", "seen"]
    before, own = layout.part(of_user=False), layout.part(of_user=True)
    assert before == FeatureLayout(layout.fields[:3], ("x",))
    assert (before.num_ids, before.num_numeric) == (5, 1 + 2)
    (seen,) = own.fields
    assert (seen.start, seen.offset) == (0, layout.field("item").offset)
    assert (own.num_ids, own.num_numeric) == (3, 2 * 3)
    assert before.num_numeric + own.num_numeric == layout.num_numeric


def test_without_fields_there_is_only_padding() -> None:
    layout = FeatureLayout.build([])
    assert (layout.num_ids, layout.num_numeric, layout.table_rows) == (0, 0, 1)


@given(SIZES)
def test_fields_tile_rows_and_columns(sizes: list[tuple[str, int, int]]) -> None:
    layout = FeatureLayout.build(sizes)
    rows = [row for f in layout.fields for row in range(f.offset, f.offset + f.rows)]
    columns = [column for f in layout.fields for column in range(f.start, f.start + f.length)]
    assert [PADDING_ROW, *rows] == list(range(layout.table_rows))
    assert columns == list(range(layout.num_ids))
    for name, length, values in sizes:
        field = layout.field(name)
        assert (field.length, field.rows) == (length, values + 2)
        assert field.offset <= field.oov_row < field.missing_row < field.offset + field.rows


@given(SIZES)
def test_order_is_kept_among_equals(sizes: list[tuple[str, int, int]]) -> None:
    names = [field.name for field in FeatureLayout.build(sizes).fields]
    single = [name for name, length, _ in sizes if length == 1]
    assert names == single + [name for name, length, _ in sizes if length > 1]


@given(SIZES, st.lists(st.text(max_size=5), max_size=4))
def test_json_and_back(sizes: list[tuple[str, int, int]], numeric: list[str]) -> None:
    layout = FeatureLayout.build(sizes, numeric)
    again = FeatureLayout.from_dict(json.loads(json.dumps(layout.to_dict())))
    assert again == layout
    assert hash(again) == hash(layout)  # tuples again, not the lists of JSON


def test_unknown_field_is_named_with_those_there_are() -> None:
    layout = FeatureLayout.build([("tags", 3, 4), ("user", 1, 10)], ["age"])
    with pytest.raises(KeyError, match=r"no id field 'age'; there are \['user', 'tags'\]"):
        layout.field("age")
