"""What a search for settings may vary in a run, and what it refuses."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from ranklite.models.search_space import Choice, Range
from ranklite.pipeline.config.run_config import ConfigError, RunConfig, load_config

BASE = """name: mine
source: {files: "*.csv"}
label: y
split: {by: hash, eval: 0.1}
features:
  - {name: user, kind: categorical}
"""
ALL = [
    "model.embedding_dim",
    "model.hidden_units",
    "model.dropout",
    "model.batch_norm",
    "model.embedding_stddev",
    "training.learning_rate",
    "training.ridge",
]
GIVEN = "model: {embedding_dim: 8, hidden_units: [8], dropout: 0, batch_norm: false, "
GIVEN += "embedding_stddev: 0.1}\ntraining: {learning_rate: 0.01, ridge: 1}\n"


def load(folder: pathlib.Path, text: str) -> RunConfig:
    path = folder / "mine.yaml"
    path.write_text(BASE + text, encoding="utf-8")
    return load_config(str(path))


def choices(config: RunConfig, key: str) -> tuple[Any, ...]:
    values = config.search_space[key]
    assert isinstance(values, Choice)
    return values.values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tune: {}",
            r"yaml:7: tune: give `minutes`, `trials`, or both: the search ends with the f",
        ),
        ("tune: {minutes: 0}", r"yaml:7: tune.minutes = 0: input should be greater than 0"),
        ("tune: {trials: 1}", r"tune.trials = 1: input should be greater than or equal to 2"),
        ("tune: {minuts: 5}", r"tune.minuts: unknown key \(did you mean 'minutes'\?\); allowed: "),
        (
            f"{GIVEN}tune: {{trials: 9}}",
            (
                r"yaml:9: tune: every setting that it searches is given \(model.embedding_dim, .*"
                r"training.ridge\): leave one out, or name it in tune.keys"
            ),
        ),
        (
            "tune: {trials: 9, keys: [training.ridge, training.epochs]}",
            (
                r"yaml:7: tune.keys names 'training.epochs'; what can be searched is "
                "model.embedding_dim, .*training.learning_rate, training.ridge$"
            ),
        ),
        (
            "training: {warm_start: true}\ntune: {minutes: 5}",
            r"yaml:8: tune with training.warm_start: .* tune once, paste what was chosen",
        ),
        (
            "training: {strategy: multi_worker}\ntune: {minutes: 5}",
            r"tune with training.strategy 'multi_worker': trials train in one process",
        ),
        (
            "compression: [{technique: distill}, {technique: quantize}]\ntune: {minutes: 5}",
            r"tune with a recipe that distils: .* would not ship; tune without `distill`",
        ),
        (
            # The one kernel is 12 x 24; no other embedding_dim that is tried has a divisor of 12.
            (
                "model: {embedding_dim: 12, hidden_units: [24]}\ncompression: [{technique: prune, "
                "tower: {sparsity: 0.5, pattern: block, block_size: [12, 24]}}]\n"
                "tune: {trials: 5, keys: [model.embedding_dim]}"
            ),
            r"tune: of model.embedding_dim every value but the configured one is refused by the r",
        ),
    ],
)
def test_mistakes(text: str, message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_what_is_left_open_is_searched(tmp_path: pathlib.Path) -> None:
    assert load(tmp_path, "").search_space == {}
    assert list(load(tmp_path, "tune: {minutes: 5}").search_space) == ALL
    text = "model: {embedding_dim: 8}\ntraining: {ridge: 1, epochs: 3}\ntune: {trials: 7}"
    config = load(tmp_path, text)
    assert list(config.search_space) == [
        key for key in ALL if key not in ("model.embedding_dim", "training.ridge")
    ]
    assert config.search_space["training.learning_rate"] == Range(low=2e-4, high=2e-2, log=True)
    assert [64, 32] in choices(config, "model.hidden_units")
    assert "settings by a search of 7 trials -> float" in config.summary()


def test_a_key_that_is_named_starts_from_what_is_given(tmp_path: pathlib.Path) -> None:
    text = f"{GIVEN}tune: {{minutes: 5, keys: [training.ridge, model.embedding_dim]}}"
    config = load(tmp_path, text.replace("embedding_dim: 8", "embedding_dim: 12"))
    assert list(config.search_space) == ["model.embedding_dim", "training.ridge"]
    assert choices(config, "model.embedding_dim") == (12, 4, 8, 16, 32)


def test_a_family_has_settings_of_its_own(tmp_path: pathlib.Path) -> None:
    config = load(tmp_path, "model: {family: dcn_v2}\ntune: {minutes: 5}")
    assert choices(config, "model.cross_layers") == (1, 2, 3, 4)
    assert "model.cross_layers" not in load(tmp_path, "tune: {minutes: 5}").search_space


def test_what_the_run_would_refuse_is_left_out(tmp_path: pathlib.Path) -> None:
    config = load(tmp_path, "training: {batch_size: 4}\ntune: {minutes: 5}")
    assert "model.batch_norm" not in config.search_space  # statistics of four rows are noise
    config = load(tmp_path, "model: {table: {kind: low_rank, rank: 8}}\ntune: {minutes: 5}")
    assert choices(config, "model.embedding_dim") == (16, 32)
    blocks = "[{technique: prune, tower: {sparsity: 0.5, pattern: block, block_size: [16, 16]}}]"
    config = load(tmp_path, f"compression: {blocks}\ntune: {{minutes: 5}}")
    assert choices(config, "model.embedding_dim") == (16, 32)  # rows of tower_0
    assert [64, 32] in choices(config, "model.hidden_units")


def test_what_is_written_searches_the_same(tmp_path: pathlib.Path) -> None:
    """A dumped configuration has a value for every key: pages, Kubeflow, `model.json`."""
    config = load(tmp_path, "model: {embedding_dim: 8}\ntune: {minutes: 5}")
    dumped = json.loads(json.dumps(config.model_dump(mode="json")))
    assert dumped["tune"]["keys"] == ALL[1:]
    again = RunConfig.model_validate(dumped)
    assert again.search_space == config.search_space
    assert again.model_dump(mode="json") == dumped
    assert load(tmp_path, "").model_dump(mode="json")["tune"] is None
