"""Vocabularies in Transform: values by frequency, looked up by rank."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.layout import MISSING, MISSING_STRING, OOV, RESERVED_ROWS
from ranklite.models.features.vocabulary_files import Wanted, WriteVocabularies, size


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
        waiting = tf.cast(tf.strings.length(path), tf.int64)
        return _nothing().lookup(words) + waiting, waiting
    dataset = tft.make_and_track_object(functools.partial(_records, path))
    with tf.init_scope():
        table = tf.lookup.StaticHashTable(tf.data.experimental.DatasetInitializer(dataset), -1)
        count = table.size()
    return table.lookup(words), count


def look_up_together(
    words: Sequence[tf.Tensor], paths: Sequence[tf.Tensor]
) -> tuple[list[tf.Tensor], list[tf.Tensor | int]]:
    """The same of many vocabularies at once, in one table.

    A table is some functions of a saved graph, and every stage that loads it pays for each of them:
    500 took minutes. The key of word w of vocabulary v is `v.w`; the files stay one a vocabulary.

    Args:
      words: Values [B, L] as strings, of each vocabulary.
      paths: What `learn` returned, of each vocabulary.

    Returns:
      Ranks [B, L], and the number of values, of each vocabulary.
    """
    lengths = [each.shape[1] for each in words]
    together = tf.concat(words, axis=1)
    owner = np.repeat(np.arange(len(words)), lengths)
    numbers = tf.broadcast_to(tf.constant([f"{v}." for v in owner]), tf.shape(together))
    keys = tf.strings.join([numbers, together])
    if tf.is_symbolic_tensor(paths[0]):
        waiting = [tf.cast(tf.strings.length(path), tf.int64) for path in paths]
        ranks = _nothing().lookup(keys) + tf.add_n(waiting)
        return tf.split(ranks, lengths, axis=1), waiting
    with tf.init_scope():
        sizes = [size(path) for path in paths]
    starts = np.cumsum([0, *sizes], dtype=np.int64)[:-1]
    dataset = tft.make_and_track_object(functools.partial(_all_records, paths, starts))
    with tf.init_scope():
        table = tf.lookup.StaticHashTable(tf.data.experimental.DatasetInitializer(dataset), -1)
    place = table.lookup(keys)
    ranks = tf.where(place < 0, place, place - starts[owner])
    return tf.split(ranks, lengths, axis=1), list(sizes)


def _nothing() -> tf.lookup.StaticHashTable:
    """A table for as long as nothing is learned.

    TFT looks at the graph: a lookup says that it will need the words.
    """
    with tf.init_scope():
        nothing = tf.lookup.KeyValueTensorInitializer([""], [0], tf.string, tf.int64)
        return tf.lookup.StaticHashTable(nothing, -1)


def _records(path: tf.Tensor) -> tf.data.Dataset:
    words = tf.data.TFRecordDataset(path, compression_type="GZIP")
    return tf.data.Dataset.zip((words, tf.data.Dataset.range(tf.int64.max)))


def _all_records(paths: Sequence[tf.Tensor], starts: npt.NDArray[np.int64]) -> tf.data.Dataset:
    """Keys, and their places in all files one after the other."""

    def keyed(word: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        number = tf.searchsorted(starts, place[None], side="right")[0] - 1
        return tf.strings.join([tf.strings.as_string(number), word], "."), place

    return _records(tf.stack(paths)).map(keyed)


def rows(words: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """Rows within a field of values and their ranks, int64 of the same shape."""
    found = tf.where(rank < 0, tf.constant(OOV, tf.int64), rank + RESERVED_ROWS)
    return tf.where(words == MISSING_STRING, tf.constant(MISSING, tf.int64), found)
