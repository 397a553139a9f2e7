"""Judging epochs, setting the rate, and what TensorBoard is told of a training."""

from __future__ import annotations

import math
import pathlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.python.summary.summary_iterator import summary_iterator

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression.patterns import PruningScope
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.cluster import Clustering
from ranklite.models.compression.techniques.prune import Pruning
from ranklite.models.compression.techniques.quantize import Quantization
from ranklite.models.training import fit as training
from ranklite.models.training import telemetry
from ranklite.models.training.callbacks import Cosine, TrainingFailed, Validation
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.lazy_adam import LazyAdam
from ranklite.models.training.splits import Splits
from ranklite.models.training.task import RankingModel
from ranklite.models.training.telemetry import Telemetry


def epochs(aucs: list[float], *, best_from: int = 0, **changes: Any) -> tuple[Validation, Any]:
    """Runs a validation over epochs with these AUCs; its weights are the epoch's number."""
    config = TrainingConfig(**{"epochs": 10, "learning_rate": 0.1, "patience": 2, **changes})
    measured = iter(aucs)
    current = [0]
    callback = Validation(
        SimpleNamespace(get_weights=lambda: list(current), layers=[]),
        lambda: {"auc": next(measured), "log_loss": 0.5, "calibration": 1.0},
        config,
        rows=100,
        best_from=best_from,
    )
    rate = tf.Variable(config.learning_rate)
    model = SimpleNamespace(optimizer=SimpleNamespace(lr=rate), stop_training=False, seen=[])
    callback.set_model(model)
    for epoch in range(len(aucs)):
        current[0] = epoch
        callback.on_epoch_begin(epoch)
        logs: dict[str, float] = {"loss": 0.7}
        callback.on_epoch_end(epoch, logs)
        model.seen.append(logs)
        if model.stop_training:
            break
    return callback, model


def test_stops_after_patience_epochs_in_a_row_and_keeps_the_best() -> None:
    callback, model = epochs([0.6, 0.5, 0.7, 0.65, 0.7, 0.9])
    assert len(model.seen) == 5  # equal is not better
    assert (callback.best["auc"], callback.best_epoch, callback.weights) == (0.7, 2, [2])


def test_rate_falls_to_a_tenth_after_each_epoch_that_is_not_better() -> None:
    _, model = epochs([0.6, 0.5, 0.7, 0.65, 0.8], schedule="plateau")
    rates = [logs["learning_rate"] for logs in model.seen]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_constant_rate_stays() -> None:
    _, model = epochs([0.6, 0.5, 0.5], schedule="constant")
    assert [logs["learning_rate"] for logs in model.seen] == pytest.approx([0.1] * 3)


def test_epochs_before_the_first_that_may_be_best_only_report() -> None:
    callback, model = epochs([0.9, 0.8, 0.3, 0.2, 0.4], best_from=2)
    assert (callback.best_epoch, callback.best["auc"]) == (4, 0.4)
    assert [logs["val_auc"] for logs in model.seen] == [0.9, 0.8, 0.3, 0.2, 0.4]


def test_logs_hold_the_figures_of_the_epoch() -> None:
    callback, model = epochs([0.6])
    logs = model.seen[0]
    assert (logs["val_auc"], logs["val_log_loss"], logs["val_calibration"]) == (0.6, 0.5, 1.0)
    assert logs["rows_per_second"] == pytest.approx(100 / callback.train_seconds)


def test_undefined_auc_is_an_error_about_the_split() -> None:
    with pytest.raises(TrainingFailed, match="single label"):
        epochs([math.nan])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_loss_that_is_not_finite_is_an_error_at_once(loss: float) -> None:
    callback, _ = epochs([0.6, 0.7])
    callback.on_train_batch_end(0, {"loss": 0.7})
    text = rf"the loss became {loss} at step 4 of epoch 2: lower learning_rate \(it is 0\.1\)$"
    with pytest.raises(TrainingFailed, match=text):
        callback.on_train_batch_end(3, {"loss": loss})


def test_cosine_starts_at_the_rate_and_ends_near_zero() -> None:
    callback = Cosine(0.2, steps=4)
    callback.set_model(SimpleNamespace(optimizer=SimpleNamespace(lr=tf.Variable(0.0))))
    rates = []
    for step in range(4):
        callback.on_train_batch_begin(step)
        rates.append(float(keras.backend.get_value(callback.model.optimizer.lr)))
    expected = 0.1 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(16,), embedding_stddev=0.1)
