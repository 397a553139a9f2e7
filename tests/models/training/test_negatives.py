"""Redrawing the items of negatives, on a log small enough to know every pair."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout, ListField
from ranklite.models.training import data
from ranklite.models.training.config import RedrawnNegatives
from ranklite.models.training.negatives import Catalogue, redrawn_negatives

USERS, ITEMS = 5, 6
LAYOUT = FeatureLayout.build(
    [("user", 1, USERS), ("item", 1, ITEMS), ("hour", 1, 3), ("genres", 2, 4)], ["price", "age"]
)
CONFIG = RedrawnNegatives(user="user", item="item", item_columns=("genres", "price"))
ITEM = LAYOUT.field("item").offset + 2


def log(seed: int = 0, rows: int = 400) -> dict[str, np.ndarray[Any, Any]]:
    """Rows in which genres and price follow from the item; user 0 has all items but the last."""
    random = np.random.default_rng(seed)
    first = {field.name: field.offset + 2 for field in LAYOUT.fields}
    user, item = random.integers(0, USERS, rows), random.integers(0, ITEMS, rows)
    label = (user + item) % 2 == 0
    user[: ITEMS - 1], item[: ITEMS - 1], label[: ITEMS - 1] = 0, np.arange(ITEMS - 1), True
    label |= (user == 0) & (item < ITEMS - 1)
    label[(user == 0) & (item == ITEMS - 1)] = False
    genres = np.stack([first["genres"] + item % 4, np.where(item % 2, first["genres"], 0)], axis=1)
    ids = np.stack([first["user"] + user, first["item"] + item, first["hour"] + user % 3], axis=1)
    numbers = np.stack([item * 1.5, random.normal(size=rows)], axis=1)
    return {
        "ids": np.concatenate([ids, genres], axis=1).astype(np.int64),
        "numeric": numbers.astype(np.float32),
        "label": label[:, None].astype(np.float32),
    }


@pytest.fixture
def files(tmp_path: pathlib.Path, write_examples: Callable[..., str]) -> list[str]:
    return [write_examples(tmp_path / "train.gz", log())]


def epochs(files: list[str], count: int, seed: int = 3) -> list[list[np.ndarray[Any, Any]]]:
    """ids, numeric and label of each epoch, with redrawn negatives."""
    augment = redrawn_negatives(files, LAYOUT, CONFIG)
    batches = data.dataset(files, LAYOUT, 64, seed=seed, augment=augment)
    result = []
    for _ in range(count):
        parts = [(f[IDS].numpy(), f[NUMERIC].numpy(), y.numpy()[:, 0]) for f, y in batches]
        result.append([np.concatenate(column) for column in zip(*parts, strict=True)])
    return result


def test_negatives_get_items_that_their_user_never_had(files: list[str]) -> None:
    before = log()
    positive = before["label"][:, 0] > 0.5
    owned = {tuple(pair) for pair in before["ids"][positive, :2].tolist()}
    for ids, numeric, label in epochs(files, 3):
        assert (label == before["label"][:, 0]).all()
        assert (ids[positive] == before["ids"][positive]).all()
        assert (ids[:, [0, 2]] == before["ids"][:, [0, 2]]).all()  # user and hour stay
        assert not owned & {tuple(pair) for pair in ids[~positive, :2].tolist()}
        item = ids[:, 1] - ITEM
        assert (ids[:, 3] - LAYOUT.field("genres").offset - 2 == item % 4).all()
        assert ((ids[:, 4] == 0) == (item % 2 == 0)).all()
        np.testing.assert_allclose(numeric[:, 0], item * 1.5)
        np.testing.assert_array_equal(numeric[:, 1], before["numeric"][:, 1])


def test_epochs_differ_and_seeds_repeat(files: list[str]) -> None:
    first, second = epochs(files, 2)
    assert (first[0] != second[0]).any()
    again = epochs(files, 2)
    for one, two in zip([first, second], again, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
    assert (epochs(files, 1, seed=4)[0][0] != first[0]).any()


def test_a_user_with_one_item_left_always_gets_it_or_keeps_his_own(files: list[str]) -> None:
    (drawn,) = epochs(files, 1)
    ids, _, label = drawn
    of_user_0 = (ids[:, 0] == LAYOUT.field("user").offset + 2) & (label < 0.5)
    assert of_user_0.any()
    assert (ids[of_user_0, 1] == ITEM + ITEMS - 1).all()


def test_chances_by_hand(files: list[str]) -> None:
    catalogue = Catalogue.read(files, LAYOUT, CONFIG)
    before = log()
    positive = before["label"][:, 0] > 0.5
    plays = np.bincount(before["ids"][positive, 1] - ITEM, minlength=ITEMS)
    assert catalogue.plays.tolist() == plays.tolist()
    np.testing.assert_allclose(catalogue.chances(0.0), np.arange(1, ITEMS + 1) / ITEMS, rtol=1e-6)
    mixed = np.cumsum(0.7 / ITEMS + 0.3 * plays / plays.sum())
    np.testing.assert_allclose(catalogue.chances(0.3), mixed, rtol=1e-6)


def test_a_user_that_is_no_feature_is_told(files: list[str]) -> None:
    config = RedrawnNegatives(user="visitor", item="item")
    with pytest.raises(ValueError, match="'visitor' and the item 'item'"):
        redrawn_negatives(files, LAYOUT, config)


def test_a_session_keeps_its_events_and_gets_none_of_them(
    tmp_path: pathlib.Path, write_examples: Callable[..., str]
) -> None:
    """The session itself is no feature: what it had is what its list says."""
    layout = FeatureLayout.build(
        [("item", 1, ITEMS), ("recent", 3, 0)], [], {"recent": ListField("item", 1, "gru")}
    )
    random, first = np.random.default_rng(0), layout.field("item").offset + 2
    recent = np.array([random.permutation(ITEMS)[:3] for _ in range(200)]) + first
    recent[::2, 1:] = 0  # a single event
    item = random.integers(0, ITEMS, (200, 1)) + first
    label = (np.arange(200)[:, None] % 5 == 0).astype(np.float32)
    weights = (recent > 0) / np.sum(recent > 0, axis=1, keepdims=True)
    columns = {"ids": np.hstack([item, recent]), "numeric": weights.astype("f4"), "label": label}
    file = write_examples(tmp_path / "sessions.gz", columns)
    config = RedrawnNegatives(user="session", item="item")
    augment = redrawn_negatives([file], layout, config)
    seen = []
    for _ in range(3):
        ((features, labels),) = data.dataset([file], layout, 200, seed=1, augment=augment)
        ids, negative = features[IDS].numpy(), labels.numpy()[:, 0] < 0.5
        np.testing.assert_array_equal(ids[:, 1:], recent)
        np.testing.assert_array_equal(features[NUMERIC], columns["numeric"])
        np.testing.assert_array_equal(ids[~negative, 0], item[~negative, 0])
        assert not (ids[negative, :1] == recent[negative]).any()
        seen.append(ids[negative, 0])
    assert (item[label[:, 0] < 0.5] == recent[label[:, 0] < 0.5]).any()  # before
    assert len(np.unique(seen)) == ITEMS
