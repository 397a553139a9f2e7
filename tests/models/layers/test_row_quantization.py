"""Rows with scales of their own: errors by hand, small rows, what a file stores."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from ranklite.models.layers.row_quantization import RowQuantizedEmbedding

ROWS, DIM = 40, 6


def layer(bits: int, table: np.ndarray) -> RowQuantizedEmbedding:
    made = RowQuantizedEmbedding(table.shape[0], table.shape[1], bits=bits)
    made.build(None)
    made.embeddings.assign(table)
    made.fit_unit()
    return made


def table(seed: int = 0, dim: int = DIM) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(ROWS, dim)).astype(np.float32)
    values[0] = 0.0
    values[1] /= 1000.0
    return values


@pytest.mark.parametrize("bits", [8, 4])
def test_error_is_at_most_half_a_step_of_the_row(bits: int) -> None:
    values = table()
    rounded = layer(bits, values)(tf.range(ROWS)).numpy()
    largest = 2 ** (bits - 1) - 1
    unit = 1.5 * np.abs(values).max() / (largest * 255**2)
    needed = np.abs(values).max(axis=1) / largest
    step = unit * np.maximum(np.ceil(np.sqrt(needed / unit)), 1) ** 2
    assert (step >= needed * 0.999).all()  # nothing is clipped
    assert (step <= np.maximum(needed * 1.4, unit)).all()  # and no row is much coarser than it must
    assert (np.abs(rounded - values) <= step[:, None] / 2 * 1.001).all()
    assert (rounded[0] == 0).all()
    assert len(np.unique(rounded[2])) <= 2 * largest + 1


def test_a_row_of_small_numbers_stays_alive() -> None:
    values = table()
    one_scale = np.round(values / (np.abs(values).max() / 127))
    assert (one_scale[1] == 0).all()  # what a scale for the whole table makes of it
    rounded = layer(4, values)(tf.constant([1])).numpy()[0]
    assert np.corrcoef(rounded, values[1])[0, 1] > 0.95


def test_the_gradient_passes_the_rounding_and_stays_sparse() -> None:
    made = layer(8, table())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made(tf.constant([3, 3, 5])) * 2.0)
    gradient = tape.gradient(loss, made.embeddings)
    assert isinstance(gradient, tf.IndexedSlices)
    dense = tf.convert_to_tensor(gradient).numpy()
    assert dense[3].tolist() == [4.0] * DIM
    assert dense[5].tolist() == [2.0] * DIM
    assert np.count_nonzero(dense) == 2 * DIM


@pytest.mark.parametrize(("bits", "dim"), [(8, DIM), (4, DIM), (4, 5), (8, 1)])
def test_a_file_stores_integers_and_decodes_what_training_saw(
    bits: int, dim: int, tmp_path: pathlib.Path
) -> None:
    values = np.random.default_rng(1).normal(size=(5000, dim)).astype(np.float32)
    made = layer(bits, values)
    ids = np.random.default_rng(2).integers(0, 5000, (7, 3))
    expected = made(tf.constant(ids)).numpy()
    module = tf.Module()
    module.layer = made
    with made.stored():
        function = tf.function(made.call, autograph=False).get_concrete_function(
            tf.TensorSpec([None, 3], tf.int64, name="ids")
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        content = converter.convert()
    run = Interpreter(model_content=content).get_signature_runner()
    (decoded,) = run(ids=ids).values()
    np.testing.assert_allclose(decoded, expected, atol=1e-6)
    stored = 5000 * (dim if bits == 8 else (dim + 1) // 2) + (5000 if dim > 1 else 0)
    assert stored < len(content) < stored + 5000
    np.testing.assert_array_equal(made(tf.constant(ids)).numpy(), expected)  # trains on as before


def test_survives_saving(tmp_path: pathlib.Path) -> None:
    inputs = keras.Input((2,), dtype=tf.int64)
    made = RowQuantizedEmbedding(ROWS, DIM, bits=4)
    model = keras.Model(inputs, made(inputs))
    made.embeddings.assign(table())
    made.fit_unit()
    path = str(tmp_path / "model.h5")
    model.save(path)
    ids = np.array([[1, 2], [0, 7]])
    np.testing.assert_array_equal(keras.models.load_model(path)(ids), model(ids))