SETTINGS = TrainingConfig(batch_size=256, epochs=2, learning_rate=0.05)


def events(folder: pathlib.Path) -> dict[str, dict[int, Any]]:
    """What a run's event files say: by tag and step, nothing twice; `graph` is a tag too."""
    result: dict[str, dict[int, Any]] = {}
    for file in sorted(folder.glob("events*")):
        for event in summary_iterator(str(file)):
            values = [(v.tag, tf.make_ndarray(v.tensor)) for v in event.summary.value]
            if event.graph_def:
                values.append(("graph", tf.compat.v1.GraphDef.FromString(event.graph_def)))
            for tag, value in values:
                assert event.step not in result.setdefault(tag, {}), (tag, event.step)
                result[tag][event.step] = value
    return result


def shown(model: keras.Model, folder: pathlib.Path, change: Any = None) -> dict[str, Any]:
    """The events of an epoch of three steps, in which `change()` happens."""
    callback = Telemetry(model, str(folder))
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for step in range(3):
        callback.on_train_batch_end(step, {})
    if change is not None:
        change()
    callback.on_epoch_end(0, {})
    callback.on_train_end()
    return events(folder / "train")


def test_zeros_and_histograms_are_shown_before_and_after(
    clicks: Any, tmp_path: pathlib.Path
) -> None:
    model = build_deepfm(clicks.layout, MODEL)
    layer = model.get_layer("tower_0")
    values = np.linspace(1.0, 2.0, layer.kernel.shape.num_elements(), dtype=np.float32)
    values[:12] = 0.0
    layer.kernel.assign(values.reshape(layer.kernel.shape))

    def change() -> None:
        layer.kernel.assign(np.where(values < 1.5, 0.0, 3.0).reshape(layer.kernel.shape))

    result = shown(model, tmp_path, change)
    share = {step: float(value) for step, value in result["sparsity/tower_0"].items()}
    assert share == pytest.approx({0: 12 / values.size, 1: np.mean(values < 1.5)})
    assert set(result["sparsity/embedding"]) == {0, 1}
    before, after = (result[layer.kernel.name.replace(":", "_")][step] for step in (0, 1))
    assert (before[0, 0], before[-1, 1]) == (0.0, 2.0)
    assert (before[0, 2], before[:, 2].sum()) == (12, values.size)
    assert (after[-1, 1], after[-1, 2]) == (3.0, np.sum(values >= 1.5))


def test_values_that_are_not_finite_are_left_out_of_a_histogram(
    clicks: Any, tmp_path: pathlib.Path
) -> None:
    model = build_deepfm(clicks.layout, MODEL)
    bias = model.get_layer("tower_0").bias
    bias.assign([np.nan, np.inf, *range(14)])
    assert shown(model, tmp_path)[bias.name.replace(":", "_")][0][:, 2].sum() == 14


@pytest.mark.parametrize(("steps", "expected"), [([5.0, 5.1, 5.3], 150.0), ([0.4], 400.0)])
def test_the_time_of_a_step_is_that_of_all_but_the_first(
    clicks: Any,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[float],
    expected: float,
) -> None:
    marks = iter([0.0, *steps])
    monkeypatch.setattr(telemetry, "time", SimpleNamespace(monotonic=lambda: next(marks)))
    model = build_deepfm(clicks.layout, MODEL)
    callback = Telemetry(model, str(tmp_path))
    callback.set_model(model)
    callback.on_epoch_begin(6)
    for step in range(len(steps)):
        callback.on_train_batch_end(step, {})
    callback.on_epoch_end(6, {})
    callback.on_train_end()
    assert events(tmp_path / "train")["step_ms"] == {7: pytest.approx(expected)}


def wrapped(clicks: Any, step: Any) -> keras.Model:
    """An untrained model, wrapped for the fine-tuning of a technique."""
    method = technique(step)
    splits = Splits(clicks.train, clicks.eval)
    parent = Checkpoint(training.build(clicks.layout, MODEL, SETTINGS), clicks.layout, MODEL)
    start = method.prepare(parent, splits, SETTINGS)
    model = method.wrap(start, 7)
    method.initialize(model, start, splits)
    return model


