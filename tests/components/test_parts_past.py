"""Features of the past of a log in parts: the bytes that they are in one piece."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ranklite.components.log_example_gen import IngestError, writer
from ranklite.components.log_example_gen.parts import run, shares
from ranklite.components.log_example_gen.point_in_time.sorted_rows import SortedRows
from tests import past_logs
from tests.divided_logs import InProcess, TwiceBackwards, same, same_error

FEATURES: list[dict[str, Any]] = [
    {"name": "seen", "kind": "history", "of": "item", "by": "user", "length": 3},
    {"name": "shops", "kind": "history", "of": "shop", "by": "user", "length": 4, "delay": 60},
    {"name": "item_stats", "kind": "aggregate", "by": "item", "stats": ["count", "rate"]},
    {
        "name": "item_of_session",
        "kind": "aggregate",
        "by": "item",
        "stats": ["recency", "count"],
        "as_of": "session",
    },
    {
        "name": "taste",
        "kind": "aggregate",
        "by": ["user", "tags"],
        "of": "price",
        "stats": ["mean", "sum", "recency"],
        "as_of": "session",
    },
    {"name": "tag", "kind": "aggregate", "by": "tags", "of": "price", "stats": ["sum", "count"]},
    {
        "name": "spent",
        "kind": "aggregate",
        "by": "user",
        "of": "price",
        "stats": ["sum", "mean"],
        "window": 0.5,
        "as_of": "hour",
    },
    {"name": "variety", "kind": "aggregate", "by": "user", "of": "shop", "stats": ["distinct"]},
    {"name": "pay", "kind": "aggregate", "by": ["shop", "item"], "of": "paid", "stats": ["rate"]},
]
DAYS = 4


def write(folder: pathlib.Path, count: int = 240) -> None:
    """Files by day, each with rows of times that others have too, in no order within a day."""
    rng = np.random.default_rng(7)
    days = np.sort(rng.integers(0, DAYS, count))
    rows = [
        past_logs.Row(
            user=["ann", "böb", "日本", "", "eve"][int(rng.integers(5))],
            item=["a", "b", "ü", ""][int(rng.integers(4))],
            shop=["1", "2", "", "30"][int(rng.integers(4))],
            tags=["", "x", "x|y", "y|x|x", "z"][int(rng.integers(5))],
            price=["", "1.1", "-2.3", "0.7", "1e7", "3", "-0.0", "0"][int(rng.integers(8))],
            paid=["1", "2.5", "-4.1"][int(rng.integers(3))],
            ts=past_logs.START + int(day) * 86400 + 600 * int(rng.integers(60)),
            label=int(rng.integers(2)),
        )
        for day in days
    ]
    past_logs.write(rows, folder, past_logs.by_day)


def config(**changes: Any) -> Any:
    source = {"files": "log-*.csv", "max_bad_rows": 0.9} | changes.pop("source", {})
    return past_logs.config(changes.pop("features", FEATURES), source=source, **changes)


@pytest.mark.parametrize("workers", [1, 3])
def test_histories_and_aggregates(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(writer, "ROWS", 7)
    monkeypatch.setattr(writer, "SHARD_ROWS", 28)
    write(tmp_path / "data")
    files, report = same(config(), tmp_path / "data", tmp_path, [InProcess(workers=workers)])
    assert report["past"]["means"]["label"] not in (0, 1)
    assert "state/state-item_stats.parquet" in files
    views = pq.read_table(tmp_path / "plain" / "state" / "views.parquet")
    assert views.num_rows == report["splits"]["test"]["rows"]
    assert "items_frozen/item_stats_rate" in views.column_names
    assert "user_at_request/seen" in views.column_names


def test_many_small_shares(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SHARE_ROWS", 30)
    buckets = []
    divided = shares.divide
    monkeypatch.setattr(
        shares, "divide", lambda task: buckets.append(task.log.job.buckets) or divided(task)
    )
    write(tmp_path / "data")
    same(config(), tmp_path / "data", tmp_path, [InProcess(workers=2)])
    assert min(buckets) >= 6  # of some 200 rows that can be read


def test_tasks_in_any_order_and_twice(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "data", 100)
    same(config(), tmp_path / "data", tmp_path, [TwiceBackwards(workers=2)])


def test_a_window_of_spans(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "data")
    source = {"files": "log-{YYYY}-{MM}-{DD}.csv", "window": 2, "past_window": 1}
    made = config(source=source, features=FEATURES[:4])
    _, report = same(made, tmp_path / "data", tmp_path, [InProcess(workers=3)])
    assert report["past"]["rows_before"] > 0


def test_files_in_no_order_of_time(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "data")
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    split = {"by": "files", "train": names[1], "eval": names[0], "test": names[2]}
    made = past_logs.config(FEATURES, source={"max_bad_rows": 0.9}, split=split)
    message = same_error(made, tmp_path / "data", tmp_path, IngestError)
    assert "the eval split begins before the train split ends" in message
    split = {"by": "files", "train": names[0], "eval": names[1], "test": names[2]}
    made = past_logs.config(FEATURES, source={"max_bad_rows": 0.9}, split=split)
    for name in ("plain", "parts"):
        (tmp_path / name).rename(tmp_path / f"{name}-failed")
    same(made, tmp_path / "data", tmp_path, [InProcess(workers=3)])


def test_sums_of_a_key_do_not_depend_on_others() -> None:
    rng = np.random.default_rng(3)
    counts = [1, 7, 300]
    own = [rng.normal(0, 1, n) * 10.0 ** rng.integers(-8, 8, n) for n in counts]

    def sums(chosen: list[int]) -> dict[int, np.ndarray]:
        keys = np.repeat(np.arange(len(chosen)), [counts[k] for k in chosen])
        values = np.concatenate([own[k] for k in chosen])
        rows = SortedRows(keys, np.arange(len(keys)), np.ones(len(keys)), None, None)
        first = rows.first(keys)
        end = np.arange(len(keys)) + 1
        start = np.maximum(first, end - 5)
        whole = rows.sums(values, keys, first, end)
        last = rows.sums(values, keys, start, end)
        for row in range(len(keys)):
            near = {"rel": 1e-9, "abs": 1e-6}
            assert whole[row] == pytest.approx(values[first[row] : end[row]].sum(), **near)
            assert last[row] == pytest.approx(values[start[row] : end[row]].sum(), **near)
        return {k: np.stack([whole, last])[:, keys == n] for n, k in enumerate(chosen)}

    together = sums([0, 1, 2])
    for chosen in ([2], [1, 2], [2, 1, 0]):
        for key, result in sums(chosen).items():
            np.testing.assert_array_equal(result, together[key])


def test_sums_of_whole_numbers_are_exact() -> None:
    rows = SortedRows(np.array([0, 0, 1]), np.arange(3), np.ones(3), None, None)
    keys, end = np.array([0, 0, 1]), np.array([0, 2, 3])
    assert rows.sums(np.array([1.0, 2.0, 4.0]), keys, rows.first(keys), end).tolist() == [0, 3, 4]
    none = SortedRows(np.array([0]), np.array([5]), np.zeros(1), None, None)
    zero = np.array([0])
    assert none.sums(np.array([0.5]), zero, zero, zero).tolist() == [0]


def test_a_sum_of_nothing_has_one_sign() -> None:
    """-0.0 is 0.0, beside keys of whole numbers and beside others."""
    keys = np.array([0, 0, 1])
    rows = SortedRows(keys, np.arange(3), np.ones(3), None, None)
    for other in (1.0, 0.3):
        values = np.array([-0.0, -0.0, other])
        sums = rows.sums(values, keys, rows.first(keys), np.array([0, 2, 3]))
        assert not np.signbit(sums).any()
