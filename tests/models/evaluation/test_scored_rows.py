"""Scores row by row: kept whole or by users, and recognized as those of the same rows."""

from __future__ import annotations

import dataclasses
import pathlib
import stat
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.features.examples import row_identity

COLUMNS = {"label": "click", "user": "who", "item": "what", "time": "timestamp"}
LABELS = np.array([1, 0, 0], np.float32)


def record(label: int, **values: Any) -> bytes:
    example = tf.train.Example()
    example.features.feature["click"].int64_list.value.append(label)
    for name, value in values.items():
        feature = example.features.feature[name]
        if isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        else:
            feature.int64_list.value.append(value)
    return example.SerializeToString()


def records(**changes: Any) -> list[bytes]:
    return [
        record(label, **{"who": f"u{k}", "what": k, "timestamp": 100 + k, **changes})
        for k, label in enumerate([1, 0, 0])
    ]


def kept(identity: dict[str, str], **changes: Any) -> ScoredRows:
    rows = ScoredRows.of(
        LABELS,
        np.array(["b", "a", "b"]),
        {"shipped": np.array([0.9, 0.1, 0.2])},
        {"slice_user": np.array(["seen", "new", "seen"])},
        identity,
    )
    return dataclasses.replace(rows, **changes)


def test_a_file_keeps_everything(tmp_path: pathlib.Path) -> None:
    rows = kept({"label": "1", "user": "2"})
    path = tmp_path / "scores.npz"
    rows.save(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["scores.npz"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    result = ScoredRows.load(str(path))
    assert result.labels.tolist() == [1, 0, 0]
    assert result.users is not None
    assert result.users.tolist() == [1, 0, 1]
    assert result.scores["shipped"].dtype == np.float32
    assert result.scores["shipped"] == pytest.approx([0.9, 0.1, 0.2])
    assert result.slices["slice_user"].tolist() == ["seen", "new", "seen"]
    assert (result.identity, result.total) == (rows.identity, 3)
    assert result.same_rows(rows)


def test_without_users(tmp_path: pathlib.Path) -> None:
    rows = ScoredRows.of(LABELS, None, {"shipped": LABELS}, {}, {})
    rows.save(str(tmp_path / "scores.npz"))
    assert ScoredRows.load(str(tmp_path / "scores.npz")).users is None


def test_of_too_many_rows_whole_users_stay_and_always_the_same() -> None:
    random = np.random.default_rng(0)
    users = np.array([f"user {k}" for k in random.integers(0, 100, 1000)])
    first, second = (
        ScoredRows.of(np.ones(1000), users[order], {"x": np.arange(1000)[order]}, {}, {}, most=400)
        for order in (np.arange(1000), random.permutation(1000))
    )
    assert 350 < len(first.labels) <= 400
    assert first.total == 1000
    rows = first.scores["x"].astype(int)
    assert set(rows) == set(second.scores["x"].astype(int))
    outside = np.setdiff1d(np.arange(1000), rows)
    assert not set(users[rows]) & set(users[outside])


def test_one_user_of_too_many_rows_is_kept() -> None:
    rows = ScoredRows.of(np.ones(9), np.repeat("a", 9), {"x": np.ones(9)}, {}, {}, most=4)
    assert len(rows.labels) == 9


def test_the_same_rows() -> None:
    one = kept({"label": "1", "user": "2", "item": "3"})
    assert one.same_rows(kept({"label": "1", "user": "2"}))  # a configuration without `item`
    assert not one.same_rows(kept({"label": "1", "user": "other"}))
    assert not one.same_rows(kept({"label": "1"}))  # labels alone prove nothing
    assert not one.same_rows(kept({}))
    assert not one.same_rows(kept(one.identity, total=4))
    assert not one.same_rows(kept(one.identity, labels=np.array([1, 0, 1])))


def test_identity_is_of_values_and_their_order() -> None:
    one = row_identity(records(), COLUMNS, LABELS)
    assert set(one) == set(COLUMNS)
    assert one == row_identity(records(price=3), COLUMNS, LABELS)  # one feature more
    other = row_identity(records(what=7), COLUMNS, LABELS)
    assert {role for role in one if one[role] != other[role]} == {"item"}
    swapped = [records()[k] for k in (0, 2, 1)]
    assert row_identity(swapped, COLUMNS, LABELS)["user"] != one["user"]


def test_identity_of_a_log_without_roles_is_that_of_whole_records() -> None:
    columns = {"label": "click", "time": "no such column"}
    one = row_identity(records(), columns, LABELS)
    assert set(one) == {"label", "row"}
    assert row_identity(records(price=3), columns, LABELS)["row"] != one["row"]


def test_no_identity_where_labels_came_in_another_order() -> None:
    assert row_identity(records(), COLUMNS, LABELS[::-1]) == {}
    assert row_identity(records()[:2], COLUMNS, LABELS) == {}
