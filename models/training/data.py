"""Reads transformed Examples into batches for training and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ranklite.models.features.layout import IDS, LABEL, NUMERIC, FeatureLayout

Features = dict[str, tf.Tensor]
Augment = Callable[[Features, tf.Tensor, tf.Tensor], tuple[Features, tf.Tensor]]


def _records(files: Sequence[str]) -> tf.data.Dataset:
    if not files:
        raise ValueError("no files to read: the list of TFRecord files is empty")
    missing = [file for file in files if not tf.io.gfile.exists(file)]
    if missing:
        raise FileNotFoundError(f"no such TFRecord file: {', '.join(missing)}")
    return tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")


def count_rows(files: Sequence[str]) -> int:
    """Number of records in some gzipped TFRecord files."""
    return int(_records(files).batch(4096).reduce(0, lambda n, batch: n + tf.shape(batch)[0]))


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Steps of an epoch of whole batches; one of fewer rows where a single batch is not full."""
    return max(1, rows // batch_size)


def dataset(
    files: Sequence[str],
    layout: FeatureLayout,
    batch_size: int,
    *,
    shuffle_rows: int = 0,
    seed: int = 0,
    oov_rate: float | Mapping[str, float] = 0.0,
    drop_remainder: bool = False,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """Streams batches; the same arguments give the same batches, epoch by epoch.

    Args:
      files: Gzipped TFRecord files of transformed Examples; read in the order of their names.
      layout: Where the features live.
      batch_size: Rows a batch.
      shuffle_rows: Rows in the shuffle buffer, refilled in another order each epoch; 0 keeps the
        order of the files.
      seed: Of the order and of the dropped ids.
      oov_rate: Share of the vocabulary's ids that are replaced by their field's out-of-vocabulary
        row, others in each epoch, for all fields or by field; a missing value stays missing, and
        padding stays padding.
      drop_remainder: Leave a last, smaller batch out.
      augment: Changes a batch, given a seed [2] that differs from batch to batch and from epoch to
        epoch, before ids are dropped.

    Returns:
      Batches of ({`ids`: [B, S] int32, `numeric`: [B, N] float32 where N > 0}, label [B, 1]
      float32).

    Raises:
      ValueError: There are no files, or their records do not fit the layout.
      FileNotFoundError: One of them does not exist.
    """
    sizes = {IDS: layout.num_ids, NUMERIC: layout.num_numeric, LABEL: 1}
    columns = {
        name: tf.io.FixedLenFeature([size], tf.int64 if name == IDS else tf.float32)
        for name, size in sizes.items()
        if size
    }
    records = _records(files)
    _check_first_record(records, files, columns, layout.table_rows)

    def parse(batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        features = tf.io.parse_example(batch, columns)
        features[IDS] = tf.cast(features[IDS], tf.int32)  # as runtimes of phones and browsers do
        return features, features.pop(LABEL)

    if shuffle_rows:
        records = records.shuffle(shuffle_rows, seed=seed, reshuffle_each_iteration=True)
    # Parsing a whole batch at once is many times faster than row by row.
    batches = records.batch(batch_size, drop_remainder=drop_remainder).map(
        parse, num_parallel_calls=tf.data.AUTOTUNE
    )
    if augment is not None:
        batches = _with_seeds(batches, seed + 1).map(
            lambda batch, draw: augment(batch[0], batch[1], draw),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if oov_rate:
        batches = _drop_ids(batches, layout, oov_rate, seed)
    options = tf.data.Options()
    # Of several workers each takes its share of every batch, however many files there are.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _check_first_record(
    records: tf.data.Dataset, files: Sequence[str], columns: dict[str, Any], table_rows: int
) -> None:
    """Compares the first record with what the layout expects, to fail with names and numbers."""
    for record in records.take(1):
        example = tf.train.Example.FromString(record.numpy())
        for name, expected in columns.items():
            kind = "int64_list" if expected.dtype == tf.int64 else "float_list"
            values = getattr(example.features.feature[name], kind).value
            if len(values) != expected.shape[0]:
                raise ValueError(
                    f"{sorted(files)[0]}: column {name!r} holds {len(values)} values of "
                    f"{expected.dtype.name}, the layout says {expected.shape[0]}: the Examples "
                    "and the layout come from different Transform runs, or are not transformed"
                )
            if name == IDS and not 0 <= min(values) <= max(values) < table_rows:
                raise ValueError(
                    f"{sorted(files)[0]}: column {name!r} holds {max(values)}, the embedding table "
                    f"of the layout has rows 0 to {table_rows - 1}: the Examples and the layout "
                    "come from different Transform runs"
                )


def _drop_ids(
    batches: tf.data.Dataset, layout: FeatureLayout, rate: float | Mapping[str, float], seed: int
) -> tf.data.Dataset:
    """Sends a share of the vocabulary's ids to their field's out-of-vocabulary row."""
    lengths = [field.length for field in layout.fields]
    oov = np.repeat(np.array([field.oov_row for field in layout.fields], np.int32), lengths)
    missing = np.repeat(np.array([field.missing_row for field in layout.fields], np.int32), lengths)

    by_field = rate if isinstance(rate, Mapping) else {f.name: rate for f in layout.fields}
    rates = [by_field.get(field.name, 0.0) for field in layout.fields]
    chances = np.repeat(np.array(rates, np.float32), lengths)

    def drop(batch: tuple[Features, tf.Tensor], draw: tf.Tensor) -> tuple[Features, tf.Tensor]:
        features, label = batch
        ids = features[IDS]
        chance = tf.random.stateless_uniform(tf.shape(ids), draw)
        # Padding is row 0, below every field; the vocabulary comes after the missing row.
        dropped = tf.where((chance < chances) & (ids > missing), oov, ids)
        return {**features, IDS: dropped}, label

    return _with_seeds(batches, seed).map(drop, num_parallel_calls=tf.data.AUTOTUNE)


def _with_seeds(batches: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    """Pairs each batch with a seed [2] of its own, others in each epoch."""
    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    seeds = numbers.map(lambda number: tf.stack([number, tf.constant(seed, tf.int64)]))
    return tf.data.Dataset.zip((batches, seeds))
