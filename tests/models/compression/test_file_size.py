"""What files take, told before anything trains."""

from __future__ import annotations

from typing import Any

import pytest

from ranklite.models.architectures import file_limit
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.architectures.file_limit import FileTooLarge, float_bytes
from ranklite.models.compression.file_size import Expected
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_config import HashedTable

LAYOUT = FeatureLayout.build([("user", 1, 2_000_000), ("item", 1, 1_000_000), ("hour", 1, 24)])
MODEL = DeepFMConfig(embedding_dim=16, hidden_units=(8,))
FEATURES = [{"name": name, "kind": "categorical"} for name in ("user", "item", "hour")]
CONFIG: dict[str, Any] = {"features": FEATURES, "compression": [], "gates": {}, "training": {}}
QUANTIZE = {"technique": "quantize"}


def hashed(rows: int) -> DeepFMConfig:
    return MODEL.model_copy(update={"table": HashedTable(kind="hashed", rows=rows)})


def test_bytes_by_hand() -> None:
    kernels = 3 * 16 * 8 + 8  # of the tower and its output
    rows, values = 1 + 3 * 2 + 3_000_024, 3_000_024
    assert float_bytes(LAYOUT, MODEL) == 4 * (rows * 17 + kernels) + 11 * values
    assert float_bytes(LAYOUT, hashed(500)) == 4 * (507 * 17 + kernels) + 11 * values


def test_what_no_file_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    file_limit.check(LAYOUT, MODEL)
    monkeypatch.setattr(file_limit, "LARGEST", 200_000_000)
    with pytest.raises(FileTooLarge) as error:
        file_limit.check(LAYOUT, MODEL)
    words = str(error.value)
    assert "would take 237 MB" in words
    assert "can take 200 MB" in words
    assert "user 2,000,002 rows, 158 MB, item 1,000,002 rows, 79 MB" in words
    for way in ("max_vocabulary", "min_count", "embedding_dim", "(now 16)"):
        assert way in words
    # 300,000 rows: 33 MB of vocabularies, 20.4 of rows
    assert "`model: {table: {kind: hashed, rows: 300000}}`, with which it takes about 53.4 MB" in (
        words
    )
    file_limit.check(LAYOUT, hashed(300_000))


def test_no_hashed_table_is_suggested_that_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_limit, "LARGEST", 30_000_000)  # less than the vocabularies take
    with pytest.raises(FileTooLarge) as error:
        file_limit.check(LAYOUT, MODEL)
    assert "hashed" not in str(error.value)
    with pytest.raises(FileTooLarge) as error:
        file_limit.check(LAYOUT, hashed(10**6))
    assert "'kind': 'hashed', 'rows': 1000000" in str(error.value)


def test_a_large_float_file_is_told() -> None:
    [line] = Expected.of(CONFIG).words(LAYOUT, MODEL)
    assert line.startswith("the float file takes about 237 MB: user 2,000,002 rows")
    assert "`model: {table: {kind: hashed, rows: 300000}}`" in line
    assert not Expected.of(CONFIG).words(LAYOUT, hashed(300_000))
    assert not Expected.of(CONFIG).words(FeatureLayout.build([("user", 1, 1_000_000)]), MODEL)


@pytest.mark.parametrize(("limit", "told"), [("60M", True), ("100M", False)])
def test_a_gate_on_bytes_is_told_before_training(limit: str, told: bool) -> None:
    gates = {"max_bytes": {"60M": 60 * 2**20, "100M": 100 * 2**20}[limit]}
    config = CONFIG | {"compression": [QUANTIZE], "gates": gates}
    [line] = Expected.of(config).words(LAYOUT, MODEL)
    assert ("more than gates.max_bytes = 62.9 MB" in line) == told
    if told:  # 33 MB of vocabularies, 51 of rows of int8
        assert line.startswith("the shipped file takes about 84 MB")
        assert "layers 0.392 kB" in line
        assert "rows: 300000}}`, with which it takes about 38.1 MB" in line


@pytest.mark.parametrize(
    "change",
    [
        {"compression": [{"technique": "prune_rows", "keep": 0.9}]},
        {"training": {"warm_start": True}},
    ],
)
def test_what_needs_a_row_a_value_is_told_no_hashed_table(change: dict[str, Any]) -> None:
    [line] = Expected.of(CONFIG | change).words(LAYOUT, MODEL)
    assert "max_vocabulary" in line
    assert "hashed" not in line


def test_a_search_has_no_size_before_it_ran() -> None:
    config = CONFIG | {"compression": {"budget": {"bytes": "1M"}}, "gates": {"max_bytes": 10**6}}
    [line] = Expected.of(config).words(LAYOUT, MODEL)
    assert line.startswith("the float file")


def test_of_a_checkpoint() -> None:
    spec = {"layout": LAYOUT.to_dict(), "config": MODEL.model_dump(mode="json")}
    expected = Expected.of(CONFIG)
    assert expected.of_checkpoint(spec) == expected.words(LAYOUT, MODEL)
