"""Reads transformed Examples into batches for training and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from ranklite.models.features import row_counts, tfrecords
from ranklite.models.features.layout import IDS, LABEL, NUMERIC, FeatureLayout
from ranklite.models.training import in_memory, streams

_PARSED_ROWS = 8192  # at a time, of a split that is read into memory
_PREFETCHED = 2  # batches

Features = dict[str, tf.Tensor]
Augment = Callable[[Features, tf.Tensor, tf.Tensor], tuple[Features, tf.Tensor]]


def _check_files(files: Sequence[str]) -> None:
    if not files:
        raise ValueError("no files to read: the list of TFRecord files is empty")
    missing = [file for file in files if not tf.io.gfile.exists(file)]
    if missing:
        raise FileNotFoundError(f"no such TFRecord file: {', '.join(missing)}")


def count_rows(files: Sequence[str], layout: FeatureLayout) -> int:
    """Number of records in some gzipped TFRecord files of transformed Examples.

    Raises:
      RowsMissing: It is not what it should be.
    """
    held = _in_memory(files, layout)
    if held is not None:
        return int(held[LABEL].shape[0])
    return streams.count(files)


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
    mixed: bool = False,
) -> tf.data.Dataset:
    """Streams batches; the same arguments give the same batches, epoch by epoch.

    Args:
      files: Gzipped TFRecord files of transformed Examples; read in the order of their names and
        numbers.
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
      mixed: Shuffle by chunks of several files at a time, in another order each epoch, and rows in
        windows of `shuffle_rows`, or fewer where these are large: what a split needs that has more
        rows than a buffer would hold, and some times faster. Rows in memory have no need of it.

    Returns:
      Batches of ({`ids`: [B, S] int32, `numeric`: [B, N] float32 where N > 0}, label [B, 1]
      float32).

    Raises:
      ValueError: There are no files, or their records do not fit the layout.
      FileNotFoundError: One of them does not exist.
      RowsMissing: They hold fewer rows or more than they should.
    """
    held = _in_memory(files, layout)
    if held is None:
        streams.count(files)  # what reads the stream sees batches, and often not all of them
    if held is not None:
        batches = _gathered(held, batch_size, shuffle_rows, seed, drop_remainder)
    elif mixed and shuffle_rows:
        _check_first_record(streams.records(files), files, layout)
        row = 4 * sum(column.shape[0] for column in _columns(layout).values())
        order = batch_size, shuffle_rows, seed, drop_remainder
        batches = streams.mixed(files, _parser(layout), row, *order)
    else:
        batches = _parsed(files, layout, batch_size, shuffle_rows, seed, drop_remainder)
    if augment is not None:
        batches = streams.with_seeds(batches, seed + 1).map(
            lambda batch, draw: augment(batch[0], batch[1], draw),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if oov_rate:
        batches = _drop_ids(batches, layout, oov_rate, seed)
    return _streamed(batches)


def _streamed(batches: tf.data.Dataset) -> tf.data.Dataset:
    return batches.prefetch(_PREFETCHED).with_options(streams.options())


def in_order(
    files: Sequence[str], layout: FeatureLayout, batch_size: int
) -> Iterator[tuple[Features, tf.Tensor]]:
    """The batches of `dataset` without its options, one pass: cheaper to begin than a dataset."""
    held = _in_memory(files, layout)
    if held is None:
        with row_counts.counted(tfrecords.in_order(files)) as counter:
            for features, label in _streamed(_parsed(files, layout, batch_size)):
                counter.add(int(label.shape[0]))
                yield features, label
        return
    for start in range(0, int(held[LABEL].shape[0]), batch_size):
        features = {name: column[start : start + batch_size] for name, column in held.items()}
        yield features, features.pop(LABEL)


def specs(layout: FeatureLayout) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of a batch's features, whatever its number of rows."""
    return {
        name: tf.TensorSpec([None, *column.shape], tf.int32 if name == IDS else column.dtype, name)
        for name, column in _columns(layout).items()
        if name != LABEL
    }


def _columns(layout: FeatureLayout) -> dict[str, tf.io.FixedLenFeature]:
    sizes = {IDS: layout.num_ids, NUMERIC: layout.num_numeric, LABEL: 1}
    return {
        name: tf.io.FixedLenFeature([size], tf.int64 if name == IDS else tf.float32)
        for name, size in sizes.items()
        if size
    }


