"""Baselines: what each learns from small logs whose answer is known."""

from __future__ import annotations

import numpy as np

from ranklite.models.evaluation import baselines, metrics
from ranklite.models.features.layout import FeatureLayout

LAYOUT = FeatureLayout.build([("shop", 1, 3), ("tags", 2, 2)], ["price"])


def rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shop, tags = LAYOUT.field("shop"), LAYOUT.field("tags")
    ids = np.stack(
        [
            rng.integers(shop.offset, shop.offset + shop.rows, count),
            rng.integers(tags.offset, tags.offset + tags.rows, count),
            np.zeros(count, np.int64),  # padding
        ],
        axis=1,
    )
    return {"ids": ids, "numeric": rng.normal(size=(count, 1)).astype(np.float32)}


def test_the_constant_is_the_share_of_positives() -> None:
    made = baselines.scores(LAYOUT, rows(8), np.array([1, 0, 0, 0] * 2), rows(3))
    np.testing.assert_allclose(made["constant"], [0.25] * 3)


def test_a_logistic_regression_finds_main_effects_and_no_cross() -> None:
    train, judged = rows(4000), rows(1000, seed=1)
    known = {name: (r["ids"][:, 0] % 2) for name, r in (("train", train), ("judged", judged))}
    made = baselines.scores(LAYOUT, train, known["train"], judged)
    assert metrics.auc(known["judged"], made["logistic regression"]) > 0.99
    crossed = {
        name: ((r["ids"][:, 0] % 2 == 1) ^ (r["numeric"][:, 0] > 0)).astype(int)
        for name, r in (("train", train), ("judged", judged))
    }
    made = baselines.scores(LAYOUT, train, crossed["train"], judged)
    assert metrics.auc(crossed["judged"], made["logistic regression"]) < 0.7
    assert metrics.auc(crossed["judged"], made["boosted trees"]) > 0.95


def test_the_newest_rows_are_learned_from() -> None:
    labels = np.array([0] * 60 + [1, 0, 0, 0] * 10)
    made = baselines.scores(LAYOUT, rows(100), labels, rows(2), most=40)
    np.testing.assert_allclose(made["constant"], [0.25, 0.25])
