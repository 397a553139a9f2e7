"""Vocabularies in Transform: values by frequency, looked up by rank."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.columns import text
from ranklite.models.features.layout import MISSING, MISSING_STRING, OOV, RESERVED_ROWS

FILE_FORMAT = "tfrecord_gzip"  # in a text file, no value can have a line break: TFT drops it


def learn(
    values: tf.Tensor, name: str, min_count: int = 1, size: int | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Makes a vocabulary of the train split, and looks values up in it.

    Args:
      values: [B] or [B, L] string, int64 or float32, missing values in their places.
      name: Of the vocabulary, for `Learned.vocabulary`: the feature's.
      min_count: Values seen less often are left out.
      size: Keep only the most frequent values; None keeps all.

    Returns:
      Rows within a field, int64 of the values' shape, and the number of values in the vocabulary.
    """
    rows, count, _ = learn_and_look_up(values, (), name, min_count, size)
    return rows, count


def learn_and_look_up(
    values: tf.Tensor,
    others: Sequence[tf.Tensor],
    name: str,
    min_count: int = 1,
    size: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """As `learn` does, and looks up other values, from which nothing is learned."""
    words = text(values)
    path = tft.vocabulary(
        tf.boolean_mask(words, words != MISSING_STRING),
        vocab_filename=name,
        frequency_threshold=min_count if min_count > 1 else None,
        top_k=size,
        file_format=FILE_FORMAT,
    )
    count = tf.cast(tft.experimental.get_vocabulary_size_by_name(name), tf.int64)
    return _rows(words, path), count, [_rows(text(other), path) for other in others]


def _rows(words: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
    rank = tft.apply_vocabulary(words, path, default_value=-1, file_format=FILE_FORMAT)
    rows = tf.where(rank < 0, tf.constant(OOV, tf.int64), rank + RESERVED_ROWS)
    return tf.where(words == MISSING_STRING, tf.constant(MISSING, tf.int64), rows)
