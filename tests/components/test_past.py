"""Point-in-time columns: against their definition, and against the state kept event by event."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ranklite.components.file_validator import states
from ranklite.components.file_validator.judged_split import JudgedSplit
from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.components.log_example_gen.past_rows import past_rows
from ranklite.models.evaluation import metrics
from ranklite.models.features import stored_state
from ranklite.models.features.examples import raw_inputs, read_records
from ranklite.models.features.past import VIEWS_FILE
from ranklite.models.serving.state import EventState
from tests.past_logs import START, Row, by_day, config, expected, ingested

FEATURES: list[dict[str, Any]] = [
    {"name": "seen", "kind": "history", "of": "item", "by": "user", "length": 3},
    {
        "name": "shops",
        "kind": "history",
        "of": "shop",
        "by": "user",
        "length": 4,
        "as_of": "second",
        "delay": 60,
    },
    {
        "name": "item_stats",
        "kind": "aggregate",
        "by": "item",
        "stats": ["count", "rate", "recency"],
        "as_of": "day",
    },
    {
        "name": "taste",
        "kind": "aggregate",
        "by": ["user", "tags"],
        "stats": ["count", "rate", "recency"],
        "prior": 2,
        "as_of": "session",
    },
    {
        "name": "spent",
        "kind": "aggregate",
        "by": "user",
        "of": "price",
        "stats": ["sum", "mean"],
        "window": 0.5,
        "as_of": "hour",
    },
    {"name": "pay", "kind": "aggregate", "by": "item", "of": "paid", "stats": ["mean", "rate"]},
    {
        "name": "variety",
        "kind": "aggregate",
        "by": "user",
        "of": "shop",
        "stats": ["distinct"],
        "as_of": "second",
    },
]
_HOUR = 3600

ROWS = st.lists(
    st.builds(
        Row,
        user=st.sampled_from(["ann", "bob", ""]),
        item=st.sampled_from(["a", "b", "c", ""]),
        shop=st.sampled_from(["1", "2", ""]),
        tags=st.sampled_from(["", "x", "x|y", "y|x|x", "z"]),
        price=st.sampled_from(["", "1.5", "-2", "0.25"]),
        paid=st.sampled_from(["1", "2.5", "-4"]),
        ts=st.one_of(
            st.integers(0, 40).map(lambda k: START + 300 * k),
            st.integers(0, 60).map(lambda k: START + _HOUR * k),
        ),
        label=st.integers(0, 1),
    ),
    min_size=10,
    max_size=40,
)


def usable(rows: list[Row]) -> bool:
    """Whether each split has both labels."""
    ordered = sorted(rows, key=lambda row: row.ts)
    test, held_out = int(len(rows) * 0.2), int(len(rows) * 0.4)
    parts = (ordered[:-held_out], ordered[-held_out : len(rows) - test], ordered[-test:])
    return all({row.label for row in part} == {0, 1} for part in parts)


def in_order(rows: list[Row]) -> list[Row]:
    """The rows in the order of the Examples: split by split, each in the order of the log."""
    order = sorted(range(len(rows)), key=lambda k: (rows[k].ts, k))
    held_out, test = int(len(rows) * 0.4), int(len(rows) * 0.2)
    splits = (order[: len(rows) - held_out], order[len(rows) - held_out : len(rows) - test])
    parts = (*splits, order[len(rows) - test :])
    return [rows[k] for part in parts for k in sorted(part)]


def close(held: list[Any], wanted: list[Any]) -> None:
    assert len(held) == len(wanted)
    for k, (one, other) in enumerate(zip(held, wanted, strict=True)):
        assert one == (pytest.approx(other, rel=1e-6) if isinstance(other, float) else other), k


def read(rows: list[Row]) -> tuple[IngestConfig, dict[str, list[Any]], dict[str, Any]]:
    """The configuration, the columns of the past, and what is told of them."""
    chosen = config(FEATURES)
    with tempfile.TemporaryDirectory() as folder:
        held, report = ingested(rows, chosen, pathlib.Path(folder))
    return chosen, held, report["past"]


@given(ROWS.filter(usable))
@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate])
def test_rows_know_what_came_before_their_state_time_and_nothing_else(rows: list[Row]) -> None:
    chosen, held, past = read(rows)
    wanted = expected(rows, chosen.features, past["means"])
    place = {id(row): k for k, row in enumerate(rows)}
    for column, values in held.items():
        close(values, [wanted[column][place[id(row)]] for row in in_order(rows)])


@given(ROWS.filter(usable))
@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate])
def test_a_replayed_log_gives_the_same(rows: list[Row]) -> None:
    chosen, held, past = read(rows)
    columns = [column.entry() for column in chosen.features.raw_columns]
    state = EventState({"past": past, "features": columns})
    told: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row.ts):
        values = {
            key: getattr(row, key) or None for key in ("user", "item", "shop", "price", "paid")
        }
        values["tags"] = row.tags
        told[id(row)] = state.values(values, row.ts)
        state.add(values, row.ts, row.label)
    for number, row in enumerate(in_order(rows)):
        for column, value in told[id(row)].items():
            if isinstance(value, list):
                value = [v.decode() if isinstance(v, bytes) else v for v in value]
                assert held[column][number] == value, column
            else:
                close([held[column][number]], [value])


def test_hand_computed(tmp_path: pathlib.Path) -> None:
    """Ties do not see each other, a session sees what was before it, a day what was before it."""
    night = START - START % 86_400 + 86_400  # midnight
    rows = [
        Row("ann", "a", "1", "x", "1", "1", night - 7200, 1),
        Row("ann", "b", "1", "x", "1", "1", night - 7200, 0),  # the same moment
        Row("bob", "a", "1", "x", "1", "1", night - 10, 0),
        Row("ann", "a", "1", "x", "1", "1", night + 10, 1),  # a new day, and a new session
        Row("ann", "c", "1", "x", "1", "1", night + 20, 0),  # the same session
        Row("bob", "a", "1", "x", "1", "1", night + 30, 1),  # bob's session goes on over midnight
        Row("cat", "a", "1", "x", "1", "1", night + 40, 0),
        Row("cat", "a", "1", "x", "1", "1", night + 50, 1),
        Row("ann", "a", "1", "x", "1", "1", night + 90_000, 0),
        Row("ann", "b", "1", "x", "1", "1", night + 90_001, 1),
    ]
    held, report = ingested(rows, config(FEATURES[:3]), tmp_path)
    assert held["seen"] == [[], [], [], ["b", "a"], ["b", "a"], [], [], [], ["c", "a", "b"]] + [
        ["c", "a", "b"]
    ]
    assert held["seen_outcome"][3] == [0.0, 1.0]
    assert held["item_stats_count"] == [0, 0, 0, 2, 0, 2, 2, 2, 6, 1]
    mean = report["past"]["means"]["label"]
    assert mean == pytest.approx(3 / 6)  # of the train split
    assert held["item_stats_rate"][8] == pytest.approx((4 + 10 * mean) / 16)
    assert held["item_stats_recency"][3] == pytest.approx(10 / 86_400)
    assert held["item_stats_recency"][0] == -1


def test_a_split_by_files_out_of_order_is_refused(tmp_path: pathlib.Path) -> None:
    head = "user,item,shop,tags,price,paid,ts,label\n"
    (tmp_path / "data").mkdir()
    for name, first in (("train", 2000), ("eval", 0)):
        lines = [f"u,i,1,x,1,1,{START + first + k},{k % 2}\n" for k in range(4)]
        (tmp_path / "data" / f"{name}.csv").write_text(head + "".join(lines))
    chosen = config(
        FEATURES, source={}, split={"by": "files", "train": "train.csv", "eval": "eval.csv"}
    )
    with pytest.raises(IngestError, match="eval split begins before the train split ends"):
        ingest(chosen, str(tmp_path / "data"), str(tmp_path / "r"), lambda s: str(tmp_path / s))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": {"by": "hash"}}, "with a split by hash"),
        ({"timestamp": None, "split": {"by": "hash"}}, "key `timestamp`"),
    ],
)
def test_where_the_past_is_not_known_it_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(FEATURES, **changes)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"kind": "history", "of": "tags", "by": "user"}, "no feature of kind categorical"),
        ({"kind": "history", "of": "item", "by": "nobody"}, "by: 'nobody'"),
        ({"kind": "aggregate", "by": "item", "of": "tags", "stats": ["mean"]}, "no column of numb"),
        ({"kind": "aggregate", "by": "item", "of": "gone", "stats": ["distinct"]}, "of: 'gone'"),
        ({"kind": "aggregate", "by": "item", "stats": ["distinct"]}, "needs a column in `of`"),
        (
            {"kind": "aggregate", "by": "item", "of": "shop", "stats": ["distinct"], "window": 1},
            "over all the past",
        ),
        ({"kind": "aggregate", "by": ["item", "item"]}, "names one twice"),
        ({"kind": "aggregate", "by": "item", "of": "tags", "stats": ["distinct"]}, "is a list"),
    ],
)
def test_features_of_a_past_that_no_event_has(feature: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config([{"name": "past", **feature}])


def test_what_a_file_stores_is_the_state_at_the_end_of_the_log(tmp_path: pathlib.Path) -> None:
    rows = [
        Row("ann", item, "1", "x", "1", "1", START + 100 * k, k % 2)
        for k, item in enumerate(["a", "a", "b", "a", "b", "", "c", "c", "b", "d"])
    ]
    stats = {"name": "stats", "kind": "aggregate", "by": "item", "stats": ["count", "rate"]}
    chosen = config([{**stats, "table_min_count": 2}])
    _, report = ingested(rows, chosen, tmp_path)
    mean = report["past"]["means"]["label"]
    (feature,) = [f for f in chosen.features.features if f.name == "stats"]
    read = stored_state.read(str(tmp_path), feature, {"item": ["b", "a"]})
    assert read["extra"] == ["c"]  # "d" has one event
    # Out of vocabulary, missing, b, a, c.
    assert read["values"]["stats_count"] == [0, pytest.approx(float("nan"), nan_ok=True), 3, 3, 2]
    rates = [read["values"]["stats_rate"][place] for place in (0, 2, 3, 4)]
    positives = ((0, 0), (0, 3), (2, 3), (1, 2))
    assert rates == [pytest.approx((p + 10 * mean) / (n + 10)) for p, n in positives]


def test_other_states_of_the_judged_rows(tmp_path: pathlib.Path) -> None:
    rows = [Row("ann", "a", "1", "x", "1", "1", START + 60 * k, int(k % 3 == 0)) for k in range(20)]
    ingested(rows, config([FEATURES[0], FEATURES[2]]), tmp_path)
    table = pq.read_table(tmp_path / VIEWS_FILE).to_pylist()
    assert len(table) == 4  # the rows of the test split
    for place, row in enumerate(table, 16):  # one session, in one day
        assert row["user_at_request/seen"] == ["a"] * 3
        assert row["items_at_request/item_stats_count"] == place
        assert row["items_frozen/item_stats_count"] == 16
    assert not [name for name in table[0] if name.startswith("user_at_session_start")]


class _SeenLast:
    """A model that scores by the last event's label, and by how many events an item had."""

    def score(self, inputs: dict[str, Any], signature: str) -> Any:
        seen = np.nan_to_num(inputs["seen_outcome"][:, 0], nan=0.5)
        return (seen + inputs["item_stats_count"] / 100).astype(np.float32)