def test_ranges_of_a_quantized_model_are_shown(clicks: Any, tmp_path: pathlib.Path) -> None:
    model = wrapped(clicks, Quantization(technique="quantize"))
    ends = [v for v in model.variables if v.name.endswith(("_min:0", "_max:0"))]
    expected = {}
    for number, variable in enumerate(ends):
        variable.assign(float(number))
        layer, *_, name = variable.name.removesuffix(":0").split("/")
        tensor, end = name.rsplit("_", 1)
        layer = layer.removeprefix("quant_")
        expected[f"range_{end}/{layer}/{tensor}"] = {0: number, 1: number}
    result = shown(model, tmp_path)
    assert {tag: value for tag, value in result.items() if tag.startswith("range_")} == expected
    assert {"range_min/tower_0/kernel", "range_max/tower_0_relu/output"} <= set(expected)
    assert not {v.name.replace(":", "_") for v in ends} & set(result)  # of one number: no histogram


@pytest.mark.parametrize(
    "step",
    [
        Pruning(technique="prune", tower=PruningScope(sparsity=0.5)),
        Clustering(technique="cluster", clusters=4, embeddings=True),
        Quantization(technique="quantize", table="int8_per_row"),
    ],
    ids=lambda step: step.technique,
)
def test_every_wrapped_model_can_be_shown(clicks: Any, tmp_path: pathlib.Path, step: Any) -> None:
    result = shown(wrapped(clicks, step), tmp_path)
    assert {"sparsity/tower_0", "sparsity/tower_out", "sparsity/embedding"} <= set(result)


def test_gradient_norm_is_that_of_all_weights_and_leaves_sparse_gradients_sparse(
    clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_deepfm(clicks.layout, MODEL.model_copy(update={"dropout": 0.0}))
    batches = list(training.data.dataset(clicks.train, clicks.layout, 64).take(2))
    optimizer = LazyAdam(0.1)
    ranking = RankingModel(model)
    ranking.compile(optimizer)
    applied: list[Any] = []
    apply = optimizer.apply_gradients
    monkeypatch.setattr(
        optimizer,
        "apply_gradients",
        lambda pairs, **kwargs: apply(applied.append(list(pairs)) or applied[-1], **kwargs),
    )
    norms = []
    for features, labels in batches:
        with tf.GradientTape() as tape:
            logits = model(features, training=True)
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
        norms.append(math.sqrt(sum(float(np.sum(v.numpy().astype(float) ** 2)) for v in values)))
        logs = ranking.train_step((features, labels))
        assert float(logs["gradient_norm"]) == pytest.approx(np.mean(norms), rel=1e-5)
    assert norms[0] != pytest.approx(norms[1])
    sparse = {w.name for g, w in applied[0] if isinstance(g, tf.IndexedSlices)}
    assert sparse == {"embedding/embeddings:0", "linear/embeddings:0"}


def test_a_training_is_shown_whole_once_and_trains_as_without(
    clicks: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "HISTOGRAM_VALUES", 50 * MODEL.embedding_dim)  # of 83 rows
    weights = []
    for log_dir in (None, str(tmp_path)):
        model = training.build(clicks.layout, MODEL, SETTINGS)
        training.fit(model, clicks.layout, clicks.train, clicks.eval, SETTINGS, log_dir=log_dir)
        weights.append(model.get_weights())
    for plain, logged in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, logged)

    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    figures = ("loss", "learning_rate", "rows_per_second", "gradient_norm")
    for tag in [*(f"epoch_{name}" for name in figures), "step_ms"]:
        assert set(train[tag]) == {1, 2}, tag
        assert all(value > 0 for value in train[tag].values()), tag
    for tag in ("epoch_auc", "epoch_log_loss", "epoch_calibration"):
        assert set(validation[tag]) == {1, 2}, tag
    (graph,) = train["graph"].values()
    assert any("tower_0" in node.name for node in graph.node)
    for tag in ("sparsity/tower_0", "tower_0/kernel_0", "embedding/embeddings_0"):
        assert set(train[tag]) == {0, 1, 2}, tag
    assert train["embedding/embeddings_0"][2][:, 2].sum() == 50 * MODEL.embedding_dim
    assert len(list((tmp_path / "train").glob("events*"))) == 1
