"""Training on a small log with a known signal in it."""

from __future__ import annotations

import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.evaluation import metrics
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(16,), embedding_stddev=0.1)


def settings(**changes: Any) -> TrainingConfig:
    return TrainingConfig(
        **{"batch_size": 256, "epochs": 3, "learning_rate": 0.05, "oov_rate": 0.0, **changes}
    )


def run(clicks: Any, **changes: Any) -> tuple[keras.Model, dict[str, float]]:
    config = settings(**changes)
    model = training.build(clicks.layout, MODEL, config)
    return model, training.fit(model, clicks.layout, clicks.train, clicks.eval, config)


@pytest.fixture(scope="module")
def trained(clicks: Any) -> tuple[keras.Model, dict[str, float]]:
    return run(clicks, epochs=8)


def test_learns_and_reports_what_the_weights_that_stay_do(
    clicks: Any, trained: tuple[keras.Model, dict[str, float]]
) -> None:
    model, result = trained
    untrained = training.build(clicks.layout, MODEL, settings())
    start = training.evaluate(untrained, clicks.layout, clicks.eval)
    assert result["auc"] > 0.75 > start["auc"] + 0.1
    assert result["log_loss"] < start["log_loss"]
    again = training.evaluate(model, clicks.layout, clicks.eval)
    assert {name: result[name] for name in again} == again
    assert result["steps"] == result["epochs"] * (2000 // 256)
    assert 1 <= result["best_epoch"] <= result["epochs"] <= 8
    assert result["rows_per_second"] > 0


def test_scores_come_in_the_order_of_the_rows(
    clicks: Any, trained: tuple[keras.Model, dict[str, float]]
) -> None:
    model, result = trained
    scores, labels = training.predict(model, clicks.layout, clicks.eval)
    assert scores.shape == labels.shape == (600,)
    assert scores.dtype == np.float32
    assert metrics.auc(labels, scores) == result["auc"]
    with pytest.raises(ValueError, match="no files to read"):
        training.predict(model, clicks.layout, [])


def test_same_seed_gives_equal_weights(clicks: Any) -> None:
    first, second = (
        run(clicks, epochs=2, seed=1, oov_rate=0.1, embedding_l2=0.01)[0].get_weights()
        for _ in range(2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    one, two = (
        training.build(clicks.layout, MODEL, settings(seed=seed)).get_layer("embedding")
        for seed in (1, 2)
    )
    assert not np.array_equal(one.get_weights()[0], two.get_weights()[0])


def test_penalty_makes_embeddings_smaller(
    clicks: Any, trained: tuple[keras.Model, dict[str, float]]
) -> None:
    penalized, _ = run(clicks, epochs=8, embedding_l2=0.1)
    norms = [
        float(np.linalg.norm(model.get_layer("embedding").get_weights()[0]))
        for model in (penalized, trained[0])
    ]
    assert norms[0] < 0.8 * norms[1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_each_precision_trains_and_becomes_a_plain_float32_model(
    clicks: Any, trained: tuple[keras.Model, dict[str, float]], precision: str
) -> None:
    model, result = run(clicks, precision=precision, epochs=8)
    assert keras.mixed_precision.global_policy().name == "float32"
    assert model.get_layer("tower_0").compute_dtype == precision
    assert result["auc"] == pytest.approx(trained[1]["auc"], abs=0.01)
    plain = training.as_float32(model, clicks.layout, MODEL)
    assert {layer.compute_dtype for layer in plain.layers if layer.weights} == {"float32"}
    for ours, theirs in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert training.evaluate(plain, clicks.layout, clicks.eval)["auc"] == pytest.approx(
        result["auc"], abs=0.01
    )


class Spoil(keras.callbacks.Callback):
    """Turns the weights to noise after a given epoch."""

    def __init__(self, model: keras.Model, epoch: int) -> None:
        super().__init__()
        self._logits, self._epoch = model, epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch >= self._epoch:
            noise = np.random.default_rng(epoch)
            self._logits.set_weights([noise.random(w.shape) for w in self._logits.get_weights()])


class Rates(keras.callbacks.Callback):
    """Notes the learning rate of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(float(keras.backend.get_value(self.model.optimizer.lr)))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.05] * 21),
        ("plateau", [0.05] * 14 + [0.005] * 7),  # the second epoch was worse
        ("cosine", [0.025 * (1 + math.cos(math.pi * step / 21)) for step in range(21)]),
    ],
)
def test_every_step_has_the_rate_of_its_schedule(
    clicks: Any, schedule: str, expected: list[float]
) -> None:
    config = settings(schedule=schedule)  # 3 epochs of 2000 // 256 = 7 steps
    model = training.build(clicks.layout, MODEL, config)
    rates = Rates()
    spoil = Spoil(model, 1)
    training.fit(model, clicks.layout, clicks.train, clicks.eval, config, callbacks=[rates, spoil])
    assert rates.seen == pytest.approx(expected)


def test_best_epoch_comes_back(clicks: Any) -> None:
    config = settings(epochs=9, patience=2)
    model = training.build(clicks.layout, MODEL, config)
    spoil = [Spoil(model, 2)]
    result = training.fit(model, clicks.layout, clicks.train, clicks.eval, config, callbacks=spoil)
    assert (result["epochs"], result["best_epoch"]) == (4, 2)  # two good, two worse
    assert result["auc"] > 0.7
    assert training.evaluate(model, clicks.layout, clicks.eval)["auc"] == result["auc"]


def test_one_small_step_with_a_given_optimizer_and_the_last_weights(clicks: Any) -> None:
    config = settings(epochs=2, batch_size=4096, schedule="cosine", oov_rate=0.1)
    model = training.build(clicks.layout, MODEL, config)
    before = model.get_layer("embedding").get_weights()[0]
    result = training.fit(
        model,
        clicks.layout,
        clicks.train,
        clicks.eval,
        config,
        callbacks=[Spoil(model, 1)],
        keep_best=False,
        optimizer=keras.optimizers.legacy.SGD(0.0),
    )
    assert (result["steps"], result["best_epoch"]) == (2, 2)
    assert (before != model.get_layer("embedding").get_weights()[0]).all()  # spoiled, not best
    assert training.evaluate(model, clicks.layout, clicks.eval)["auc"] == result["auc"]


@pytest.mark.fault(
    "a loss becomes NaN or infinite", "stopped at its step, with the rate and the suspects"
)
def test_a_loss_that_is_not_finite_stops(clicks: Any) -> None:
    config = settings()
    model = training.build(clicks.layout, MODEL, config)
    layer = model.get_layer("tower_out")
    layer.set_weights([w * np.nan for w in layer.get_weights()])
    with pytest.raises(training.TrainingFailed, match=r"step 1 of .* learning_rate .*0\.05"):
        training.fit(model, clicks.layout, clicks.train, clicks.eval, config)


def poisoned(clicks: Any, write: Any, folder: pathlib.Path, x: float) -> list[str]:
    """The train split, a number of one row of it replaced."""
    rows, labels, _ = transformed_inputs(read_records(clicks.train), clicks.layout, [])
    numeric = np.array(rows["numeric"])
    numeric[100, 0] = x
    label = np.reshape(labels, (-1, 1)).astype(np.float32)
    return [write(folder / "poisoned.gz", {**rows, "numeric": numeric, "label": label})]


@pytest.mark.parametrize(
    ("x", "cause"),
    [
        (math.nan, "x is not finite in rows of the train split: look at its values in the log"),
        (1e25, "the largest numbers of the train split are, as the model reads them, x 1e+25"),
    ],
)
def test_where_the_loss_is_not_finite_the_number_is_named(
    clicks: Any, write_examples: Any, tmp_path: pathlib.Path, x: float, cause: str
) -> None:
    config = settings()
    train = poisoned(clicks, write_examples, tmp_path, x)
    model = training.build(clicks.layout, MODEL, config)
    where = r"the loss became (nan|inf) at step [1-7] of epoch 1: lower learning_rate \(it is 0.05"
    with pytest.raises(training.TrainingFailed, match=where) as failed:
        training.fit(model, clicks.layout, train, clicks.eval, config)
    assert str(failed.value).endswith(f"; {cause}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        {"technique": "prune", "tower": {"sparsity": 0.5}},
        {"technique": "quantize"},
        {"technique": "distill", "teachers": 1},
    ],
)
def test_so_is_it_in_a_fine_tuning(
    clicks: Any,
    trained: tuple[keras.Model, dict[str, float]],
    write_examples: Any,
    tmp_path: pathlib.Path,
    step: dict[str, Any],
) -> None:
    model, figures = trained
    checkpoint = Checkpoint(model, clicks.layout, MODEL, figures)
    train = poisoned(clicks, write_examples, tmp_path, math.nan)
    setting = Setting(None, Splits(train, clicks.eval), settings(), [checkpoint])
    with pytest.raises(training.TrainingFailed, match=r"the loss became nan .* x is not finite in"):
        apply(from_json(json.dumps(step)), checkpoint, setting)


def test_scores_that_are_no_numbers_end_a_training(clicks: Any) -> None:
    """The loss of a step is that before its update: the last one of an epoch shows in none."""

    class Break(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            model.set_weights([weight * np.nan for weight in model.get_weights()])

    config = settings(epochs=1)
    model = training.build(clicks.layout, MODEL, config)
    with pytest.raises(training.TrainingFailed, match="not finite after the last step of epoch 1"):
        training.fit(model, clicks.layout, clicks.train, clicks.eval, config, callbacks=[Break()])


def test_useless_splits_are_named(
    clicks: Any,
    tmp_path: pathlib.Path,
    write_examples: Callable[[pathlib.Path, dict[str, Any]], str],
) -> None:
    config = settings()
    model = training.build(clicks.layout, MODEL, config)
    empty = write_examples(tmp_path / "empty.gz", {"ids": [], "label": []})
    with pytest.raises(training.TrainingFailed, match=r"train split has no rows: .*empty\.gz"):
        training.fit(model, clicks.layout, [empty], clicks.eval, config)
    with pytest.raises(ValueError, match=r"no rows to score in .*empty\.gz"):
        training.predict(model, clicks.layout, [empty])


TWO_REPLICAS = """
import sys
import numpy as np
import ranklite.models
import tensorflow as tf
import tf_keras as keras
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # by default it takes GPUs only
tf.distribute.MirroredStrategy = lambda: mirrored
from ranklite.models.training import fit as training
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.training.config import TrainingConfig
from ranklite.models.features.layout import FeatureLayout

layout = FeatureLayout.build([("user", 1, 40), ("item", 1, 30), ("tags", 3, 6)], ["x"])
config = DeepFMConfig(
    embedding_dim=4, hidden_units=(8,), dropout=0.0, batch_norm=False, embedding_stddev=0.1
)
weights, norms = [], []
for name in ("none", "mirrored"):
    settings = TrainingConfig(
        strategy=name, batch_size=256, epochs=2, learning_rate=0.02, oov_rate=0.0,
        embedding_l2=0.01,
    )
    model = training.build(layout, config, settings)
    assert model.distribute_strategy.num_replicas_in_sync == (2 if name == "mirrored" else 1)
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: norms.append(logs["gradient_norm"])
    )
    result = training.fit(
        model, layout, sys.argv[1:3], sys.argv[3:], settings, callbacks=[note]
    )
    plain = training.as_float32(model, layout, config)
    assert training.evaluate(plain, layout, sys.argv[3:])["auc"] == result["auc"]
    weights.append(plain.get_weights())
for one, two in zip(*weights, strict=True):
    np.testing.assert_allclose(one, two, atol=2e-3)
np.testing.assert_allclose(norms[:2], norms[2:], rtol=1e-2)
"""


@pytest.mark.e2e  # a process of its own: devices are split before TensorFlow starts
def test_two_replicas_train_the_same_model_as_one(clicks: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS, *clicks.train, *clicks.eval],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("spec", "task", "chief"),
    [
        ({}, (None, None), True),
        ({"worker": ["a:1", "b:1"]}, ("worker", 0), True),
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("worker", 0), False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("chief", 0), True),
    ],
)
def test_one_process_of_a_cluster_is_its_chief(spec: Any, task: Any, chief: bool) -> None:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(spec), task_type=task[0], task_id=task[1]
    )
    model = SimpleNamespace(distribute_strategy=SimpleNamespace(cluster_resolver=resolver))
    assert training.is_chief(model) == chief


def test_without_a_cluster_every_process_is_its_chief(
    trained: tuple[keras.Model, dict[str, float]],
) -> None:
    assert training.is_chief(trained[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 2}, "workers 2 with strategy 'none': it goes with strategy 'multi_worker'"),
        ({"shard_tables": True, "strategy": "mirrored"}, "shard_tables True with .*'mirrored'"),
        ({"shard_tables": True, "warm_start": True}, "shard_tables with warm_start"),
        ({"shard_tables": True, "precision": "float16"}, "set precision to 'bfloat16'"),
    ],
)
def test_what_workers_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**{"strategy": "multi_worker" if len(changes) == 2 else "none", **changes})