def test_a_file_is_measured_on_other_states(tmp_path: pathlib.Path) -> None:
    rows = [
        Row("ann", "ab"[k % 2], "1", "x", "1", "1", START + 60 * k, int(k % 4 < 2))
        for k in range(40)
    ]
    chosen = config([FEATURES[0], FEATURES[2]])
    ingested(rows, chosen, tmp_path)
    columns = chosen.features.raw_columns
    records = read_records([str(path) for path in (tmp_path / "test").glob("*")])
    labels, model = np.array([row.label for row in rows[32:]], np.float32), _SeenLast()
    measured = states.measure(
        str(tmp_path),
        JudgedSplit(8),
        model,
        columns,
        raw_inputs(records, columns),
        labels,
        np.array(["ann"] * 8),
    )
    # At its session's start the user had no event; at request the last label is known.
    last = np.array([row.label for row in rows[31:39]])
    expected_auc = metrics.auc(labels, last.astype(np.float32))
    assert measured["user_at_request"]["auc"] == pytest.approx(expected_auc)
    assert measured["user_at_request"]["gauc"] == pytest.approx(expected_auc)
    assert set(measured) == {"user_at_request", "items_at_request", "items_frozen"}
    frozen = metrics.auc(labels, np.array([16.0] * 8))
    assert measured["items_frozen"]["auc"] == pytest.approx(frozen)


