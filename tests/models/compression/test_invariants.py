"""What earlier steps left is kept by later ones, by themselves or by the shared fine-tuning."""

from __future__ import annotations

from typing import Any

import pytest
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression import fine_tuning
from ranklite.models.compression.invariants import Clusters, Zeros, left_by
from ranklite.models.compression.technique import Invariant, PostConditionFailed
from ranklite.models.compression.techniques.prune_units import PruneUnits, RemoveUnits
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

CONFIG = DeepFMConfig(embedding_dim=4, hidden_units=(8, 4), dropout=0.0)
TRAINING = TrainingConfig(batch_size=500, epochs=1)


class SmallBias(Invariant):
    """The bias of the first hidden layer is 0.25, whatever the gradients say."""

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps

    def callback(self, model: keras.Model) -> keras.callbacks.Callback:
        bias = model.get_layer("tower_0").bias
        given = bias if self._keeps else None

        def put_back(batch: int, logs: Any = None) -> None:
            if given is not None:
                given.assign(given * 0 + 0.25)

        return keras.callbacks.LambdaCallback(on_batch_end=put_back)

    def broken(self, before: keras.Model, after: keras.Model) -> str:
        values = set(after.get_layer("tower_0").bias.numpy().tolist())
        return "" if values == {0.25} else "the bias has moved"


@pytest.fixture
def parent(clicks: Any) -> Checkpoint:
    return Checkpoint(training.build(clicks.layout, CONFIG, TRAINING), clicks.layout, CONFIG)


def removed(parent: Checkpoint, clicks: Any) -> Checkpoint:
    step = PruneUnits(technique="prune_units", keep=1.0)
    splits = Splits(clicks.train, clicks.eval)
    return fine_tuning.compress(RemoveUnits(step), parent, splits, TRAINING)


def test_each_technique_says_what_it_leaves() -> None:
    left = left_by(("prune_units", "prune", "cluster"))
    assert {name: type(one) for name, one in left.items()} == {"zeros": Zeros, "clusters": Clusters}
    assert left_by(("distill", "quantize")) == {}


@pytest.mark.slow
def test_what_a_technique_does_not_keep_is_kept_for_it(
    parent: Checkpoint, clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert removed(parent, clicks).model.get_layer("tower_0").bias.numpy().ptp() > 0
    monkeypatch.setattr(fine_tuning, "left_by", lambda _: {"bias": SmallBias(keeps=True)})
    assert set(removed(parent, clicks).model.get_layer("tower_0").bias.numpy()) == {0.25}


@pytest.mark.slow
def test_what_was_not_kept_is_an_error(
    parent: Checkpoint, clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "left_by", lambda _: {"bias": SmallBias(keeps=False)})
    with pytest.raises(PostConditionFailed, match="the bias has moved"):
        removed(parent, clicks)


@pytest.mark.slow
def test_what_a_technique_keeps_by_itself_is_left_to_it(
    parent: Checkpoint, clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "left_by", lambda _: {"zeros": SmallBias(keeps=False)})
    assert "zeros" in RemoveUnits.keeps
    removed(parent, clicks)
