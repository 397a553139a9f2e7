"""Vocabularies in Transform: values by frequency, looked up by rank."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.layout import MISSING, MISSING_STRING, OOV, RESERVED_ROWS
from ranklite.models.features.vocabulary_files import Wanted, WriteVocabularies


def learn(words: Mapping[Wanted, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Makes vocabularies of the train split, all in one pass.

    Args:
      words: [B] or [B, L] values as strings of each, missing ones in their places.

    Returns:
      The path of each vocabulary's file, by its name.
    """
    if not words:
        return {}
    paths = tft.experimental.ptransform_analyzer(
        list(words.values()),
        WriteVocabularies(list(words)),
        [tf.string] * len(words),
        [[]] * len(words),
        [b""] * len(words),
    )
    for vocabulary in words:
        tft.annotate_asset(vocabulary.name, vocabulary.file_name)
    return {vocabulary.name: path for vocabulary, path in zip(words, paths, strict=True)}


def look_up(words: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The rank of each value in the vocabulary of a file, -1 if absent, and the number of values.

    `tft.apply_vocabulary` does the same, and notes bounds of the ranks for a schema, though no rank
    leaves the graph: TFT traces the function once more for such notes.

    Args:
      words: Values as strings, of any shape.
      path: What `learn` returned.
    """
    if tf.is_symbolic_tensor(path):
        # Nothing is learned yet. TFT looks at the graph: a lookup says that it will need the words.
        with tf.init_scope():
            nothing = tf.lookup.KeyValueTensorInitializer([""], [0], tf.string, tf.int64)
            table = tf.lookup.StaticHashTable(nothing, -1)
        waiting = tf.cast(tf.strings.length(path), tf.int64)
        return table.lookup(words) + waiting, waiting
    dataset = tft.make_and_track_object(functools.partial(_records, path))
    with tf.init_scope():
        table = tf.lookup.StaticHashTable(tf.data.experimental.DatasetInitializer(dataset), -1)
        size = table.size()
    return table.lookup(words), size


def _records(path: tf.Tensor) -> tf.data.Dataset:
    words = tf.data.TFRecordDataset(path, compression_type="GZIP")
    return tf.data.Dataset.zip((words, tf.data.Dataset.range(tf.int64.max)))


def rows(words: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """Rows within a field of values and their ranks, int64 of the same shape."""
    found = tf.where(rank < 0, tf.constant(OOV, tf.int64), rank + RESERVED_ROWS)
    return tf.where(words == MISSING_STRING, tf.constant(MISSING, tf.int64), found)
