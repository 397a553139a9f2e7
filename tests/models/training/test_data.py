"""Batches from transformed Examples."""

from __future__ import annotations

import functools
import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import data, in_memory, streams

LAYOUT = FeatureLayout.build([("user", 1, 300), ("tags", 2, 4)])
USER, TAGS = LAYOUT.fields
Writer = Callable[[pathlib.Path, dict[str, Any]], str]


@pytest.fixture
def numbered(tmp_path: pathlib.Path, write_examples: Writer) -> list[str]:
    """Rows 0 to 249 over two files, told apart by their user; tag 2 is padding."""

    def write(name: str, rows: range) -> str:
        users = np.array(rows) + USER.missing_row + 1
        ids = np.stack([users, np.full(len(rows), TAGS.missing_row), np.zeros_like(users)], axis=1)
        return write_examples(
            tmp_path / name, {"ids": ids, "label": np.array(rows, "f")[:, None] % 2}
        )

    return [write("b.gz", range(100, 250)), write("a.gz", range(100))]


def users(batches: tf.data.Dataset) -> list[int]:
    return np.concatenate([f["ids"][:, 0] for f, _ in batches]).astype(int).tolist()


ORDER = [row + USER.missing_row + 1 for row in range(250)]


def test_reads_files_by_name_in_batches_of_the_asked_shape(numbered: list[str]) -> None:
    batches = list(data.dataset(numbered, LAYOUT, 100))
    assert [label.shape.as_list() for _, label in batches] == [[100, 1], [100, 1], [50, 1]]
    features, label = batches[0]
    assert set(features) == {"ids"}  # no numeric column in the layout
    assert (features["ids"].dtype, label.dtype) == (tf.int32, tf.float32)
    np.testing.assert_array_equal(label[:4, 0], [0, 1, 0, 1])
    assert users(data.dataset(numbered, LAYOUT, 100)) == ORDER
    assert users(data.dataset(numbered, LAYOUT, 100, drop_remainder=True)) == ORDER[:200]
    assert data.count_rows(numbered, LAYOUT) == 250


def test_numeric_columns_come_with_their_rows(clicks: Any) -> None:
    features, label = next(iter(data.dataset(clicks.train, clicks.layout, 7)))
    assert features["ids"].shape == (7, 5)
    assert features["numeric"].shape == (7, 1)
    assert features["numeric"].dtype == tf.float32
    assert label.shape == (7, 1)


def test_shuffle_keeps_every_row_and_is_another_in_each_epoch(numbered: list[str]) -> None:
    batches = data.dataset(numbered, LAYOUT, 100, shuffle_rows=250, seed=3)
    first, second = users(batches), users(batches)
    assert sorted(first) == sorted(second) == ORDER
    assert len({tuple(ORDER), tuple(first), tuple(second)}) == 3


def test_same_seed_gives_the_same_epochs(numbered: list[str]) -> None:
    def epochs(seed: int) -> list[Any]:
        batches = data.dataset(numbered, LAYOUT, 100, shuffle_rows=250, seed=seed, oov_rate=0.3)
        return [users(batches), users(batches)]

    assert epochs(3) == epochs(3)
    assert epochs(3) != epochs(4)


def test_drops_vocabulary_ids_at_the_rate_and_nothing_else(numbered: list[str]) -> None:
    batches = data.dataset(numbered, LAYOUT, 64, oov_rate=0.3)
    epochs = [np.concatenate([f["ids"] for f, _ in batches]) for _ in range(8)]
    for ids in epochs:
        dropped = ids[:, 0] == USER.oov_row
        np.testing.assert_array_equal(ids[~dropped, 0], np.array(ORDER)[~dropped])
        np.testing.assert_array_equal(ids[:, 1:], [[TAGS.missing_row, 0]] * 250)
    rates = [np.mean(ids[:, 0] == USER.oov_row) for ids in epochs]
    # 2,000 draws at 0.3: a standard deviation is 0.0102.
    assert np.mean(rates) == pytest.approx(0.3, abs=0.05)
    assert any((a != b).any() for a, b in itertools.pairwise(epochs))


def test_each_field_has_an_out_of_vocabulary_row_of_its_own(
    tmp_path: pathlib.Path, write_examples: Writer
) -> None:
    row = [USER.missing_row + 1, TAGS.missing_row + 1, TAGS.missing_row + 2]
    file = write_examples(tmp_path / "x.gz", {"ids": np.array([row] * 50), "label": [[1.0]] * 50})
    features, _ = next(iter(data.dataset([file], LAYOUT, 50, oov_rate=0.999)))
    oov = [USER.oov_row, TAGS.oov_row, TAGS.oov_row]
    assert (features["ids"].numpy() == oov).mean() > 0.9


