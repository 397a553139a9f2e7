"""Which rows are judged where a split has very many."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pytest

from ranklite.components.file_validator.judged_split import JudgedSplit
from ranklite.models.features.tfrecords import write_examples

USERS = ["ann", "bob", "eve", "ann", "", "bob", "ann", "zoe", "eve", "ann"]


@pytest.fixture
def files(tmp_path: pathlib.Path) -> list[str]:
    """Two files, of four rows and of six."""
    paths = []
    for number, (first, last) in enumerate([(0, 4), (4, 10)]):
        columns = {
            "group": pa.array([[user] for user in USERS[first:last]], pa.list_(pa.string())),
            "row": pa.array([[k] for k in range(first, last)], pa.list_(pa.int64())),
        }
        path = str(tmp_path / f"data-{number:05d}-of-00002.gz")
        write_examples(path, [pa.RecordBatch.from_pydict(columns)])
        paths.append(path)
    return paths


def test_few_rows_are_all_judged(files: list[str]) -> None:
    judged = JudgedSplit.choose(files, has_users=True, most=10)
    assert judged == JudgedSplit(10, None)
    assert len(judged.records(files)) == 10
    assert judged.places([3, 7]).tolist() == [3, 7]
    assert judged.warnings("test") == []


@pytest.mark.parametrize("most", [4, 5, 8])
def test_all_rows_of_some_users_are_judged(files: list[str], most: int) -> None:
    judged = JudgedSplit.choose(files, has_users=True, most=most)
    assert judged.kept is not None
    rows = np.flatnonzero(judged.kept)
    assert 0 < len(rows) <= most
    chosen = {USERS[k] for k in rows}
    assert [USERS[k] in chosen for k in range(10)] == judged.kept.tolist()
    every = JudgedSplit(10).records(files)
    assert judged.records(files) == [every[k] for k in rows]
    table = pa.table({"row": range(10)})
    assert judged.rows(table)["row"].to_pylist() == rows.tolist()
    assert judged.scores(np.arange(10.0)).tolist() == rows.tolist()
    places = judged.places(range(10))
    assert places[rows].tolist() == list(range(len(rows)))
    assert set(np.delete(places, rows)) == {-1}
    [told] = judged.warnings("test")
    assert told.startswith(f"{len(rows)} of the 10 rows of the test split are judged")


def test_without_users_rows_are_judged_by_their_number(files: list[str]) -> None:
    judged = JudgedSplit.choose(files, has_users=False, most=6)
    assert judged.kept is not None
    assert judged.kept.sum() == 6
