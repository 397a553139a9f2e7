"""Encoders of lists: by hand, against numpy and Keras, saved, wrapped, and in their files."""

from __future__ import annotations

import functools
import pathlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression.fine_tuning import compress, copy
from ranklite.models.compression.technique import Setting, Splits
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.prune import Prune, Pruning
from ranklite.models.compression.techniques.quantize import Quantization
from ranklite.models.export.tflite import TFLite
from ranklite.models.features.layout import FeatureLayout, ListField
from ranklite.models.layers.pooling import Columns, FieldPooling, Together, pooling_of
from ranklite.models.layers.sequences import (
    Events,
    FieldColumn,
    TargetAttention,
    UnrolledGRU,
    encode,
)
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig

Array = npt.NDArray[Any]

LENGTH, DIM, POOLS = 5, 4, 2
ENCODERS = ("attention", "gru")
CONTROL_FLOW = re.compile(r"WHILE|IF|CALL_ONCE|UNIDIRECTIONAL|TENSOR_?LIST|BROADCAST_ARGS")
TRAINING = TrainingConfig(batch_size=128, epochs=2, learning_rate=0.02, oov_rate=0.0)


def layout_of(encoder: str, pools: int = POOLS, of_user: bool = False) -> FeatureLayout:
    """Users, items, and a history of items; one number."""
    lists = {"seen": ListField("item", pools, encoder, of_user)}
    return FeatureLayout.build([("user", 1, 6), ("item", 1, 20), ("seen", LENGTH, 0)], ["x"], lists)