@pytest.mark.parametrize(
    ("rows", "steps"), [(10, 1), (64, 1), (65, 1), (127, 1), (128, 2), (200, 3)]
)
def test_an_epoch_is_whole_batches_but_at_least_one(rows: int, steps: int) -> None:
    assert data.steps_per_epoch(rows, 64) == steps


def test_no_files() -> None:
    with pytest.raises(ValueError, match="list of TFRecord files is empty"):
        data.dataset([], LAYOUT, 8)


def test_missing_file_is_named(numbered: list[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such TFRecord file: .*nowhere\.gz"):
        data.dataset([*numbered, "nowhere.gz"], LAYOUT, 8)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (FeatureLayout.build([("user", 1, 300)]), "'ids' holds 3 values .* layout says 1"),
        (
            FeatureLayout(LAYOUT.fields, ("x",)),
            "'numeric' holds 0 values of float32, the layout says 1",
        ),
        (
            FeatureLayout.build([("user", 1, 2), ("tags", 2, 1)]),
            "'ids' holds 304, .* rows 0 to 7: .* different Transform runs",
        ),
    ],
)
def test_layout_that_does_not_fit(numbered: list[str], layout: FeatureLayout, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.dataset(numbered, layout, 8)


@pytest.fixture
def shards(tmp_path: pathlib.Path, write_examples: Writer, monkeypatch: Any) -> list[str]:
    """Rows 0 to 249 over eleven files that do not fit into memory."""
    monkeypatch.setattr(in_memory, "MOST_BYTES", 100)
    monkeypatch.setattr(streams, "CHUNK", 4)
    files = []
    for k, rows in enumerate(np.array_split(np.arange(250), 11)):
        users = rows + USER.missing_row + 1
        ids = np.stack([users, np.full(len(rows), TAGS.missing_row), np.zeros_like(users)], axis=1)
        label = (rows % 2).astype("f")[:, None]
        path = tmp_path / f"rows-{k}-of-11.gz"
        files.append(write_examples(path, {"ids": ids, "label": label}))
    return files


def mixed(files: list[str], seed: int = 3, **changes: Any) -> tf.data.Dataset:
    return data.dataset(
        files, LAYOUT, 40, **{"shuffle_rows": 90, "seed": seed, "mixed": True, **changes}
    )


def test_shards_are_read_in_the_order_of_their_numbers(shards: list[str]) -> None:
    assert users(data.dataset(shards, LAYOUT, 100)) == ORDER
    assert users(data.dataset(shards[::-1], LAYOUT, 100)) == ORDER
    assert data.count_rows(shards, LAYOUT) == 250


def test_mixed_shards_give_every_row_once_in_an_order_of_the_seed(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = mixed(shards)
    epochs = [users(batches) for _ in range(3)]
    assert all(sorted(epoch) == ORDER for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    for count in (1, 7):
        monkeypatch.setattr(streams, "cores", functools.partial(int, count))
        again = mixed(shards[::-1])
        assert [users(again) for _ in range(3)] == epochs
    other = mixed(shards, seed=4)
    assert users(other) != epochs[0]
    features = [features["ids"].shape[0] for features, _ in mixed(shards, drop_remainder=True)]
    assert features == [40] * 6


def test_labels_stay_with_their_rows(shards: list[str]) -> None:
    for features, label in mixed(shards):
        row = features["ids"][:, 0].numpy() - USER.missing_row - 1
        np.testing.assert_array_equal(label[:, 0], row % 2)


def test_a_batch_has_rows_of_many_shards(shards: list[str]) -> None:
    """A window holds chunks of all files that are read at a time; none is read ahead of it."""
    for features, _ in itertools.islice(mixed(shards), 2):
        row = features["ids"][:, 0].numpy() - USER.missing_row - 1
        assert len(np.unique(row // 23)) >= 6


def test_a_window_is_no_larger_than_its_bytes(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a window of one batch, a batch has the rows of the first chunks and no others."""
    monkeypatch.setattr(streams, "WINDOW_BYTES", 1)
    features, _ = next(iter(mixed(shards, shuffle_rows=250)))
    row = features["ids"][:, 0].numpy() - USER.missing_row - 1
    starts = np.cumsum([0] + [23] * 8 + [22] * 2)
    place = row - starts[np.searchsorted(starts, row, side="right") - 1]
    assert row.size == 40
    assert place.max() < 8  # two chunks of each file at most, not those behind them