def of_days(days: int) -> list[Row]:
    """A row an hour, of two users who meet three items and two shops."""
    rng = np.random.default_rng(0)
    return [
        Row(
            user=str(rng.choice(["ann", "bob"])),
            item=str(rng.choice(["a", "b", "c"])),
            shop=str(rng.choice(["1", "2"])),
            tags=str(rng.choice(["x", "x|y", ""])),
            price=str(rng.choice(["1.5", ""])),
            paid="2.5",
            ts=START // 86400 * 86400 + 3600 * k,
            label=int(rng.random() < 0.5),
        )
        for k in range(24 * days)
    ]


SPANS = {"files": "log-{YYYY}-{MM}-{DD}.csv", "window": 2}


@pytest.mark.parametrize(("past_window", "days_before"), [(None, 3), (1, 1), (0, 0)])
def test_the_past_of_a_window_begins_before_it(
    tmp_path: pathlib.Path, past_window: int | None, days_before: int
) -> None:
    rows = of_days(5)
    chosen = config(FEATURES, source=SPANS | {"past_window": past_window})
    held, report = ingested(rows, chosen, tmp_path, by_day)
    known = rows[24 * (3 - days_before) :]
    wanted = expected(known, chosen.features, report["past"]["means"])
    assert report["spans"] == ["2020-09-16", "2020-09-17"]
    assert len(report["earlier_spans"]) == days_before
    assert report["past"]["rows_before"] == 24 * days_before
    assert report["past"]["first_time"] == known[0].ts
    assert sum(split["rows"] for split in report["splits"].values()) == 48
    for column, values in held.items():
        close(values, wanted[column][24 * days_before :])
    with past_rows(chosen, str(tmp_path / "data"), report["past"]["means"]) as file:
        scored = [row for _, row in file.rows]
    for column, values in held.items():
        close(values, [row[column] for row in scored])
    # What a file stores is the state at the end of the log, all of its past counted.
    state = pq.read_table(tmp_path / "state-item_stats.parquet").to_pydict()
    counts = dict(zip(state["key"], state["events"], strict=True))
    assert counts["a"] == sum(row.item == "a" for row in known)