def uniform(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def filled(layer: keras.layers.Layer, seed: int = 3) -> keras.layers.Layer:
    """A layer that was built, with weights from -1 to 1, biases included."""
    layer.set_weights([uniform(*w.shape, seed=seed + k) for k, w in enumerate(layer.weights)])
    return layer


def outcomes_of(*events: int) -> Array:
    """[1, L, 2] of positive (1), negative (-1) and absent (0) events, as weights: 1 / count."""
    masks = np.stack([np.array(events) == 1, np.array(events) == -1], axis=-1).astype(np.float32)
    return (masks / np.maximum(masks.sum(axis=0), 1))[None]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


# Attention


def test_attention_by_hand() -> None:
    # Two events of one number, h = 2 (positive) and h = 3 (negative), t = 5; an absent third.
    layer = TargetAttention(units=1)
    given = (
        np.array([[[2.0], [3.0], [7.0]]], np.float32),
        np.array([[5.0]], np.float32),
        outcomes_of(1, -1, 0),
    )
    layer(given)
    # event 1, target -1, product 1, outcomes (10, -20), bias 0.5, score 2.
    layer.set_weights(
        [np.array(w, np.float32) for w in ([[1]], [[-1]], [[1]], [[10], [-20]])]
        + [np.array([0.5], np.float32), np.array([[2]], np.float32)]
    )
    # a_1 = 2 relu(2 - 5 + 10 + 10 + .5) = 35,  a_2 = 2 relu(3 - 5 + 15 - 20 + .5) = 0
    np.testing.assert_allclose(layer(given), [[[35 * 2 / 3]]], rtol=1e-6)


def test_attention_is_that_of_the_paper() -> None:
    events, target = uniform(3, LENGTH, DIM), uniform(3, DIM, seed=1)
    outcomes = np.concatenate(
        [outcomes_of(1, -1, 1, 1, -1), outcomes_of(-1, 1, 0, 0, 0), outcomes_of(0, 0, 0, 0, 0)]
    )
    layer = TargetAttention(units=6)
    layer((events, target, outcomes))
    # The paper's W over [h, t, h * t, h - t], its bias, the outcomes' kernel, the score.
    w_h, w_t, w_p, w_d = uniform(4, DIM, 6, seed=2)
    by_outcome, bias, score = uniform(2, 6, seed=3), uniform(6, seed=4), uniform(6, 1, seed=5)
    layer.set_weights([w_h + w_d, w_t - w_d, w_p, by_outcome, bias, score])
    concatenated = np.concatenate([w_h, w_t, w_p, w_d])
    expected = np.zeros((3, DIM), np.float32)
    for row in range(3):
        for h, o in zip(events[row], outcomes[row], strict=True):
            if o.any():
                t = target[row]
                x = np.concatenate([h, t, h * t, h - t]) @ concatenated + bias
                hidden = np.maximum(x + (o > 0).astype(np.float32) @ by_outcome, 0)
                expected[row] += (hidden @ score)[0] * h / LENGTH
    np.testing.assert_allclose(layer((events, target, outcomes))[:, 0], expected, atol=1e-5)
    assert np.abs(expected[:2]).min() > 1e-3


# The GRU


def test_gru_by_hand() -> None:
    # One event x = 1 in one dimension: s = sigmoid(z) tanh(c) from a state of 0.
    layer = UnrolledGRU()
    events, outcomes = np.array([[[1.0], [9.0]]], np.float32), outcomes_of(1, 0)
    layer((events, outcomes))
    kernel, gates, candidate = [[2.0, 3.0, 0.5]], [[1.0, -1.0]], [[2.0]]
    by_outcome, bias = [[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]], [0.4, 0.5, 0.6]
    layer.set_weights([np.array(w) for w in (kernel, by_outcome, gates, candidate, bias)])
    once = sigmoid(np.array(2.0 + 0.1 + 0.4)) * np.tanh(0.5 + 0.3 + 0.6)
    np.testing.assert_allclose(layer((events, outcomes)), [[[once]]], rtol=1e-6)
    # The same event twice.
    z, r = sigmoid(np.array(2.5 + once)), sigmoid(np.array(3.7 - once))
    twice = (1 - z) * once + z * np.tanh(1.4 + 2 * r * once)
    both = layer((np.array([[[1.0], [1.0]]], np.float32), outcomes_of(1, 1)))
    np.testing.assert_allclose(both, [[[twice]]], rtol=1e-6)


def test_gru_is_that_of_keras() -> None:
    """Keras mixes the other way, s <- z s + (1 - z) c: its z is ours of the negated weights."""
    events = uniform(7, LENGTH, DIM)
    outcomes = np.ones((7, LENGTH, 1), np.float32)
    layer = UnrolledGRU()
    layer((events, outcomes))
    filled(layer)
    kernel, by_outcome, gates, candidate, bias = layer.get_weights()
    flip = np.repeat([-1.0, 1.0, 1.0], DIM)
    theirs = keras.layers.GRU(DIM, reset_after=False)
    theirs.build((None, LENGTH, DIM))
    theirs.set_weights(
        [kernel * flip, np.hstack([gates, candidate]) * flip, (bias + by_outcome[0]) * flip]
    )
    expected = theirs(events[:, ::-1])  # the oldest first
    np.testing.assert_allclose(layer((events, outcomes))[:, 0], expected, atol=1e-6)
    assert np.ptp(expected) > 0.5


def test_gru_leaves_its_state_where_there_is_no_event() -> None:
    layer = UnrolledGRU()
    events = uniform(1, 3, DIM)
    layer((events, outcomes_of(1, -1, 1)))
    filled(layer)
    expected = layer((events, outcomes_of(1, -1, 1))).numpy()
    a, b, c = events[0]
    other = uniform(DIM, seed=9)
    for order, happened in (
        ((a, b, c, other, other), (1, -1, 1, 0, 0)),  # as lists are filled
        ((other, a, other, b, c), (0, 1, 0, -1, 1)),
        ((other, other, a, b, c), (0, 0, 1, -1, 1)),
    ):
        longer = UnrolledGRU()
        given = (np.stack(order)[None], outcomes_of(*happened))
        longer(given)
        longer.set_weights(layer.get_weights())
        np.testing.assert_allclose(longer(given), expected, atol=1e-6)
    changed = layer((events, outcomes_of(-1, -1, 1)))
    assert np.abs(changed - expected).max() > 1e-2  # an outcome is read
    swapped = layer((events[:, ::-1], outcomes_of(1, -1, 1)))
    assert np.abs(swapped - expected).max() > 1e-2  # and so is the order


# A list in a layout


def given_rows(layout: FeatureLayout, rows: int, seed: int = 0) -> dict[str, Array]:
    """Ids, a number and weights: histories of 0 to L events."""
    random = np.random.default_rng(seed)
    user, item, seen = layout.fields
    kept = np.arange(LENGTH) < random.integers(0, LENGTH + 1, rows)[:, None]
    kept[0] = False
    events = item.offset + random.integers(0, item.rows, (rows, LENGTH))
    ids = np.column_stack(
        [
            user.offset + random.integers(0, user.rows, rows),
            item.offset + random.integers(0, item.rows, rows),
            np.where(kept, events, 0),
        ]
    )
    which = random.integers(0, max(1, seen.pools), (rows, LENGTH))
    masks = [kept & (which == pool) for pool in range(seen.pools)]
    weights = [mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) for mask in masks]
    numeric = np.hstack([random.normal(size=(rows, 1)), *weights]).astype(np.float32)
    return {"ids": ids.astype(np.int64), "numeric": numeric}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("pools", [0, 1, 2])
