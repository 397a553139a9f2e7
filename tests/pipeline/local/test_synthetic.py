"""The generated log: reproducible, with gaps and newcomers, and nothing that tells the answer."""

from __future__ import annotations

import csv
import json
import pathlib

import pytest

from ranklite.pipeline.local import synthetic
from ranklite.pipeline.local.synthetic import generate


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_same_seed_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    first = pathlib.Path(generate(str(tmp_path / "a"), rows=2000)).read_bytes()
    assert pathlib.Path(generate(str(tmp_path / "b"), rows=2000)).read_bytes() == first
    assert pathlib.Path(generate(str(tmp_path / "c"), rows=2000, seed=8)).read_bytes() != first


def test_a_log_that_is_there_is_left_alone(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(generate(str(tmp_path), rows=2000))
    before = path.stat().st_mtime_ns
    generate(str(tmp_path), rows=2000)
    assert path.stat().st_mtime_ns == before
    generate(str(tmp_path), rows=2001)
    assert len(rows(str(path))) == 2001


def test_a_log_of_another_generator_is_made_again(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(generate(str(tmp_path), rows=2000))
    before = path.read_bytes()
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({**json.loads(truth.read_text()), "version": 1}))
    path.write_text("an older log\n")
    assert pathlib.Path(generate(str(tmp_path), rows=2000)).read_bytes() == before


def test_a_log_never_stands_beside_the_truth_of_another(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(str(tmp_path), rows=2000)

    def killed(path: str, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        generate(str(tmp_path), rows=2000, seed=8)
    assert not (tmp_path / "truth.json").exists()


def test_what_is_in_it(tmp_path: pathlib.Path) -> None:
    result = rows(generate(str(tmp_path), rows=10_000))
    share = {name: sum(not row[name] for row in result) / 10_000 for name in result[0]}
    assert share["price"] == pytest.approx(0.1, abs=0.02)
    assert share["age"] == pytest.approx(0.2, abs=0.02)
    assert 0.2 < sum(row["click"] == "1" for row in result) / 10_000 < 0.5
    times = [int(row["timestamp"]) for row in result]
    assert times == sorted(times)
    early, late = result[:8000], result[8000:]
    for name in ("user", "item"):
        assert {row[name] for row in late} - {row[name] for row in early}
    assert not {"probability", "logit"} & set(result[0])


def test_the_truth_is_a_bound(tmp_path: pathlib.Path) -> None:
    generate(str(tmp_path), rows=10_000)
    truth = json.loads((tmp_path / "truth.json").read_text())["best"]
    assert set(truth) == {"train", "eval", "test"}
    for figures in truth.values():
        assert 0.7 < figures["auc"] < 0.9
        assert figures["calibration"] == pytest.approx(1.0, abs=0.1)