def test_a_query_reads_the_past_of_a_window(tmp_path: pathlib.Path) -> None:
    """The earlier files alone, joined with what has no spans."""
    rows = of_days(3)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/items.csv").write_text("item,brand\na,A\nb,B\nc,C\n")
    source = {
        "tables": {"logs": SPANS["files"], "items": "items.csv"},
        "query": "SELECT logs.* REPLACE (brand AS item) FROM logs JOIN items USING (item)",
        "window": 1,
    }
    chosen = config(FEATURES, source=source)
    held, report = ingested(rows, chosen, tmp_path, by_day)
    named = [dataclasses.replace(row, item=row.item.upper()) for row in rows]
    wanted = expected(named, chosen.features, report["past"]["means"])
    for column, values in held.items():
        close(values, wanted[column][48:])


def test_negatives_are_drawn_for_the_window_alone(tmp_path: pathlib.Path) -> None:
    rows = [dataclasses.replace(row, label=1) for row in of_days(3)]
    rows = [dataclasses.replace(row, item="gone") if k < 24 else row for k, row in enumerate(rows)]
    features = [FEATURES[2] | {"stats": ["count"]}]
    chosen = config(features, source=SPANS, label=None, negatives={"per_positive": 2})
    _held, report = ingested(rows, chosen, tmp_path, by_day)
    assert report["sampled"]["negatives"] + report["sampled"]["short"] == 2 * 48
    columns = chosen.features.raw_columns
    records = read_records([str(p) for s in chosen.split_names for p in (tmp_path / s).glob("*")])
    assert b"gone" not in raw_inputs(records, columns)["item"]


