"""The DeepFM against its definition, with numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers import pooling
from ranklite.models.layers.interactions import FactorizationMachine, FieldSum
from ranklite.models.layers.pooling import FieldPooling

VALUES = st.floats(-3, 3, width=32)


def matrices(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, shape, elements=VALUES)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.data())
def test_fm_is_the_sum_over_pairs(fields: int, dim: int, data: st.DataObject) -> None:
    v = data.draw(matrices(2, fields, dim))
    pairs = sum(
        (v[:, i].astype("f8") * v[:, j]).sum(1) for i in range(fields) for j in range(i)
    ) + np.zeros(2)
    np.testing.assert_allclose(FactorizationMachine()(v)[:, 0], pairs, rtol=1e-4, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(matrices(2, 3, 2), matrices(2, 2), matrices(2, 2))
def test_fm_counts_numeric_columns_as_fields(
    embeddings: np.ndarray, numeric: np.ndarray, factors: np.ndarray
) -> None:
    layer = FactorizationMachine()
    layer.build([(None, 3, 2), (None, 2)])
    layer.factors.assign(factors)
    as_fields = np.concatenate([embeddings, numeric[:, :, None] * factors[None]], axis=1)
    np.testing.assert_allclose(
        layer((embeddings, numeric)), FactorizationMachine()(as_fields), rtol=1e-3, atol=1e-3
    )


def test_pooling_averages_what_is_there_and_leaves_padding_out() -> None:
    ids = tf.constant([[9, 4, 0, 0, 5, 6], [9, 4, 6, 0, 0, 5]], tf.int64)
    embeddings = tf.constant([[[1.0], [2.0], [50.0], [50.0], [7.0], [9.0]]] * 2)
    pooled = FieldPooling((1, 3, 2))((ids, embeddings))
    np.testing.assert_array_equal(pooled[:, :, 0], [[1.0, 2.0, 8.0], [1.0, 26.0, 9.0]])


def test_many_lists_are_averaged_together_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    lengths = (1, 1, 3, 3, 3, 2, 2)
    ids = tf.constant(rng.integers(0, 3, (40, sum(lengths))), tf.int32)  # a third is padding
    embeddings = tf.constant(rng.normal(size=(40, sum(lengths), 4)), tf.float32)
    apart = FieldPooling(lengths)((ids, embeddings))
    monkeypatch.setattr(pooling, "_TOGETHER", 2)
    layer = FieldPooling(lengths)
    assert [count for *_, count in layer._runs(2)] == [3, 2]
    np.testing.assert_allclose(layer((ids, embeddings)), apart, rtol=1e-6, atol=1e-7)


def test_pooling_of_an_empty_field_is_zero() -> None:
    ids = tf.constant([[3, 0, 0]], tf.int64)
    embeddings = tf.fill([1, 3, 2], 5.0)
    np.testing.assert_array_equal(
        FieldPooling((1, 2))((ids, embeddings)), [[[5.0, 5.0], [0.0, 0.0]]]
    )


@pytest.mark.parametrize(
    "layer",
    [
        FieldPooling((1, 3), name="p"),
        FactorizationMachine(0.3, name="f"),
        FieldSum(name="s"),
        FieldSum(use_bias=True, name="t"),
    ],
)
def test_layers_are_rebuilt_from_their_config(layer: keras.layers.Layer) -> None:
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_logit_by_hand() -> None:
    layout = FeatureLayout.build([("user", 1, 1), ("tags", 2, 1)], ["x"])
    assert layout.table_rows == 7  # padding, user 1-3, tags 4-6
    config = DeepFMConfig(embedding_dim=2, hidden_units=(2,), dropout=0.0, batch_norm=False)
    model = build_deepfm(layout, config)
    table = np.zeros((7, 2), "f")
    table[3], table[4], table[6] = [1, 2], [2, 0], [4, 2]
    model.get_layer("embedding").set_weights([table])
    model.get_layer("linear").set_weights([np.arange(7, dtype="f")[:, None] / 10])
    model.get_layer("linear_numeric").set_weights([np.array([[0.5]])])
    model.get_layer("fm").set_weights([np.array([[1, -1]])])
    kernel = np.array([[1, 0], [0, 1], [1, 0], [0, -1]])
    model.get_layer("tower_0").set_weights([kernel, np.array([0.5, -4])])
    model.get_layer("tower_0_numeric").set_weights([np.array([[1, 1]])])
    model.get_layer("tower_out").set_weights([np.array([[2], [3]]), np.array([0.25])])
    # user 3 -> (1, 2); tags 4 and 6 -> their mean (3, 1); x = 2 -> 2 * (1, -1) in the FM.
    linear = 0.3 + (0.4 + 0.6) / 2 + 0.5 * 2
    fm = (1 * 3 + 2 * 1) + (1 * 2 + 2 * -2) + (3 * 2 + 1 * -2)
    tower = 2 * (1 + 3 + 2 + 0.5) + 3 * max(0, 2 - 1 + 2 - 4) + 0.25
    logit = model({"ids": np.array([[3, 4, 6]]), "numeric": np.array([[2.0]], "f")})
    np.testing.assert_allclose(logit, [[linear + fm + tower]], rtol=1e-6)


def test_without_hidden_layers_it_is_a_factorization_machine() -> None:
    layout = FeatureLayout.build([("user", 1, 1), ("tags", 2, 1)], ["x"])
    model = build_deepfm(layout, DeepFMConfig(embedding_dim=2, hidden_units=()))
    table = np.zeros((7, 2), "f")
    table[3], table[4], table[6] = [1, 2], [2, 0], [4, 2]
    weights = {
        "embedding": table,
        "linear": np.arange(7, dtype="f")[:, None] / 10,
        "linear_numeric": np.array([[0.5]]),
        "fm": np.array([[1, -1]]),
        "linear_sum": np.array([0.25]),
    }
    for name, value in weights.items():
        model.get_layer(name).set_weights([value])
    assert {w.name.partition("/")[0] for w in model.weights} == {*weights}  # there is no other one
    # As in `test_logit_by_hand`, without its tower.
    linear = 0.3 + (0.4 + 0.6) / 2 + 0.5 * 2
    fm = (1 * 3 + 2 * 1) + (1 * 2 + 2 * -2) + (3 * 2 + 1 * -2)
    logit = model({"ids": np.array([[3, 4, 6]]), "numeric": np.array([[2.0]], "f")})
    np.testing.assert_allclose(logit, [[0.25 + linear + fm]], rtol=1e-6)


def test_number_of_parameters() -> None:
    layout = FeatureLayout.build([("a", 1, 7), ("b", 1, 10)], ["x", "y"])
    model = build_deepfm(
        layout, DeepFMConfig(embedding_dim=4, hidden_units=(8, 3), batch_norm=True)
    )
    rows = 1 + 9 + 12
    tower = (2 * 4 + 2) * 8 + 8 + 8 * 3 + 3 + 3 + 1
    assert model.count_params() == rows * 5 + 2 * 4 + 2 + tower + 4 * (8 + 3)


def test_score_does_not_depend_on_the_order_of_the_fields() -> None:
    sizes = [("a", 1, 5), ("b", 1, 3), ("c", 1, 4)]
    config = DeepFMConfig(embedding_dim=3, hidden_units=(4,), batch_norm=False)
    model = build_deepfm(FeatureLayout.build(sizes), config)
    layout = FeatureLayout.build(sizes)
    swapped = FeatureLayout.build(sizes[::-1])
    other = build_deepfm(swapped, config)
    rows = np.concatenate(
        [[0]] + [np.arange(f.rows) + layout.field(f.name).offset for f in swapped.fields]
    )
    for name in ("embedding", "linear"):
        other.get_layer(name).set_weights([model.get_layer(name).get_weights()[0][rows]])
    kernel, bias = model.get_layer("tower_0").get_weights()
    kernel = kernel.reshape(3, 3, -1)[::-1].reshape(9, -1)
    other.get_layer("tower_0").set_weights([kernel, bias])
    other.get_layer("tower_out").set_weights(model.get_layer("tower_out").get_weights())
    values = np.array([[0, 2, 1], [4, 3, 5], [1, 0, 0]])
    ids = values + [field.offset for field in layout.fields]
    turned = values[:, ::-1] + [field.offset for field in swapped.fields]
    np.testing.assert_allclose(model({"ids": ids}), other({"ids": turned}), atol=1e-6)


def test_first_layer_starts_as_one_over_the_concatenation() -> None:
    layout = FeatureLayout.build([("a", 1, 5)], [f"x{k}" for k in range(30)])
    model = build_deepfm(layout, DeepFMConfig(embedding_dim=10, hidden_units=(200,)))
    limit = math.sqrt(6 / (10 + 30 + 200))
    for name in ("tower_0", "tower_0_numeric"):
        kernel = model.get_layer(name).get_weights()[0]
        assert 0.98 * limit < np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.05)


def test_mixed_precision_still_gives_float32_logits_of_full_resolution() -> None:
    layout = FeatureLayout.build([("a", 1, 500)])
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = build_deepfm(layout, DeepFMConfig(embedding_stddev=1.0))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    logits = model({"ids": np.arange(500)[:, None]})
    assert logits.dtype == tf.float32
    assert len(np.unique(logits)) > 450
    assert {weight.dtype for weight in model.weights} == {tf.float32}
