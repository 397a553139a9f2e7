"""Pruning of weights by Taylor importance and after L1 training, and of whole units."""

from __future__ import annotations

import itertools
import math
import pathlib
import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression.config import CompressionStep
from ranklite.models.compression.fine_tuning import compress
from ranklite.models.compression.invariants import masks
from ranklite.models.compression.l1 import SoftThreshold
from ranklite.models.compression.patterns import PruningScope, holds_two_of_four
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.compression.sparsity import prunable_weights, sparsity
from ranklite.models.compression.taylor import TaylorAdam, TaylorMasks, keep_mask
from ranklite.models.compression.technique import PostConditionFailed
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.prune import Prune, Pruning
from ranklite.models.compression.techniques.prune_units import PruneUnits, RemoveUnits
from ranklite.models.compression.techniques.quantize import Quantization
from ranklite.models.compression.units import keep_units, norm_importance, taylor_importance
from ranklite.models.export import tflite_convert as export
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.steps import quantize

STEP: TypeAdapter[Any] = TypeAdapter(CompressionStep)
HALF = PruningScope(sparsity=0.5)
LAYOUT = FeatureLayout.build([("user", 1, 8), ("item", 1, 8)], ["price"])
NO_NUMERIC = FeatureLayout.build([("user", 1, 8), ("item", 1, 8)], [])
TRAINING = TrainingConfig(batch_size=128, oov_rate=0.0)
ROWS = 512


def config(*units: int, batch_norm: bool = True) -> DeepFMConfig:
    return DeepFMConfig(embedding_dim=4, hidden_units=units, dropout=0.0, batch_norm=batch_norm)


def rows(count: int, seed: int) -> tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Inputs and labels of a rule that a DeepFM can learn."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 8, (2, count))
    offsets = [LAYOUT.field(name).offset + 2 for name in ("user", "item")]
    price = rng.normal(0, 1, (count, 1)).astype(np.float32)
    logit = np.where((user + item) % 2, 1.5, -1.5) + price[:, 0]
    label = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return {"ids": np.column_stack([user, item]) + offsets, "numeric": price}, label


def write(path: pathlib.Path, seed: int) -> str:
    inputs, labels = rows(ROWS, seed)
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for ids, price, label in zip(inputs["ids"], inputs["numeric"], labels, strict=True):
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend(ids)
            example.features.feature["numeric"].float_list.value.extend(price)
            example.features.feature["label"].float_list.value.append(label)
            writer.write(example.SerializeToString())
    return str(path)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("data")
    return Splits([write(folder / "train.gz", 1)], [write(folder / "eval.gz", 2)])


def parent(settings: DeepFMConfig, layout: FeatureLayout = LAYOUT) -> Checkpoint:
    """A float model that no initial value makes special."""
    tf.random.set_seed(3)
    model = build_deepfm(layout, settings)
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
        elif layer.get_weights():
            layer.set_weights([rng.normal(0, 0.4, w.shape) for w in layer.get_weights()])
    return Checkpoint(model, layout, settings)


def scores(checkpoint: Checkpoint, inputs: dict[str, Any]) -> np.ndarray[Any, Any]:
    return tf.sigmoid(checkpoint.model(inputs)).numpy()[:, 0]


def shipped_kernels(content: bytes) -> dict[tuple[int, ...], np.ndarray[Any, Any]]:
    """Float matrices of a TFLite file by their shape, [units, inputs] for a dense layer."""
    interpreter = LiteModel(content)._interpreter
    result = {}
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] == np.float32 and len(detail["shape"]) == 2:
            try:
                result[tuple(detail["shape"])] = interpreter.get_tensor(detail["index"])
            except ValueError:  # computed, not stored
                continue
    return result


