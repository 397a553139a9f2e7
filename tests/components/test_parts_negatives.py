"""Sampled negatives of a log in parts: the bytes that they are in one piece."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

from ranklite.components.log_example_gen import writer
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.negatives import uniform
from tests.divided_logs import InProcess, TwiceBackwards, same

FEATURES: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical"},
    {"name": "song", "kind": "categorical", "dtype": "int64"},
    {"name": "genres", "kind": "multi_categorical", "max_length": 3, "separator": "|"},
    {"name": "length", "kind": "numeric"},
    {"name": "place", "kind": "categorical"},
]
PAST: list[dict[str, Any]] = [
    {"name": "heard", "kind": "history", "of": "song", "by": "user", "length": 3},
    {"name": "plays", "kind": "aggregate", "by": "song", "stats": ["count", "recency"]},
    {"name": "lengths", "kind": "aggregate", "by": "user", "of": "length", "stats": ["mean"]},
]


def config(**changes: Any) -> IngestConfig:
    past = changes.pop("past", [])
    negatives = {"per_positive": 3, "item_columns": ["genres", "length"]}
    return IngestConfig.model_validate(
        {
            "source": {"files": "plays-{SPAN}.csv", "max_bad_rows": 0.5}
            | changes.pop("source", {}),
            "negatives": negatives | changes.pop("negatives", {}),
            "timestamp": "ts",
            "split": {"by": "time", "eval": 0.2, "test": 0.2},
            "features": {"features": [*FEATURES, *past], "user": "user", "item": "song"},
            "item_label": "title",
            **changes,
        }
    )


def write(folder: pathlib.Path) -> None:
    """A log of plays: some of no user or song, and songs whose columns are missing at first."""
    rng = np.random.default_rng(5)
    folder.mkdir(exist_ok=True)
    for file in range(4):
        lines = ["user,song,genres,length,place,ts,title"]
        for k in range(40):
            song = int(rng.integers(14))
            user = ["ann", "böb", "", "日本", "eve"][int(rng.integers(5))]
            genres = "" if rng.random() < 0.2 else f"g{song % 3}|ü"
            length = ["", "-0.0", "0", *[f"{song * 1.1:.2f}"] * 4][int(rng.integers(7))]
            named = "" if rng.random() < 0.03 else song
            place = "home" if rng.random() < 0.5 else "car"
            moment = 1_700_000_000 + file * 86_400 + 600 * (k % 9)
            lines.append(f"{user},{named},{genres},{length},{place},{moment},Song {song}")
        lines += ["eve,x,,1,home,1700000000,bad"] * (file == 2)
        (folder / f"plays-{file}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_negatives(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.setattr(writer, "ROWS", 10)
    monkeypatch.setattr(writer, "SHARD_ROWS", 70)  # a file ends between a positive and a negative
    write(tmp_path / "data")
    made = config(negatives={"by": by})
    files, report = same(made, tmp_path / "data", tmp_path)
    assert report["sampled"]["negatives"] > 200
    assert sum(name.startswith("train/") for name in files) > 2


def test_with_features_of_the_past(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "data")
    made = config(past=PAST, source={"window": 3})
    _, report = same(made, tmp_path / "data", tmp_path, [InProcess(workers=3)])
    assert report["past"]["rows_before"] > 20


def test_a_user_who_has_nearly_all(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "data")
    made = config(negatives={"per_positive": 40}, split={"by": "hash", "eval": 0.2})
    text = "".join(f"eve,{song},,1,home,1700000000,s\n" for song in range(14))
    with open(tmp_path / "data" / "plays-1.csv", "a", encoding="utf-8") as file:
        file.write(text)
    _, report = same(made, tmp_path / "data", tmp_path, [TwiceBackwards(workers=3)])
    assert report["sampled"]["short"] > 100


def test_what_is_drawn_is_even() -> None:
    rows, nth = np.repeat(np.arange(50_000), 4), np.tile(np.arange(4) * 64, 50_000)
    drawn = uniform(42, rows, nth)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.003
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 44  # chi-squared of 19, at 0.001
    together = np.corrcoef(drawn.reshape(-1, 4).T) - np.eye(4)
    assert np.abs(together).max() < 0.02
    assert not np.isin(uniform(43, rows, nth), drawn).any()