@pytest.mark.parametrize("of_user", [False, True])
def test_a_list_is_encoded_in_the_place_of_its_pools(
    encoder: str, pools: int, of_user: bool
) -> None:
    layout = layout_of(encoder, pools, of_user)
    rows = given_rows(layout, 6)
    table = uniform(layout.table_rows, DIM)
    embeddings = table[rows["ids"]]
    weights = rows["numeric"][:, 1:]
    ids = keras.Input((layout.num_ids,), dtype=tf.int64)
    looked_up = keras.Input((layout.num_ids, DIM))
    weighing = [keras.Input((layout.num_weights,))] if pools else []
    given = (ids, looked_up, *weighing)
    blocks = encode(layout, "embedding", given, looked_up)
    if of_user:  # a part of its own, with the candidates beside it
        own = (ids[:, 2:], looked_up[:, 2:], *weighing)
        blocks += encode(layout, "embedding", own, looked_up, of_user=True)
    assert [block.shape[1] for block in blocks] == [2, 1]
    model = keras.Model(given, tf.concat(blocks, axis=1))
    layer = filled(model.get_layer(f"embedding_seen_{encoder}"))
    result = model([rows["ids"], embeddings, *([weights] if pools else [])]).numpy()
    assert result.shape == (6, layout.num_vectors, DIM) == (6, 3, DIM)
    np.testing.assert_array_equal(result[:, :2], embeddings[:, :2])
    if pools:
        outcomes = weights.reshape(6, pools, LENGTH).transpose(0, 2, 1)
    else:
        outcomes = (rows["ids"][:, 2:] != 0)[:, :, None].astype(np.float32)
    candidate = [embeddings[:, 1]] if encoder == "attention" else []
    expected = layer((embeddings[:, 2:], *candidate, outcomes))
    np.testing.assert_allclose(result[:, 2:], expected, atol=1e-6)
    np.testing.assert_array_equal(result[0, 2], np.zeros(DIM))  # nothing has happened
    assert np.abs(result[1:, 2]).max() > 0.1


def test_pools_are_weighted_means() -> None:
    layout = layout_of("pool")
    embeddings = np.arange(7 * DIM, dtype=np.float32).reshape(1, 7, DIM)
    # Events 0 and 2 are positive, event 1 is negative, two are absent.
    weights = np.array([[0.5, 0, 0.5, 0, 0, 0, 1, 0, 0, 0]], np.float32)
    given = (np.ones((1, 7), np.int64), embeddings, weights)
    expected = np.stack(
        [*embeddings[0, :2], (embeddings[0, 2] + embeddings[0, 4]) / 2, embeddings[0, 3]]
    )
    np.testing.assert_allclose(pooling_of(layout, "pooled")(given)[0], expected)