# ---------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"embeddings": HALF, "importance": "taylor"}, "'taylor' goes with `tower` alone"),
        ({"embeddings": HALF, "tower": HALF, "l1": 0.1}, "l1 goes with `tower` alone"),
        (
            {"embeddings": {"sparsity": 0.5, "pattern": "2:4"}},
            "pattern '2:4' goes with `tower` alone",
        ),
        (
            {"embeddings": {"sparsity": 0.5, "pattern": "block", "block_size": [2, 4]}},
            r"block_size \[2, 4\]: rows of a table are no neighbours",
        ),
        ({"tower": HALF, "l1_epochs": 2}, "l1_epochs is 2, but l1 is 0"),
        ({"tower": HALF, "l1": -1.0}, "greater than or equal to 0"),
        ({"tower": HALF, "l1": 1.0, "l1_epochs": 0}, "greater than or equal to 1"),
        ({"tower": HALF, "importance": "norm"}, "'magnitude' or 'taylor'"),
        ({"tower": HALF, "schedule": "linear"}, "'polynomial' or 'constant'"),
    ],
)
def test_illegal_combinations_of_pruning(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        STEP.validate_python({"technique": "prune", **step})


@pytest.mark.parametrize(
    "step",
    [
        Pruning(technique="prune", tower=HALF, importance="taylor", schedule="constant", l1=0.1),
        Pruning(technique="prune", embeddings=HALF, schedule="constant"),
        PruneUnits(technique="prune_units", keep=1.0),
        PruneUnits(technique="prune_units", hidden_units=(8, 4), importance="taylor"),
    ],
)
def test_legal_steps_survive_json(step: Pruning | PruneUnits) -> None:
    assert STEP.validate_json(step.model_dump_json()) == step


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({}, "keep None and hidden_units None: give exactly one"),
        ({"keep": 0.5, "hidden_units": [8]}, r"keep 0.5 and hidden_units \(8,\): give exactly one"),
        ({"keep": 0.0}, "greater than 0"),
        ({"keep": 1.1}, "less than or equal to 1"),
        ({"hidden_units": []}, "at least 1 item"),
        ({"hidden_units": [8, 0]}, "greater than or equal to 1"),
        ({"keep": 0.5, "importance": "magnitude"}, "'norm' or 'taylor'"),
    ],
)
def test_wrong_prune_units(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        STEP.validate_python({"technique": "prune_units", **step})


# ------------------------------------------------------------------------ importance of weights


def test_masks_by_hand() -> None:
    small = np.array([[6, 1, 5], [2, 4, 3]], np.float32)
    np.testing.assert_array_equal(keep_mask(small, HALF, 0.5), [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(keep_mask(small, HALF, 0.99), [[1, 0, 0], [0, 0, 0]])

    fours = np.array([[4, 1], [3, 2], [1, 3], [2, 0], [9, 9], [0, 0], [8, 0], [0, 1]], np.float32)
    two_of_four = PruningScope(sparsity=0.5, pattern="2:4")
    np.testing.assert_array_equal(
        keep_mask(fours, two_of_four, 0.0),
        [[1, 0], [1, 1], [0, 1], [0, 0], [1, 1], [0, 0], [1, 0], [0, 1]],
    )

    pairs = np.array([[5, 0, 3, 3], [2, 2, 1, 7]], np.float32)  # sums 5, 6, 4, 8
    block = PruningScope(sparsity=0.5, pattern="block", block_size=(1, 2))
    np.testing.assert_array_equal(keep_mask(pairs, block, 0.5), [[0, 0, 1, 1], [0, 0, 1, 1]])


def test_taylor_importance_by_hand_and_sparse_gradients_stay_sparse() -> None:
    kernel, table = tf.Variable([[2.0, -3.0, 5.0]]), tf.Variable(tf.ones([4, 2]))
    optimizer = TaylorAdam({"kernel": kernel}, learning_rate=0.1)
    row = tf.IndexedSlices(tf.ones([1, 2]), tf.constant([2]), tf.constant([4, 2]))
    optimizer.apply_gradients([(tf.constant([[1.0, 2.0, 0.0]]), kernel), (row, table)])
    first = np.array([[4.0, 36.0, 0.0]]) * 0.01  # of the weights before the step
    np.testing.assert_allclose(optimizer.importance["kernel"], first, rtol=1e-5)
    np.testing.assert_allclose(kernel, [[1.9, -3.1, 5.0]], rtol=1e-5)  # Adam's first step
    optimizer.apply_gradients([(tf.constant([[0.0, 0.0, 1.0]]), kernel), (row, table)])
    np.testing.assert_allclose(optimizer.importance["kernel"], [[0.0396, 0.3564, 0.25]], rtol=1e-5)
    assert list(optimizer.importance) == ["kernel"]
    np.testing.assert_array_equal((table.numpy() != 1).any(axis=1), [0, 0, 1, 0])


def test_a_masked_weight_never_comes_back() -> None:
    model = build_deepfm(NO_NUMERIC, config(1, batch_norm=False))
    kernel = prunable_weights(model)["tower_0"]  # [8, 1]
    kernel.assign(tf.ones([8, 1]))
    importance = tf.Variable(np.arange(8, dtype=np.float32)[:, None])
    ramp = tfmot.sparsity.keras.PolynomialDecay(
        0.0, 0.5, begin_step=0, end_step=2, power=1, frequency=1
    )
    callback = TaylorMasks(model, {"tower_0": HALF}, lambda scope, steps: ramp)
    optimizer = types.SimpleNamespace(importance={"tower_0": importance})
    callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    callback.set_params({"steps": 3})
    callback.on_train_begin()

    callback.on_train_batch_end(0)  # sparsity 0.25
    np.testing.assert_array_equal(kernel.numpy()[:, 0], [0, 0, 1, 1, 1, 1, 1, 1])
    importance.assign(importance[::-1])
    kernel.assign(tf.ones([8, 1]))
    callback.on_train_batch_end(1)  # 0.5: the first two would be the best by now
    np.testing.assert_array_equal(kernel.numpy()[:, 0], [0, 0, 1, 1, 1, 1, 0, 0])
    importance.assign(tf.zeros([8, 1]))
    kernel.assign(tf.ones([8, 1]))
    callback.on_train_batch_end(2)  # after the ramp
    np.testing.assert_array_equal(kernel.numpy()[:, 0], [0, 0, 1, 1, 1, 1, 0, 0])


def test_schedules_by_hand() -> None:
    settings = {"technique": "prune", "tower": {"sparsity": 0.8}, "epochs": 2, "ramp": 0.5}
    growing = Prune(Pruning.model_validate(settings))
    constant = Prune(Pruning.model_validate({**settings, "schedule": "constant"}))

    taylor = Prune(
        Pruning.model_validate({**settings, "schedule": "constant", "importance": "taylor"})
    )

    def at(prune: Prune, step: int, steps_per_epoch: int = 10) -> tuple[bool, float]:
        due, share = prune._schedule(PruningScope(sparsity=0.8), steps_per_epoch)(step)
        return bool(due), float(share)

    assert [at(growing, t) for t in (0, 5, 10)] == [
        (True, 0.0),
        (True, pytest.approx(0.8 * (1 - 0.5**3))),
        (True, pytest.approx(0.8)),
    ]
    assert [at(constant, t) for t in (0, 10)] == [(True, pytest.approx(0.8))] * 2
    assert not at(constant, 11)[0]
    assert not at(growing, 11)[0]
    assert [at(taylor, t)[0] for t in (0, 4, 5, 10, 11)] == [False, False, True, True, False]
    assert [at(taylor, t, steps_per_epoch=900)[0] for t in (99, 100)] == [False, True]


def test_the_schedule_reaches_tfmot() -> None:
    step = Pruning(technique="prune", tower=HALF, schedule="constant")
    model = Prune(step).wrap(parent(config(8)), 10)
    schedule = model.get_layer("prune_low_magnitude_tower_0").pruning_schedule
    assert isinstance(schedule, tfmot.sparsity.keras.ConstantSparsity)


@pytest.mark.slow
def test_taylor_drops_large_weights_that_do_nothing(splits: Splits) -> None:
    """Magnitude keeps them, and pays with the scores of the shipped file."""
    start = parent(config(8, batch_norm=False))
    table, kernel = (prunable_weights(start.model)[name] for name in ("embedding", "tower_0"))
    silent = np.arange(8) % 4 == 1  # inputs of the tower: 2 fields of 4 columns
    table.assign(table * np.where(silent[:4], 0, 1).astype(np.float32))
    kernel.assign(tf.where(silent[:, None], 10.0, kernel))
    inputs, _ = rows(200, 5)
    changes = {}
    for importance in ("taylor", "magnitude"):
        step = Pruning(
            technique="prune",
            tower=PruningScope(sparsity=0.25),
            importance=importance,
            schedule="constant",
            epochs=1,
            learning_rate=1e-6,
        )
        pruned = compress(technique(step), start, splits, TRAINING)
        content = export.to_tflite(pruned)
        np.testing.assert_allclose(LiteModel(content).score(inputs), scores(pruned, inputs), 1e-4)
        zero = shipped_kernels(content)[8, 8].T == 0
        assert zero.mean() == 0.25
        assert zero[silent].mean() == (1.0 if importance == "taylor" else 0.0)
        changes[importance] = np.abs(LiteModel(content).score(inputs) - scores(start, inputs)).max()
    assert changes["taylor"] < 1e-3 < 0.02 < changes["magnitude"]
    assert sparsity(start.model)["tower_0"] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "scope",
    [
        PruningScope(sparsity=0.5, pattern="2:4"),
        PruningScope(sparsity=0.75, pattern="block", block_size=(2, 4)),
    ],
)
def test_taylor_with_patterns_on_a_narrower_model(splits: Splits, scope: PruningScope) -> None:
    step = Pruning(technique="prune", tower=scope, importance="taylor", epochs=1)
    start = keep_units(parent(config(20, 8)), [np.arange(16), np.arange(8)])
    pruned = compress(technique(step), start, splits, TRAINING)
    shipped = shipped_kernels(export.to_tflite(pruned))
    for kernel in (shipped[16, 8].T, shipped[8, 16].T):
        assert (kernel == 0).mean() == scope.sparsity
        if scope.pattern == "2:4":
            assert holds_two_of_four(kernel)
        if scope.pattern == "block":
            blocks = (kernel.reshape(kernel.shape[0] // 2, 2, -1, 4) == 0).all(axis=(1, 3))
            assert blocks.mean() == 0.75
    assert pruned.metrics["sparsity_by_layer"]["tower_out"] == 0.0


def test_taylor_is_refused_where_the_pattern_does_not_fit() -> None:
    scope = PruningScope(sparsity=0.5, pattern="2:4")
    step = Pruning(technique="prune", tower=scope, importance="taylor")
    with pytest.raises(NotCompressible, match="whose number four has to divide"):
        compress(technique(step), parent(config(6, 4)), Splits([], []), TRAINING)


# ------------------------------------------------------------------------------------------ L1


def test_soft_threshold_by_hand() -> None:
    weight = tf.Variable([0.5, -0.1, -0.3, 0.0, 0.2])
    callback = SoftThreshold([weight], l1=2.0)
    optimizer = tf.keras.optimizers.legacy.Adam(0.1)
    callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    callback.on_train_batch_end(0)
    np.testing.assert_allclose(weight, [0.3, 0.0, -0.1, 0.0, 0.0], atol=1e-6)
    assert np.count_nonzero(weight) == 2


@pytest.mark.slow
def test_l1_training_comes_before_pruning(splits: Splits) -> None:
    start = parent(config(16, 8))
    weights = start.model.get_weights()
    plain = Pruning(technique="prune", tower=HALF, learning_rate=0.01)
    assert Prune(plain).prepare(start, splits, TRAINING) is start
    step = plain.model_copy(update={"l1": 10.0, "l1_epochs": 2})
    shrunk = Prune(step).prepare(start, splits, TRAINING)
    for before, after in zip(weights, start.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    zeros = sparsity(shrunk.model)
    assert zeros["tower_0"] > 0.2
    assert zeros["tower_1"] > 0.2
    assert zeros["embedding"] == zeros["tower_out"] == zeros["tower_0_numeric"] == 0.0
    content = export.to_tflite(shrunk)
    assert (shipped_kernels(content)[16, 8] == 0).mean() == zeros["tower_0"]
    inputs, _ = rows(100, 6)
    np.testing.assert_allclose(LiteModel(content).score(inputs), scores(shrunk, inputs), rtol=1e-4)


# --------------------------------------------------------------------------------------- units


@pytest.mark.parametrize(
    ("units", "keep", "widths"),
    [
        ((256, 128), 0.5, (128, 64)),
        ((20, 6), 0.5, (16, 3)),  # 10 -> 16; below 8 no multiple
        ((20, 100), 0.9, (20, 96)),  # 18 -> 24, of which there are 20
        ((30, 7), 0.1, (8, 1)),
        ((100, 3), 1.0, (100, 3)),
        ((80,), 0.7, (56,)),  # 0.7 * 80 is a little above 56 in binary
    ],
)
def test_widths_by_hand(units: tuple[int, ...], keep: float, widths: tuple[int, ...]) -> None:
    assert RemoveUnits(PruneUnits(technique="prune_units", keep=keep)).widths(units) == widths


@given(st.integers(1, 5000), st.floats(1e-6, 1.0))
def test_widths_keep_enough_in_whole_registers(units: int, keep: float) -> None:
    (width,) = RemoveUnits(PruneUnits(technique="prune_units", keep=keep)).widths([units])
    assert max(1, keep * units - 1e-5) <= width <= units
    assert units < 8 or width in (units, 8 * (width // 8))
    assert width < keep * units + 8


@pytest.mark.parametrize("wanted", [(32, 8), (8,), (8, 8, 8)])
def test_widths_that_do_not_fit_are_refused(wanted: tuple[int, ...]) -> None:
    step = PruneUnits(technique="prune_units", hidden_units=wanted)
    with pytest.raises(NotCompressible, match=r"does not fit a tower of \[16, 8\]"):
        compress(technique(step), parent(config(16, 8)), Splits([], []), TRAINING)


def test_norm_importance_by_hand() -> None:
    layout = FeatureLayout.build([("user", 1, 2)], ["price"])
    settings = DeepFMConfig(embedding_dim=1, hidden_units=(2,), dropout=0.0, batch_norm=True)
    model = build_deepfm(layout, settings)
    norm = model.get_layer("tower_0_bn")
    model.get_layer("tower_0").set_weights([np.array([[3.0, 1.0]]), np.array([7.0, 7.0])])
    model.get_layer("tower_0_numeric").set_weights([np.array([[4.0, 0.0]])])
    norm.set_weights(np.array([[-2, 1], [0, 0], [0, 0], [4 - norm.epsilon, 1 - norm.epsilon]]))
    model.get_layer("tower_out").set_weights([np.array([[0.5], [-2.0]]), np.zeros(1)])
    (importance,) = norm_importance(Checkpoint(model, layout, settings))
    np.testing.assert_allclose(importance, [5 * (2 / 2) * 0.5, 1 * 1 * 2], rtol=1e-6)


def test_taylor_importance_of_units_by_hand(splits: Splits) -> None:
    checkpoint = parent(config(5, 3, batch_norm=False))
    inputs, label = rows(ROWS, 1)  # all of the train split
    layers = {layer.name: layer.get_weights() for layer in checkpoint.model.layers}
    embedded = layers["embedding"][0][inputs["ids"]].reshape(ROWS, 8)
    first = embedded @ layers["tower_0"][0] + layers["tower_0"][1]
    first = np.maximum(first + inputs["numeric"] @ layers["tower_0_numeric"][0], 0)
    second = np.maximum(first @ layers["tower_1"][0] + layers["tower_1"][1], 0)
    error = (scores(checkpoint, inputs) - label)[:, None]
    to_second = error * layers["tower_out"][0].T
    to_first = (to_second * (second > 0)) @ layers["tower_1"][0].T
    expected = [np.abs(first * to_first).sum(axis=0), np.abs(second * to_second).sum(axis=0)]
    result = taylor_importance(checkpoint, splits, seed=0)
    for hand, ours in zip(expected, result, strict=True):
        np.testing.assert_allclose(ours, hand, rtol=1e-3)


@pytest.mark.parametrize(
    ("importance", "batch_norm", "layout"),
    [
        ("norm", True, LAYOUT),
        ("norm", False, NO_NUMERIC),
        ("taylor", True, LAYOUT),
        ("taylor", False, LAYOUT),
    ],
)
def test_units_that_nothing_reads_go_first_and_change_no_score(
    splits: Splits, importance: Any, batch_norm: bool, layout: FeatureLayout
) -> None:
    start = parent(config(16, 8, batch_norm=batch_norm), layout)
    unread = {"tower_1": [0, 2, 3, 7, 9, 10, 12], "tower_out": [1, 4, 6]}
    for name, units in unread.items():
        kernel = prunable_weights(start.model)[name]
        values = kernel.numpy()
        values[units] = 0.0
        kernel.assign(values)
    before = start.model.get_weights()
    step = PruneUnits(technique="prune_units", hidden_units=(9, 5), importance=importance)
    smaller = RemoveUnits(step).prepare(start, splits, TRAINING)
    assert smaller.config == start.config.model_copy(update={"hidden_units": (9, 5)})
    assert smaller.model.get_layer("tower_1").kernel.shape == (9, 5)
    inputs, _ = rows(100, 7)
    given_inputs = {name: inputs[name] for name in (["ids", "numeric"][: len(start.model.inputs)])}
    np.testing.assert_allclose(
        scores(smaller, given_inputs), scores(start, given_inputs), rtol=1e-5
    )
    for old, new in zip(before, start.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_units_that_stay_keep_their_order() -> None:
    start = parent(config(4, 3))
    smaller = keep_units(start, [np.array([0, 3]), np.array([1, 2])])
    old, new = (dict(_weights(c)) for c in (start, smaller))
    np.testing.assert_array_equal(new["tower_0"][0], old["tower_0"][0][:, [0, 3]])
    np.testing.assert_array_equal(new["tower_0_numeric"][0], old["tower_0_numeric"][0][:, [0, 3]])
    np.testing.assert_array_equal(new["tower_1"][0], old["tower_1"][0][[0, 3]][:, [1, 2]])
    np.testing.assert_array_equal(new["tower_1"][1], old["tower_1"][1][[1, 2]])
    for kept, all_units in zip(new["tower_1_bn"], old["tower_1_bn"], strict=True):
        np.testing.assert_array_equal(kept, all_units[[1, 2]])
    np.testing.assert_array_equal(new["tower_out"][0], old["tower_out"][0][[1, 2]])


def _weights(checkpoint: Checkpoint) -> list[tuple[str, list[np.ndarray[Any, Any]]]]:
    return [(layer.name, layer.get_weights()) for layer in checkpoint.model.layers]


@pytest.fixture(scope="module")
def wide() -> Checkpoint:
    """A pruned model: half of the weights of its hidden layers are zero."""
    checkpoint = parent(config(64, 32))
    for name in ("tower_0", "tower_1"):
        kernel = prunable_weights(checkpoint.model)[name]
        median = np.median(np.abs(kernel.numpy()))
        kernel.assign(tf.where(tf.abs(kernel) > median, kernel, 0.0))
    return checkpoint


@pytest.fixture(scope="module")
def narrow(wide: Checkpoint, splits: Splits) -> Checkpoint:
    step = PruneUnits(technique="prune_units", keep=0.25, epochs=1)
    return compress(technique(step), wide, splits, TRAINING)


@pytest.mark.slow
def test_a_narrower_model_is_fine_tuned_and_ships_smaller(
    wide: Checkpoint, narrow: Checkpoint
) -> None:
    assert narrow.config.hidden_units == (16, 8)
    assert narrow.metrics["hidden_units"] == [16, 8]
    assert narrow.metrics["weights"] == narrow.model.count_params()
    assert narrow.metrics["log_loss"] < narrow.metrics["log_loss_before"]
    assert wide.config.hidden_units == (64, 32)
    files = {c.config.hidden_units: export.to_tflite(c) for c in (wide, narrow)}
    removed = fold_batch_norm(wide).model.count_params()
    removed -= fold_batch_norm(narrow).model.count_params()
    assert len(files[64, 32]) - len(files[16, 8]) == pytest.approx(4 * removed, abs=512)
    inputs, _ = rows(200, 8)
    np.testing.assert_allclose(
        LiteModel(files[16, 8]).score(inputs), scores(narrow, inputs), rtol=1e-3, atol=1e-5
    )


def test_units_go_and_zeros_stay(narrow: Checkpoint) -> None:
    zeros = sparsity(narrow.model)
    assert zeros["tower_0"] > 0.2
    assert zeros["tower_1"] > 0.2
    assert math.isclose(zeros["tower_out"], 0.0)


def test_a_lost_zero_fails_the_post_condition(narrow: Checkpoint) -> None:
    dense = build_deepfm(narrow.layout, narrow.config)
    step = PruneUnits(technique="prune_units", keep=0.25)
    with pytest.raises(PostConditionFailed, match="pruned weights are no longer zero"):
        RemoveUnits(step).verify(narrow, dense)


@pytest.mark.slow
def test_narrow_then_int8(
    wide: Checkpoint, narrow: Checkpoint, splits: Splits, tmp_path: pathlib.Path
) -> None:
    narrow.save(str(tmp_path))
    calibration = Quantization(technique="quantize", epochs=0)
    quantized, folded = quantize(calibration, Checkpoint.load(str(tmp_path)), splits, TRAINING)
    assert quantized.config.hidden_units == (16, 8)
    kernels = prunable_weights(quantized.model)
    for name, mask in masks(folded.model).items():
        assert not kernels[name].numpy()[~mask].any()
    content = export.to_tflite(quantized)
    lite = LiteModel(content)
    inputs, _ = rows(200, 9)
    assert np.abs(lite.score(inputs) - scores(quantized, inputs)).max() < 0.02
    assert not [name for name in lite.operators() if name.startswith(("Flex", "CUSTOM"))]
    whole, wider = quantize(calibration, wide, splits, TRAINING)
    removed = wider.model.count_params() - folded.model.count_params()
    assert len(export.to_tflite(whole)) - len(content) > removed  # a byte a weight, four a bias


@pytest.mark.parametrize(
    ("pattern", "importance", "schedule"),
    itertools.product(
        ["unstructured", "2:4", "block"], ["magnitude", "taylor"], ["polynomial", "constant"]
    ),
)
def test_the_tower_takes_every_combination(
    narrow: Checkpoint, pattern: str, importance: str, schedule: str
) -> None:
    block = [1, 4] if pattern == "block" else [1, 1]
    scope = {"sparsity": 0.5, "pattern": pattern, "block_size": block}
    step = STEP.validate_python(
        {
            "technique": "prune",
            "tower": scope,
            "importance": importance,
            "schedule": schedule,
            "l1": 0.1,
        }
    )
    technique(step).check(narrow)
