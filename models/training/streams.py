"""Reads many gzipped TFRecord files at a time, in an order that follows from the seed alone."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ranklite.models.environment import cores
from ranklite.models.features import row_counts, tfrecords

READERS = 8  # files that are read at a time; part of the order of mixed rows
CHUNK = 512  # rows that follow each other from one of them
WINDOW_BYTES = 1 << 26  # of rows that are shuffled at a time

# Nothing here has Python's control flow over tensors: AutoGraph would rewrite it for nothing.
as_written = tf.autograph.experimental.do_not_convert

Parse = Callable[[tf.Tensor], Any]


def options() -> tf.data.Options:
    """What every dataset here is read with.

    Autotuning is off: with it, giving an iterator up took up to seconds now and then, without any
    work being done, which every epoch of a training waits for. Why is not known for certain; what
    is seen is that the waits go with it and are not there without it.
    """
    options = tf.data.Options()
    # Of several workers each takes its share of every batch, however many files there are.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.autotune.enabled = False
    return options


def records(files: Sequence[str]) -> tf.data.Dataset:
    """The records of some files, one after the other."""
    return _gzipped(tfrecords.in_order(files)).with_options(options())


def count(files: Sequence[str]) -> int:
    """How many records some files hold; they are read once in the life of a process.

    Raises:
      RowsMissing: They hold fewer records or more than they should.
    """
    return _count(states(tfrecords.in_order(files)))


def states(files: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """What tells whether files were written anew: name, bytes and time of each."""
    return tuple((file, s.st_size, s.st_mtime_ns) for file in files for s in [os.stat(file)])


@functools.lru_cache(maxsize=8)
def _count(written: tuple[tuple[str, int, int], ...]) -> int:
    files = [file for file, *_ in written]
    read = interleaved(_names(files), lambda file: _gzipped(file).batch(4096).map(tf.size))
    total = lambda n, size: n + tf.cast(size, tf.int64)  # noqa: E731
    with row_counts.counted(files) as counter:
        rows = read.with_options(options()).reduce(tf.constant(0, tf.int64), as_written(total))
        counter.add(int(rows))
    return counter.rows


def _names(files: Sequence[str]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(tfrecords.in_order(files))


def _gzipped(files: str | Sequence[str] | tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(files, compression_type="GZIP")


def interleaved(
    names: tf.data.Dataset, read: Callable[[tf.Tensor], tf.data.Dataset]
) -> tf.data.Dataset:
    """What some files give, of several at a time and by all cores, in an order of its own."""
    return names.interleave(
        as_written(read),
        cycle_length=READERS,
        num_parallel_calls=min(READERS, cores()),
        deterministic=True,
    )


def mixed(
    files: Sequence[str],
    parse: Parse,
    row_bytes: int,
    batch_size: int,
    shuffle_rows: int,
    seed: int,
    drop_remainder: bool,
) -> tf.data.Dataset:
    """Shuffled batches of a split that is never in memory as a whole.

    Files come in another order each epoch; chunks of several at a time fill a window, whose rows
    are shuffled. Rows are parsed by the chunk and shuffled as numbers of rows: a buffer of single
    records costs more than all the rest. The order depends on the files and the seed, not on the
    machine.

    Args:
      files: Gzipped TFRecord files.
      parse: From serialized Examples [R] to tensors whose first axis is the rows'.
      row_bytes: Of these, a row.
      batch_size: Rows a batch.
      shuffle_rows: Most rows of a window.
      seed: Of the order.
      drop_remainder: Leave a last, smaller batch out.
    """
    names = _names(files).shuffle(len(files), seed=seed, reshuffle_each_iteration=True)
    chunks = interleaved(names, lambda file: _gzipped(file).batch(CHUNK).map(parse))
    window = max(batch_size, min(shuffle_rows, WINDOW_BYTES // row_bytes))

    @as_written
    def shuffled(rows: Any, draw: tf.Tensor) -> Any:
        size = tf.shape(tf.nest.flatten(rows)[0])[:1]
        order = tf.argsort(tf.random.stateless_uniform(size, draw))
        return tf.nest.map_structure(lambda column: tf.gather(column, order), rows)

    windows = with_seeds(chunks.rebatch(window), seed + 2).map(shuffled)
    return windows.prefetch(1).rebatch(batch_size, drop_remainder=drop_remainder)


def with_seeds(batches: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    """Pairs each batch with a seed [2] of its own, others in each epoch."""
    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    paired = as_written(lambda number: tf.stack([number, tf.constant(seed, tf.int64)]))
    seeds = numbers.map(paired)
    return tf.data.Dataset.zip((batches, seeds))
