"""Reads transformed Examples into batches for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.layout import IDS, NUMERIC, PADDING_ROW, FeatureLayout

LABEL = "label"


def _records(files: Sequence[str]) -> tf.data.Dataset:
    if not files:
        raise ValueError("no files to read: the list of TFRecord files is empty")
    return tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")


def count_rows(files: Sequence[str]) -> int:
    """Number of records in some gzipped TFRecord files."""
    return int(_records(files).batch(4096).reduce(0, lambda n, batch: n + tf.shape(batch)[0]))


def dataset(
    files: Sequence[str],
    layout: FeatureLayout,
    batch_size: int,
    *,
    shuffle_rows: int = 0,
    seed: int = 0,
    oov_rate: float = 0.0,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Streams batches; the same arguments give the same batches, epoch by epoch.

    Args:
      files: Gzipped TFRecord files of transformed Examples; read in the order of their names.
      layout: Where the features live.
      batch_size: Rows a batch.
      shuffle_rows: Rows in the shuffle buffer, refilled in another order each epoch; 0 keeps the
        order of the files.
      seed: Of the order and of the dropped ids.
      oov_rate: Share of ids that are replaced by their field's out-of-vocabulary row.
      drop_remainder: Leave a last, smaller batch out.

    Returns:
      Batches of ({`ids`: [B, S] int64, `numeric`: [B, N] float32 where N > 0}, label [B, 1]
      float32).

    Raises:
      ValueError: There are no files.
    """
    columns = {
        IDS: tf.io.FixedLenFeature([layout.num_ids], tf.int64),
        LABEL: tf.io.FixedLenFeature([1], tf.float32),
    }
    if layout.num_numeric:
        columns[NUMERIC] = tf.io.FixedLenFeature([layout.num_numeric], tf.float32)

    def parse(batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        # Parsing a whole batch at once is many times faster than row by row.
        features = tf.io.parse_example(batch, columns)
        return features, features.pop(LABEL)

    records = _records(files)
    if shuffle_rows:
        records = records.shuffle(shuffle_rows, seed=seed, reshuffle_each_iteration=True)
    batches = records.batch(batch_size, drop_remainder=drop_remainder).map(
        parse, num_parallel_calls=tf.data.AUTOTUNE
    )
    if oov_rate:
        batches = _drop_ids(batches, layout, oov_rate, seed)
    return batches.prefetch(tf.data.AUTOTUNE)


def _drop_ids(
    batches: tf.data.Dataset, layout: FeatureLayout, rate: float, seed: int
) -> tf.data.Dataset:
    """Sends a share of the ids to the out-of-vocabulary row of their field, never the padding."""
    oov = np.concatenate([np.full(f.length, f.oov_row, np.int64) for f in layout.fields])[None]

    def drop(
        batch: tuple[dict[str, tf.Tensor], tf.Tensor], number: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        features, label = batch
        ids = features[IDS]
        chance = tf.random.stateless_uniform(tf.shape(ids), tf.stack([number, seed]))
        replaced = tf.where((chance < rate) & (ids != PADDING_ROW), oov, ids)
        return {**features, IDS: replaced}, label

    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip((batches, numbers)).map(drop, num_parallel_calls=tf.data.AUTOTUNE)
