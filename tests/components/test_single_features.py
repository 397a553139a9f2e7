"""A column that knows the outcome is refused, from the Examples of a log to the verdict."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ranklite.components.file_validator import single_features
from ranklite.models.evaluation import leaks
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.features.examples import read_records
from ranklite.models.features.feature_set import FeatureSet

WriteExamples = Callable[[pathlib.Path, dict[str, Any]], str]
FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "item", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "dtype": "int64", "max_length": 2},
            {"kind": "numeric", "name": "seconds"},
        ]
    }
)


def split(rows: int, seed: int, seconds: str) -> dict[str, Any]:
    """A log in which items differ in their clicks, and a column that may know them."""
    random = np.random.default_rng(seed)
    item = random.integers(0, 50, rows)
    label = random.random(rows) < 0.2 + 0.6 * (item % 2)
    known = {
        "honest": random.exponential(9, rows),
        "leaks": np.where(label, 60, 5) + random.normal(size=rows),
        # Counted over the whole log, the row's own click among them.
        "totals": 3 * label + random.normal(size=rows) if seed == 1 else random.normal(size=rows),
    }
    return {
        "item": item[:, None],
        "tags": np.stack([item % 7, item % 3], 1),
        "seconds": known[seconds].astype("f4")[:, None],
        "label": label.astype("f4")[:, None],
    }


def judged(folder: pathlib.Path, write: WriteExamples, seconds: str) -> tuple[list[Any], list[str]]:
    """Verdicts and warnings of a log whose column of seconds is one of the above."""
    train = [write(folder / f"train-{k}.gz", split(3000, 1, seconds)) for k in range(2)]
    test = read_records([write(folder / "test.gz", split(1000, 2, seconds))])
    alone = single_features.measure(FEATURES, train, test)
    limit = GatesConfig().max_single_feature_auc
    return leaks.verdicts(limit, alone["judged"]), leaks.warnings(limit, **alone, split="test")


@pytest.mark.fault("a feature is a copy of the label", "not pushed, and named")
def test_a_planted_leak_is_refused(tmp_path: pathlib.Path, write_examples: WriteExamples) -> None:
    [verdict], [sentence] = judged(tmp_path, write_examples, "leaks")
    assert (verdict.passed, verdict.value, verdict.detail) == (False, 1.0, "seconds")
    assert sentence.startswith("seconds alone separates the labels of the test split with AUC 1.0")


def test_the_same_log_without_it_passes(
    tmp_path: pathlib.Path, write_examples: WriteExamples
) -> None:
    [verdict], warned = judged(tmp_path, write_examples, "honest")
    assert (verdict.passed, verdict.detail, warned) == (True, "", [])
    assert 0.75 < verdict.value < 0.85  # the item, by its clicks in other rows: 0.8


def test_totals_of_the_train_rows_are_warned_of(
    tmp_path: pathlib.Path, write_examples: WriteExamples
) -> None:
    [verdict], [sentence] = judged(tmp_path, write_examples, "totals")
    assert verdict.passed
    assert sentence.startswith("seconds alone has AUC 0.98")


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_sample_is_the_same_however_the_rows_are_read(size: int) -> None:
    rows = [b"%d" % k for k in range(1000)]
    batches = [rows[k : k + size] for k in range(0, 1000, size)]
    kept = single_features.sample(batches, 100)
    assert len(kept) == 100
    assert kept == sorted(kept, key=int)
    assert kept == single_features.sample([rows], 100)
    assert 400 < np.mean([int(row) for row in kept]) < 600
    assert single_features.sample(batches, 1000) == rows