@pytest.mark.parametrize(
    "layer",
    [
        *(TargetAttention(3), UnrolledGRU(), FieldColumn(2), Events(2, 5, 1, 2)),
        *(Columns(1, 3), Together(2), FieldPooling((1, 3), (0, 2), apart=True)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_come_back_from_their_config(layer: keras.layers.Layer) -> None:
    config = keras.layers.serialize(layer)
    again = keras.layers.deserialize(config)
    assert type(again) is type(layer)
    assert keras.layers.serialize(again) == config


# A whole model


def settings() -> DeepFMConfig:
    return DeepFMConfig(
        embedding_dim=8, hidden_units=(16, 8), dropout=0.0, embedding_stddev=0.3, batch_norm=True
    )


def untrained(encoder: str) -> Checkpoint:
    tf.random.set_seed(1)
    layout = layout_of(encoder)
    model = build_deepfm(layout, settings())
    for layer in model.layers:
        if isinstance(layer, (TargetAttention, UnrolledGRU)):
            filled(layer)
    return Checkpoint(model, layout, settings())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_model_comes_back_as_it_was_saved(encoder: str, tmp_path: pathlib.Path) -> None:
    checkpoint = untrained(encoder)
    rows = given_rows(checkpoint.layout, 20)
    expected = checkpoint.model(rows).numpy()
    checkpoint.save(str(tmp_path))
    again = Checkpoint.load(str(tmp_path))
    np.testing.assert_array_equal(again.model(rows), expected)
    np.testing.assert_array_equal(copy(again)(rows), expected)
    cloned = keras.models.clone_model(checkpoint.model)
    cloned.set_weights(checkpoint.model.get_weights())
    np.testing.assert_array_equal(cloned(rows), expected)
    nothing = np.hstack([rows["numeric"][:, :1], 0 * rows["numeric"][:, 1:]])
    without = checkpoint.model({**rows, "numeric": nothing}).numpy()
    assert np.abs(without - expected).max() > 1e-3  # the list is read


@pytest.mark.parametrize("encoder", ["pool", *ENCODERS])
def test_a_list_of_the_user_is_read_as_another(encoder: str) -> None:
    checkpoint = untrained(encoder)
    own = build_deepfm(layout_of(encoder, of_user=True), settings())
    assert not [layer for layer in checkpoint.model.layers if isinstance(layer, Together)]
    assert [layer.own for layer in own.layers if isinstance(layer, Together)] == [1, 1]
    for layer in own.layers:
        if layer.weights:
            layer.set_weights(checkpoint.model.get_layer(layer.name).get_weights())
    rows = given_rows(checkpoint.layout, 40)
    np.testing.assert_allclose(own(rows), checkpoint.model(rows), atol=1e-5)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory, write_examples: Any) -> Splits:
    """Rows where users like what they have seen before."""
    folder, layout = tmp_path_factory.mktemp("seen"), layout_of("pool")

    def write(name: str, rows: int, seed: int) -> str:
        given = given_rows(layout, rows, seed)
        random = np.random.default_rng(seed)
        taste = given["ids"][:, 1] % 3 == given["ids"][:, 2] % 3
        logit = 3.0 * taste - 1.0 + given["numeric"][:, 0]
        label = random.random(rows) < sigmoid(logit)
        columns = {**given, "label": label[:, None].astype(np.float32)}
        return str(write_examples(folder / name, columns))

    return Splits([write("train.gz", 3000, 1)], [write("eval.gz", 600, 2)])


@functools.cache
def trained(encoder: str, train: str, valid: str) -> Checkpoint:
    layout = layout_of(encoder)
    model = training.build(layout, settings(), TRAINING)
    metrics = training.fit(model, layout, [train], [valid], TRAINING)
    return Checkpoint(model, layout, settings(), metrics)


def check_file(checkpoint: Checkpoint, tolerance: float) -> list[str]:
    """Exports, scores 1, 3 and 512 rows, and gives the file's operators."""
    target = TFLite()
    file = target.load(target.export(checkpoint))
    file.try_out()
    operators = list(file.operators())
    assert not target.foreign(operators)
    assert not [name for name in operators if CONTROL_FLOW.search(name)]
    for count in (1, 3, 512):
        rows = given_rows(checkpoint.layout, count, seed=count)
        expected = sigmoid(checkpoint.model(rows).numpy())
        scores = np.reshape(file.score(rows), expected.shape)
        np.testing.assert_allclose(scores, expected, atol=tolerance)
    assert np.ptp(expected) > 0.3
    return operators


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["pool", *ENCODERS])
def test_a_model_is_compressed_and_its_file_scores_alike(encoder: str, splits: Splits) -> None:
    checkpoint = trained(encoder, *splits.train, *splits.eval)
    assert checkpoint.metrics["auc"] > 0.6
    check_file(checkpoint, 1e-5)
    pruning = Pruning.model_validate(
        {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1, "ramp": 0.5}
    )
    pruned = compress(Prune(pruning), checkpoint, splits, TRAINING)
    rows = given_rows(checkpoint.layout, 500, seed=7)
    pruned_scores = sigmoid(pruned.model(rows).numpy())
    steps: list[dict[str, Any]] = [
        {"epochs": 0},
        {"epochs": 1},
        {"epochs": 0, "bits": 4, "table": "int4_per_row"},
    ]
    for step in steps:
        given = {"technique": "quantize", "control": False, **step}
        chosen = technique(Quantization.model_validate(given))
        quantized = chosen.apply(pruned, Setting(None, splits, TRAINING)).model
        assert quantized.metrics["sparsity"] > 0.1
        if step == {"epochs": 0}:
            scores = sigmoid(quantized.model(rows).numpy())
            np.testing.assert_allclose(scores, pruned_scores, atol=0.05)
        assert quantized.metrics["auc"] > pruned.metrics["auc"] - 0.01
        check_file(quantized, 3e-2)
