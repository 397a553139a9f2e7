"""Distillation: its loss by hand, what a student learns, what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression.distillation import UNLABELLED, DistillationModel
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.compression.techniques.distill import Distillation
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.training import data
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.steps import distill

pytestmark = pytest.mark.slow

TEACHER = DeepFMConfig(embedding_dim=8, hidden_units=(32, 16), dropout=0.0, embedding_stddev=0.1)
STUDENT = DeepFMConfig(embedding_dim=4, hidden_units=(8,), dropout=0.0, embedding_stddev=0.1)
SETTINGS = TrainingConfig(batch_size=128, epochs=4, learning_rate=0.02, oov_rate=0.0)
FEATURES = FeatureSet.model_validate(
    {
        "features": [{"kind": "categorical", "name": name} for name in ("user", "item")],
        "user": "user",
        "item": "item",
    }
)


def config(**changes: Any) -> Distillation:
    values = {"technique": "distill", "student": STUDENT.model_dump(), "epochs": 4}
    return Distillation.model_validate(
        {**values, "learning_rate": 0.02, "unlabelled": {"per_row": 1.0}, **changes}
    )


@pytest.fixture(scope="module")
def teachers(clicks: Any) -> list[Checkpoint]:
    trained = []
    for seed in (1, 2):
        settings = SETTINGS.model_copy(update={"seed": seed})
        model = training.build(clicks.layout, TEACHER, settings)
        metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, settings)
        trained.append(Checkpoint(model, clicks.layout, TEACHER, metrics))
    return trained


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("hard_weight", [0.0, 0.3, 1.0])
def test_loss_by_hand(hard_weight: float) -> None:
    layout = FeatureLayout.build([("user", 1, 3), ("item", 1, 3)])
    student = build_deepfm(layout, STUDENT)
    models = [build_deepfm(layout, TEACHER) for _ in range(2)]
    temperature = 2.0
    task = DistillationModel(
        student, models, config(hard_weight=hard_weight, temperature=temperature)
    )
    task.compile()
    features = {IDS: tf.constant([[3, 8], [4, 9], [5, 10]], tf.int64)}
    label = np.array([[1.0], [0.0], [UNLABELLED]], np.float32)
    z = student(features).numpy()
    t = np.mean([model(features).numpy() for model in models], axis=0)

    def entropy(p: Any, logit: Any) -> Any:
        return -p * np.log(sigmoid(logit)) - (1 - p) * np.log(1 - sigmoid(logit))

    soft = temperature**2 * entropy(sigmoid(t / temperature), z / temperature)
    hard = entropy(label[:2], z[:2])
    rows = [*(hard_weight * hard + (1 - hard_weight) * soft[:2]), soft[2]]
    loss = task.compute_loss((features, tf.constant(label)))
    assert float(loss) == pytest.approx(float(np.mean(rows)), rel=1e-5)
    assert {id(v) for v in task.trainable_variables} == {id(v) for v in student.trainable_variables}


def test_a_student_follows_its_teachers(clicks: Any, teachers: list[Checkpoint]) -> None:
    before = [teacher.model.get_weights() for teacher in teachers]
    splits = Splits(clicks.train, clicks.eval)
    settings = SETTINGS.model_copy(update={"ema": 0.5})
    student = distill(config(hard_weight=0.0), teachers, FEATURES, splits, settings)
    assert student.config == STUDENT
    assert student.metrics["teachers_auc"] > 0.7
    for teacher, weights in zip(teachers, before, strict=True):
        for one, two in zip(teacher.model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, two)
    scores, _ = training.predict(student.model, clicks.layout, clicks.eval)
    taught = np.mean(
        [training.predict(t.model, clicks.layout, clicks.eval)[0] for t in teachers], axis=0
    )
    assert np.corrcoef(scores, taught)[0, 1] > 0.9


def test_hidden_layers_are_drawn_together(clicks: Any, teachers: list[Checkpoint]) -> None:
    student = build_deepfm(clicks.layout, STUDENT)
    models = [teacher.model for teacher in teachers]
    features, label = next(iter(data.dataset(clicks.train, clicks.layout, 64)))
    losses = []
    for weight in (0.0, 1.0):
        task = DistillationModel(student, models, config(hidden_weight=weight))
        task.compile(training.LazyAdam(0.01))
        losses.append(float(task.compute_loss((features, label))))
        if weight:
            before = losses[-1]
            for _ in range(30):
                task.train_step((features, label))
            assert float(task.compute_loss((features, label))) < before
    assert losses[1] > losses[0]
    assert features[NUMERIC].shape[1] == 1


def test_what_is_refused(clicks: Any, teachers: list[Checkpoint]) -> None:
    splits = Splits(clicks.train, clicks.eval)
    with pytest.raises(NotCompressible, match="count of at least 1"):
        distill(config(), [], FEATURES, splits, SETTINGS)
    other = dataclasses.replace(teachers[1], layout=FeatureLayout.build([("user", 1, 3)]))
    with pytest.raises(NotCompressible, match="different Transform runs"):
        distill(config(), [teachers[0], other], FEATURES, splits, SETTINGS)
    nobody = FEATURES.model_copy(update={"user": None})
    with pytest.raises(NotCompressible, match="needs the keys `user` and `item`"):
        distill(config(), teachers, nobody, splits, SETTINGS)