def _parsed(
    files: Sequence[str],
    layout: FeatureLayout,
    batch_size: int,
    shuffle_rows: int = 0,
    seed: int = 0,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Batches that are read from the files whenever they are asked for."""
    records = streams.records(files)
    _check_first_record(records, files, layout)
    if shuffle_rows:
        records = records.shuffle(shuffle_rows, seed=seed, reshuffle_each_iteration=True)
    # Parsing a whole batch at once is many times faster than row by row.
    return records.batch(batch_size, drop_remainder=drop_remainder).map(
        _parser(layout), num_parallel_calls=tf.data.AUTOTUNE
    )


def _parser(layout: FeatureLayout) -> Callable[[tf.Tensor], tuple[Features, tf.Tensor]]:
    columns = _columns(layout)

    @streams.as_written
    def parse(batch: tf.Tensor) -> tuple[Features, tf.Tensor]:
        features = tf.io.parse_example(batch, columns)
        features[IDS] = tf.cast(features[IDS], tf.int32)  # as runtimes of phones and browsers do
        return features, features.pop(LABEL)

    return parse


def _in_memory(files: Sequence[str], layout: FeatureLayout) -> in_memory.Columns | None:
    """The rows of some files, by column; None where they do not fit."""
    _check_files(files)

    def parsed() -> Iterator[in_memory.Arrays]:
        with row_counts.counted(tfrecords.in_order(files)) as counter:
            for features, label in _parsed(files, layout, _PARSED_ROWS):
                counter.add(int(label.shape[0]))
                yield {**{k: v.numpy() for k, v in features.items()}, LABEL: label.numpy()}

    what = (layout.num_ids, layout.num_numeric, layout.table_rows)
    return in_memory.columns(tfrecords.in_order(files), what, parsed) or None


def _gathered(
    held: in_memory.Columns, batch_size: int, shuffle_rows: int, seed: int, drop_remainder: bool
) -> tf.data.Dataset:
    """The batches of `_parsed`, in its order: what it shuffles are records, and here their numbers.

    A training on a split that is in memory gives the weights of one that reads it, bit by bit.
    """
    rows = int(held[LABEL].shape[0])

    def batch(take: Callable[[tf.Tensor], tf.Tensor]) -> tuple[Features, tf.Tensor]:
        features = {name: take(column) for name, column in held.items()}
        return features, features.pop(LABEL)

    if not shuffle_rows:
        last = rows - batch_size + 1 if drop_remainder else rows
        starts = tf.data.Dataset.range(0, last, batch_size)
        some = streams.as_written(
            lambda start: batch(lambda column: column[start : start + batch_size])
        )
        return starts.map(some)
    numbers = tf.data.Dataset.range(rows)
    numbers = numbers.shuffle(shuffle_rows, seed=seed, reshuffle_each_iteration=True)
    return numbers.batch(batch_size, drop_remainder=drop_remainder).map(
        streams.as_written(lambda chosen: batch(lambda column: tf.gather(column, chosen)))
    )


def _check_first_record(
    records: tf.data.Dataset, files: Sequence[str], layout: FeatureLayout
) -> None:
    """Compares the first record with what the layout expects, to fail with names and numbers."""
    columns, table_rows = _columns(layout), layout.table_rows
    first = tfrecords.in_order(files)[0]
    for record in records.take(1):
        example = tf.train.Example.FromString(record.numpy())
        for name, expected in columns.items():
            kind = "int64_list" if expected.dtype == tf.int64 else "float_list"
            values = getattr(example.features.feature[name], kind).value
            if len(values) != expected.shape[0]:
                raise ValueError(
                    f"{first}: column {name!r} holds {len(values)} values of "
                    f"{expected.dtype.name}, the layout says {expected.shape[0]}: the Examples "
                    "and the layout come from different Transform runs, or are not transformed"
                )
            if name == IDS and not 0 <= min(values) <= max(values) < table_rows:
                raise ValueError(
                    f"{first}: column {name!r} holds {max(values)}, the embedding table "
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

    @streams.as_written
    def drop(batch: tuple[Features, tf.Tensor], draw: tf.Tensor) -> tuple[Features, tf.Tensor]:
        features, label = batch
        ids = features[IDS]
        chance = tf.random.stateless_uniform(tf.shape(ids), draw)
        # Padding is row 0, below every field; the vocabulary comes after the missing row.
        dropped = tf.where((chance < chances) & (ids > missing), oov, ids)
        return {**features, IDS: dropped}, label

    return streams.with_seeds(batches, seed).map(drop, num_parallel_calls=tf.data.AUTOTUNE)
