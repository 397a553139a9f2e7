"""Vocabularies in Transform: values by frequency, looked up by rank."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.layout import MISSING, MISSING_STRING, OOV, RESERVED_ROWS
from ranklite.models.features.vocabulary_files import Wanted, WriteVocabularies, write


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
        [_empty_file()] * len(words),
    )
    for vocabulary in words:
        tft.annotate_asset(vocabulary.name, vocabulary.file_name)
    return {vocabulary.name: path for vocabulary, path in zip(words, paths, strict=True)}


def look_up(words: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The rank of each value in the vocabulary of a file, -1 if absent, and the number of values.

    Args:
      words: Values as strings, of any shape.
      path: What `learn` returned.
    """
    rank = tft.apply_vocabulary(words, path, default_value=-1, lookup_fn=_ranks)
    return rank, tft.get_num_buckets_for_transformed_feature(rank)


def _ranks(words: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What TFT does, without its function of the dataset: each trace and load would pay for it."""
    if tf.is_symbolic_tensor(path):  # TFT looks at the graph, and never runs it
        table = _table(_records(path))
        return table.lookup(words), table.size()
    dataset = tft.make_and_track_object(functools.partial(_records, path))
    with tf.init_scope():
        table = _table(dataset)
        size = table.size()
    return table.lookup(words), size


def _records(path: tf.Tensor) -> tf.data.Dataset:
    words = tf.data.TFRecordDataset(path, compression_type="GZIP")
    return tf.data.Dataset.zip((words, tf.data.Dataset.range(tf.int64.max)))


def _table(dataset: tf.data.Dataset) -> tf.lookup.StaticHashTable:
    return tf.lookup.StaticHashTable(tf.data.experimental.DatasetInitializer(dataset), -1)


def rows(words: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """Rows within a field of values and their ranks, int64 of the same shape."""
    found = tf.where(rank < 0, tf.constant(OOV, tf.int64), rank + RESERVED_ROWS)
    return tf.where(words == MISSING_STRING, tf.constant(MISSING, tf.int64), found)


@functools.cache
def _empty_file() -> bytes:
    """What a trace reads in the place of a vocabulary that is not made yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "empty")
        write(path, [])
        with open(path, "rb") as file:
            return file.read()
