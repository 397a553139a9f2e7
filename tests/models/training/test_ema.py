"""The moving average of the weights against the one that touches every row in every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.features.layout import IDS, FeatureLayout
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.ema import WeightAverage
from ranklite.models.training.lazy_adam import LazyAdam
from ranklite.models.training.task import RankingModel

LAYOUT = FeatureLayout.build([("user", 1, 20), ("item", 1, 10)])
CONFIG = DeepFMConfig(embedding_dim=3, hidden_units=(8,), embedding_stddev=0.1)
DECAY = 0.8


# As many stored rows as there are ids, which do not index them: a rule between them does.
RULE = {"kind": "hashed", "rows": LAYOUT.table_rows - 5}


@pytest.mark.parametrize("table", [{"kind": "full"}, RULE], ids=["full", "hashed"])
def test_equals_the_dense_average(table: dict[str, Any]) -> None:
    config = DeepFMConfig.model_validate({**CONFIG.model_dump(), "table": table})
    model = build_deepfm(LAYOUT, config)
    assert model.get_layer("embedding").input_dim == LAYOUT.table_rows
    average = WeightAverage(model, DECAY, LAYOUT.table_rows)
    ranking = RankingModel(model, average)
    ranking.compile(LazyAdam(0.05))
    expected = model.get_weights()
    random = np.random.default_rng(0)
    for step in range(1, 13):
        ids = np.stack([random.integers(1, 6, 4), random.integers(25, 30, 4)], axis=1)
        labels = random.integers(0, 2, (4, 1)).astype(np.float32)
        ranking.train_on_batch({IDS: tf.constant(ids)}, labels)
        rate = min(DECAY, (1 + step) / (10 + step))
        expected = [
            rate * before + (1 - rate) * now
            for before, now in zip(expected, model.get_weights(), strict=True)
        ]
    for one, two, now in zip(average.weights(), expected, model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
        assert (two != now).any()  # the average is not the weight itself


def test_what_fit_measures_and_keeps_is_the_average(clicks: Any) -> None:
    settings = TrainingConfig(batch_size=128, epochs=3, learning_rate=0.02, schedule="constant")
    figures, weights = {}, {}
    for ema in (0.0, 0.9):
        config = settings.model_copy(update={"ema": ema})
        model = training.build(clicks.layout, CONFIG, config)
        figures[ema] = training.fit(model, clicks.layout, clicks.train, clicks.eval, config)
        weights[ema] = model.get_weights()
        measured = training.evaluate(model, clicks.layout, clicks.eval)
        assert measured["auc"] == pytest.approx(figures[ema]["auc"], abs=1e-6)
    assert figures[0.9]["auc"] != figures[0.0]["auc"]
    assert any((a != b).any() for a, b in zip(weights[0.0], weights[0.9], strict=True))


def test_several_replicas_are_refused() -> None:
    with pytest.raises(ValueError, match="set ema to 0 or strategy to none"):
        TrainingConfig(ema=0.9, strategy="mirrored")
