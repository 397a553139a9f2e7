"""How many models are held at a time: those of millions of rows take hundreds of megabytes each."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression import qat
from ranklite.models.compression.techniques.quantize import Quantization, Quantize
from ranklite.models.memory import give_back
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.steps import quantize

CONFIG = DeepFMConfig(embedding_dim=7, hidden_units=(8,))
TRAINING = TrainingConfig(batch_size=500, epochs=1)


@pytest.fixture
def nothing_by_itself() -> Iterator[None]:
    """Python frees no circle unless it is told to."""
    give_back()
    gc.disable()
    yield
    gc.enable()


def tables(rows: int) -> int:
    """How many tables are held, be it by an optimizer or by what nothing refers to."""
    held = [each for each in gc.get_objects() if isinstance(each, tf.Variable)]
    return sum(each.shape == (rows, CONFIG.embedding_dim) for each in held)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_by_itself")
def test_a_control_is_trained_beside_three_models(
    clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, held = clicks.layout.table_rows, dict[str, int]()
    train = qat.train_control

    def counted(technique: Quantize, form: Checkpoint, *rest: Any, **more: Any) -> Checkpoint:
        held["control"] = tables(rows)
        return train(technique, form, *rest, **more)

    monkeypatch.setattr(qat, "train_control", counted)
    parent = Checkpoint(build_deepfm(clicks.layout, CONFIG), clicks.layout, CONFIG)
    config, splits = Quantization(technique="quantize"), Splits(clicks.train, clicks.eval)
    model, control = quantize(config, parent, splits, TRAINING)
    assert model.metrics["chosen"] in ("calibrated", "trained")
    assert control.metrics["epochs"] == 1
    assert held["control"] == 3  # the parent, the form that rounds best, the quantized one
