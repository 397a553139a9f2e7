"""LazyAdam against its formula and against dense Adam."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from ranklite.models.training.lazy_adam import LazyAdam

TABLE = np.arange(12, dtype=np.float32).reshape(6, 2) / 10


def lookup_steps(
    optimizer: keras.optimizers.Optimizer, batches: list[list[int]], table: np.ndarray = TABLE
) -> tf.Variable:
    """Minimizes sum_i i * |row_i|^2 / 2 over the rows of each batch."""
    variable = tf.Variable(table)
    for rows in batches:
        with tf.GradientTape() as tape:
            values = tf.gather(variable, rows)
            scale = tf.constant(rows, tf.float32)[:, None] + 1
            loss = tf.reduce_sum(scale * tf.square(values)) / 2
        gradient = tape.gradient(loss, variable)
        assert isinstance(gradient, tf.IndexedSlices)
        optimizer.apply_gradients([(gradient, variable)])
    return variable


def test_first_step_by_hand() -> None:
    optimizer = LazyAdam(0.1, epsilon=0.5)
    result = lookup_steps(optimizer, [[2]])
    gradient = 3 * TABLE[2]
    m, v = 0.1 * gradient, 0.001 * gradient**2
    rate = 0.1 * np.sqrt(1 - 0.999) / (1 - 0.9)
    np.testing.assert_allclose(result[2], TABLE[2] - rate * m / (np.sqrt(v) + 0.5), rtol=1e-5)
    np.testing.assert_allclose(optimizer.get_slot(result, "m")[2], m, rtol=1e-5)
    np.testing.assert_allclose(optimizer.get_slot(result, "v")[2], v, rtol=1e-4)


def test_is_adam_where_every_row_is_looked_up() -> None:
    batches = [list(range(6)), [5, 4, 3, 2, 1, 0], list(range(6))]
    lazy = lookup_steps(LazyAdam(0.05), batches)
    dense = lookup_steps(keras.optimizers.legacy.Adam(0.05), batches)
    np.testing.assert_allclose(lazy, dense, rtol=1e-5)


def test_equal_ids_are_summed_before_the_update() -> None:
    twice = lookup_steps(LazyAdam(0.05), [[1, 4, 1]])
    dense = lookup_steps(keras.optimizers.legacy.Adam(0.05), [[1, 4, 1]])
    np.testing.assert_allclose(twice, dense, rtol=1e-5)


def test_other_rows_keep_weights_and_moments() -> None:
    optimizer = LazyAdam(0.05)
    table = lookup_steps(optimizer, [[1, 4], [1]])
    slots = [optimizer.get_slot(table, name).numpy() for name in ("m", "v")]
    np.testing.assert_array_equal(np.delete(table, [1, 4], 0), np.delete(TABLE, [1, 4], 0))
    assert not any(np.delete(slot, [1, 4], 0).any() for slot in slots)
    # Row 4 was looked up in the first step only: the second left it and its moments alone.
    once = LazyAdam(0.05)
    first = lookup_steps(once, [[1, 4]])
    np.testing.assert_array_equal(table[4], first[4])
    for slot, name in zip(slots, ("m", "v"), strict=True):
        np.testing.assert_array_equal(slot[4], once.get_slot(first, name)[4])


def test_penalty_is_the_gradient_of_half_the_squared_rows() -> None:
    penalized = lookup_steps(LazyAdam(0.05, l2=0.5), [[2, 3, 2]])
    # Adding l2 to the curvature of each distinct row once is the same as adding the penalty.
    variable = tf.Variable(TABLE)
    gradient = tf.IndexedSlices(
        tf.constant([(2 * 3 + 0.5) * TABLE[2], (4 + 0.5) * TABLE[3]]), [2, 3]
    )
    LazyAdam(0.05).apply_gradients([(gradient, variable)])
    np.testing.assert_allclose(penalized, variable, rtol=1e-5)


def test_dense_gradients_get_plain_adam_without_penalty() -> None:
    ours, theirs = tf.Variable(TABLE), tf.Variable(TABLE)
    for optimizer, variable in (
        (LazyAdam(0.05, l2=0.5), ours),
        (keras.optimizers.legacy.Adam(0.05), theirs),
    ):
        optimizer.apply_gradients([(tf.constant(TABLE), variable)])
    np.testing.assert_array_equal(ours, theirs)


def test_is_rebuilt_from_its_config() -> None:
    optimizer = LazyAdam(0.02, l2=0.3, beta_1=0.8)
    again = keras.optimizers.deserialize(
        keras.optimizers.serialize(optimizer), use_legacy_optimizer=True
    )
    assert isinstance(again, LazyAdam)
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["l2"] == pytest.approx(0.3)


def test_ridge_pays_for_the_steps_since_a_row_was_seen() -> None:
    """Two rows whose data say nothing: one looked up in each of four steps, one in the last."""
    often, rarely = LazyAdam(0.01, ridge=0.2), LazyAdam(0.01, ridge=0.2)
    table = np.full((2, 4), 0.5, np.float32)
    first, second = tf.Variable(table), tf.Variable(table)
    nothing = tf.zeros((1, 4))
    for step in range(4):
        often.apply_gradients([(tf.IndexedSlices(nothing, [0]), first)])
        row = 1 if step == 3 else 0
        rarely.apply_gradients([(tf.IndexedSlices(nothing, [row]), second)])
    # The gradient of ridge sqrt(D) / 2 |w|^2 over four steps at once, in the place of one.
    m = rarely.get_slot(second, "m")[1]
    np.testing.assert_allclose(m, 0.1 * 0.2 * 2 * 4 * 0.5 * np.ones(4), rtol=1e-5)
    np.testing.assert_array_equal(rarely.get_slot(second, "seen"), [3.0, 4.0])
    np.testing.assert_array_equal(often.get_slot(first, "seen"), [4.0, 0.0])
    assert float(first[0, 0]) < 0.5
    assert float(first[1, 0]) == 0.5


def test_ridge_is_that_of_a_regression() -> None:
    """The weights of a table and of a kernel come to where ridge regression puts them."""
    rng = np.random.default_rng(0)
    ids, x = rng.integers(0, 3, 600), rng.normal(size=(600, 1)).astype(np.float32)
    y = (np.array([0.5, -1.0, 2.0])[ids] + 0.7 * x[:, 0]).astype(np.float32)
    design = np.concatenate([np.eye(3)[ids], x], axis=1)
    strength = 60.0
    wanted = np.linalg.solve(design.T @ design + strength * np.eye(4), design.T @ y)
    table, kernel = tf.Variable(tf.zeros((3, 1))), tf.Variable(tf.zeros((1, 1)))
    optimizer = LazyAdam(0.02, ridge=strength / 600)
    for step in range(1500):
        optimizer.learning_rate = 0.02 * 0.997**step
        rows = rng.integers(0, 600, 128)
        with tf.GradientTape() as tape:
            error = tf.gather(table, ids[rows]) + x[rows] @ kernel - y[rows, None]
            loss = tf.reduce_mean(tf.square(error)) / 2
        variables = [table, kernel]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    held = np.concatenate([table.numpy()[:, 0], kernel.numpy()[0]])
    np.testing.assert_allclose(held, wanted, atol=0.03)


def test_a_number_for_each_row_pays_no_ridge() -> None:
    """Such as the scales of rows that are rounded to 8 bits."""
    ours, theirs = tf.Variable([1.0, 2.0]), tf.Variable([1.0, 2.0])
    gradient = tf.IndexedSlices(tf.constant([0.5]), tf.constant([1]))
    LazyAdam(0.05, ridge=0.5).apply_gradients([(gradient, ours)])
    LazyAdam(0.05).apply_gradients([(gradient, theirs)])
    np.testing.assert_array_equal(ours, theirs)
