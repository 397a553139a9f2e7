"""Columns read the same whichever way a schema makes them arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ranklite.models.features.columns import lists, scalars, scalars_together, text
from ranklite.models.features.layout import MISSING_INT64

ROWS = [[b"a", b"b", b"c"], [], [b"d"]]


def ragged(rows: list[list[Any]], dtype: tf.DType = tf.string) -> tf.RaggedTensor:
    return tf.ragged.constant(rows, dtype, ragged_rank=1)


@pytest.mark.parametrize("kind", ["sparse", "ragged"])
def test_lists_are_cut_and_filled(kind: str) -> None:
    column = ragged(ROWS)
    column = column.to_sparse() if kind == "sparse" else column
    cut = lists(column, 2)
    assert cut.numpy().tolist() == [[b"a", b"b"], [b"", b""], [b"d", b""]]
    filled = lists(column, 5)
    assert filled.shape[1] == 5
    assert filled.numpy()[2].tolist() == [b"d", b"", b"", b"", b""]
    assert scalars(column).numpy().tolist() == [b"a", b"", b"d"]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (tf.string, ([b"a", b"b"], [], [b"d"])),
        (tf.int64, ([], [-7, 0, 7], [2**40])),
        (tf.float32, ([1.5], [np.nan], [])),
    ],
)
def test_several_columns_are_read_as_each_alone(dtype: tf.DType, values: Any) -> None:
    shifts = [[values[(row + first) % 3] for row in range(3)] for first in range(3)]
    columns = [ragged(rows, dtype).to_sparse() for rows in [*shifts, [[], [], []]]]
    together = scalars_together(columns)
    assert together.shape == (3, 4)
    for number, column in enumerate(columns):
        np.testing.assert_array_equal(together[:, number], scalars(column))
    nothing = [ragged([], dtype).to_sparse()] * 2
    assert scalars_together(nothing).shape == (0, 2)


def test_dense_columns_keep_their_zeros() -> None:
    column = tf.constant([[0, 5, 0], [7, 0, 1]], tf.int64)
    assert lists(column, 2).numpy().tolist() == [[0, 5], [7, 0]]
    assert lists(column, 4).numpy()[:, 3].tolist() == [MISSING_INT64] * 2
    assert scalars(column).numpy().tolist() == [0, 7]
    assert scalars(tf.constant([1.0, 2.0])).numpy().tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(
        lists(tf.constant([1.0, 2.0]), 2).numpy(), [[1.0, np.nan], [2.0, np.nan]]
    )


@pytest.mark.parametrize("rows", [[], [[], []]])
def test_no_rows_and_no_values(rows: list[list[Any]]) -> None:
    for column in (ragged(rows, tf.float32), ragged(rows, tf.float32).to_sparse()):
        assert lists(column, 2).shape == (len(rows), 2)
        assert np.isnan(lists(column, 2)).all()


def test_a_batch_whose_longest_row_is_short_has_the_full_width_in_a_graph() -> None:
    """TFLite and Keras need the width at tracing time."""
    traced = tf.function(lambda column: lists(column, 4)).get_concrete_function(
        tf.SparseTensorSpec([None, None], tf.string)
    )
    assert traced.output_shapes.as_list() == [None, 4]
    assert traced(ragged([[b"a"]]).to_sparse()).numpy().tolist() == [[b"a", b"", b"", b""]]


def test_text() -> None:
    assert text(tf.constant([b"a", b""])).numpy().tolist() == [b"a", b""]
    integers = tf.constant([0, -5, 2**62, MISSING_INT64], tf.int64)
    assert text(integers).numpy().tolist() == [b"0", b"-5", b"4611686018427387904", b""]
    numbers = tf.constant([1.0, 0.1, np.nan, np.inf])
    assert text(numbers).numpy().tolist() == [b"1", b"0.1", b"", b""]