@pytest.mark.parametrize(
    ("source", "features", "why"),
    [
        (
            {"files": SPANS["files"], "past_window": 3},
            FEATURES,
            "`past_window` counts spans before",
        ),
        (SPANS | {"past_window": 3}, [], "source.past_window: no feature is computed from earlier"),
    ],
)
def test_a_past_window_without_use_is_refused(
    source: dict[str, Any], features: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        config(features, source=source)


def test_a_scored_folder_has_the_state_of_each_row(tmp_path: pathlib.Path) -> None:
    rows = [Row("ann", "a", "1", "x", "1", "1", START + 60 * k, k % 2) for k in range(20)]
    chosen = config(FEATURES)
    held, report = ingested(rows, chosen, tmp_path)
    with past_rows(chosen, str(tmp_path / "data"), report["past"]["means"]) as file:
        scored = [row for _, row in file.rows]
    for column, values in held.items():
        close(values, [row[column] for row in scored])
    assert [row["label"] for row in scored] == [row.label for row in rows]


def test_a_scored_folder_keeps_the_names_of_the_log(tmp_path: pathlib.Path) -> None:
    """Columns called otherwise than their features, or as ours might be; positives alone."""
    (tmp_path / "log.csv").write_text(
        "user,Item ID,time,ranklite_place,ts\n"
        + "".join(f"ann,{'ab'[k % 2]},{k},{100 + k},{START + 4000 * k}\n" for k in range(6))
    )
    features = {
        "user": "user",
        "item": "item",
        "features": [
            {"name": "item", "kind": "categorical", "column": "Item ID"},
            {"name": "time", "kind": "numeric"},
            {"name": "ranklite_place", "kind": "categorical", "dtype": "int64"},
            {"name": "seen", "kind": "history", "of": "item", "by": "user", "length": 2}
            | {"outcome": None},
        ],
    }
    chosen = IngestConfig.model_validate(
        {
            "source": {"files": "log.csv"},
            "negatives": {},
            "timestamp": "ts",
            "split": {"by": "time", "eval": 0.3},
            "features": features,
        }
    )
    with past_rows(chosen, str(tmp_path), {"label": 1.0}) as file:
        scored = [row for _, row in file.rows]
        assert file.columns == ["Item ID", "time", "ranklite_place", "seen", "label", "timestamp"]
    assert [row["Item ID"] for row in scored] == list("ababab")
    assert [row["time"] for row in scored] == list(range(6))
    assert [row["ranklite_place"] for row in scored] == list(range(100, 106))
    assert scored[3]["seen"] == ["a", "b"]
    assert scored[1]["timestamp"] == START + 4000
    report = ingest(chosen, str(tmp_path), str(tmp_path / "r"), lambda s: str(tmp_path / s))
    assert not report["rejected"]
