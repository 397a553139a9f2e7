"""The rules that turn raw features into ids and numbers, the same in Transform and in TFLite.

They use only what both know: `models.features.transform` runs them over a log,
`models.features.raw_signature` inside a TFLite file.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from ranklite.models.features.kind import Number
from ranklite.models.features.layout import MISSING, PADDING_ROW

# Of deviations from the mean. Squared by the factorization machine, a number further out would end
# in NaN, and one at 50 deviations takes the whole range of int8 activations to itself.
LARGEST = 10.0
# Numbers, or columns, from which on they are put together before anything is done to them. Each
# operation costs a trace, a load and a conversion. Of few numbers, what a candidate has in common
# with others is computed once for all of them where they are apart.
TOGETHER = 64


def squash(x: tf.Tensor) -> tf.Tensor:
    """sign(x) log(1 + |x|); in TFLite it overflows beyond 1e36.

    Where 1 + |x| is 1 in float32 it is 0, as it is in TFLite, which has no log1p.
    """
    size = tf.where(tf.abs(x) > 2.0**-24, tf.abs(x), tf.zeros_like(x))
    size = tf.where(is_present(x), size, tf.abs(x))
    return tf.sign(x) * tf.math.log1p(size)


def is_present(x: tf.Tensor) -> tf.Tensor:
    """True where x is a finite number.

    TFLite has neither IsNan nor IsFinite, but no comparison with NaN holds. The opposite of this is
    not offered, because TensorFlow's optimizer turns `not a < b` into `a >= b`.
    """
    return tf.abs(x) < float("inf")


def standardize(x: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
    """(x - mean) / std within `LARGEST` deviations, and 0, the mean, where x is missing."""
    z = tf.minimum(tf.maximum((x - mean) / std, -LARGEST), LARGEST)
    return tf.where(is_present(x), z, tf.constant(0, x.dtype))


def present_or_zero(x: tf.Tensor) -> tf.Tensor:
    """x, and 0 where it is missing."""
    return tf.where(is_present(x), x, tf.constant(0, x.dtype))


def numeric_columns(
    numbers: Sequence[Number], values: Sequence[tf.Tensor], made: Sequence[tf.Tensor]
) -> tf.Tensor:
    """The tensor `numeric` [B, N], columns as `FeatureSet.numeric_names` gives them.

    Args:
      numbers: Of the features.
      values: [B] of each, missing values still in it.
      made: [B] of each, after `standardize` or `present_or_zero`.
    """
    columns = []
    for number, x, z in zip(numbers, values, made, strict=True):
        columns.append(z)
        if number.missing_indicator:
            zero, one = tf.constant(0, x.dtype), tf.constant(1, x.dtype)
            columns.append(tf.where(is_present(x), zero, one))
    return tf.stack(columns, axis=1)


def numeric_together(
    numbers: Sequence[Number], x: tf.Tensor, means: tf.Tensor, stds: tf.Tensor
) -> tf.Tensor:
    """The same of all numbers at once, in a few operations however many there are.

    Args:
      numbers: Of the features.
      x: [B, K], missing values still in it.
      means: Of those that are standardized, in order.
      stds: Their standard deviations.
    """
    everything = list(range(len(numbers)))
    wanted = [k for k in everything if numbers[k].standardized]
    plain = [k for k in everything if not numbers[k].standardized]
    shown = [k for k in everything if numbers[k].missing_indicator]

    def of(places: list[int]) -> tf.Tensor:
        return x if places == everything else tf.gather(x, places, axis=1)

    blocks = [standardize(of(wanted), means, stds)] if wanted else []
    blocks += [present_or_zero(of(plain))] if plain else []
    if shown:
        zero, one = tf.constant(0, x.dtype), tf.constant(1, x.dtype)
        blocks.append(tf.where(is_present(of(shown)), zero, one))
    if len(blocks) == 1:
        return blocks[0]
    order = [
        place
        for k in everything
        for place in (
            (wanted + plain).index(k),
            *([len(everything) + shown.index(k)] if k in shown else []),
        )
    ]
    return tf.gather(tf.concat(blocks, axis=1), order, axis=1)


def table_rows(
    rows: tf.Tensor, offset: tf.Tensor | int, length: int, is_list: bool, is_filled: bool = True
) -> tf.Tensor:
    """Rows of the fused table from rows within a field.

    Args:
      rows: [B] or [B, length] int64.
      offset: Of the field.
      length: Columns of the field.
      is_list: Whether missing values are padding.
      is_filled: Of a list: whether it has the missing row first where it has no other.

    Returns:
      [B, length] int64.
    """
    rows = tf.reshape(rows, [-1, length]) + offset
    if not is_list:
        return rows
    missing = offset + MISSING
    rows = tf.where(rows == missing, tf.constant(PADDING_ROW, rows.dtype), rows)
    return fill_empty_lists(rows, missing) if is_filled else rows


def fill_empty_lists(rows: tf.Tensor, missing_row: tf.Tensor | int) -> tf.Tensor:
    """Puts the missing row into the first place of a list without any value.

    Args:
      rows: [B, L] integers, padding where there is no value.
      missing_row: The row that says so.
    """
    return tf.concat(filled_parts(rows, missing_row), axis=1)


def filled_parts(rows: tf.Tensor, missing_row: tf.Tensor | int) -> list[tf.Tensor]:
    """The first column of `fill_empty_lists`, and the others, if there are any."""
    empty = tf.reduce_max(rows, axis=1, keepdims=True) == PADDING_ROW
    first = tf.where(empty, tf.cast(missing_row, rows.dtype), rows[:, :1])
    return [first, rows[:, 1:]] if rows.shape[1] != 1 else [first]
