"""Counts the values of several columns in one pass, and writes a vocabulary file of each."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from tensorflow_transform.analyzers import get_empy_vocabulary_dummy_value
from tensorflow_transform.beam.experimental import PTransformAnalyzer

from ranklite.models.features.layout import MISSING_STRING

NOTHING = get_empy_vocabulary_dummy_value(tf.string)[1]  # the word of an empty vocabulary
_SUFFIX = ".tfrecord.gz"
_MISSING = MISSING_STRING.encode()


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A vocabulary to make.

    Attributes:
      name: Of its file, without a suffix.
      min_count: Values seen less often are left out.
      size: Keep only the most frequent values; None keeps all.
    """

    name: str
    min_count: int = 1
    size: int | None = None

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return self.name + _SUFFIX


class WriteVocabularies(PTransformAnalyzer):
    """Batches, a tuple with an array for each vocabulary, become paths of vocabulary files.

    TFT's own analyzer of a vocabulary has some thirty Beam transforms, most of them to write one
    file: with few rows, Beam's work for each of them is nearly all that Transform does. Here, all
    vocabularies share one reduction by column, whose accumulators are merged where they were made
    before they are sent on, and the worker that holds a column's counts writes its file. TFT
    collects a vocabulary in one worker too.
    """

    def __init__(self, vocabularies: Sequence[Wanted]) -> None:
        super().__init__()
        self._vocabularies = tuple(vocabularies)

    def expand(self, batches: Any) -> tuple[Any, ...]:
        """One collection with a path for each vocabulary."""
        tags = [str(place) for place in range(len(self._vocabularies))]
        paths = (
            batches
            | "Columns" >> beam.FlatMap(_columns)
            | "Count" >> beam.CombinePerKey(_Count())
            | "Write"
            >> beam.ParDo(_Write(self._vocabularies, self.base_temp_dir)).with_outputs(*tags)
        )
        return tuple(paths[tag] for tag in tags)

    def summary(self) -> Counts:
        """The same, of batches that are at hand."""
        return Counts(self._vocabularies)


class Counts:
    """How often the values of several columns occur: a summary, without Beam.

    Args:
      vocabularies: What becomes of the columns.

    Attributes:
      state: Counts by value, of each column.
    """

    def __init__(self, vocabularies: Sequence[Wanted]) -> None:
        self._vocabularies = vocabularies
        self.state = [collections.Counter[bytes]() for _ in vocabularies]

    def add(self, values: Sequence[Any]) -> None:
        """Counts a batch, an array for each column."""
        for counts, column in zip(self.state, values, strict=True):
            counts.update(column.ravel().tolist())

    def merge(self, other: Counts) -> None:
        """Adds what the other has counted."""
        for counts, more in zip(self.state, other.state, strict=True):
            counts.update(more)

    def outputs(self, folder: str) -> list[str]:
        """Paths of the vocabularies' files."""
        paths = [os.path.join(folder, wanted.file_name) for wanted in self._vocabularies]
        for path, wanted, counts in zip(paths, self._vocabularies, self.state, strict=True):
            write(path, in_order(counts, wanted))
        return paths


def _columns(batch: tuple[Any, ...]) -> list[tuple[int, Any]]:
    return list(enumerate(batch))


class _Count(beam.CombineFn):
    """How often each value occurs in a column."""

    def create_accumulator(self) -> collections.Counter[bytes]:
        return collections.Counter()

    def add_input(
        self, counts: collections.Counter[bytes], values: np.ndarray[Any, Any]
    ) -> collections.Counter[bytes]:
        counts.update(values.ravel().tolist())
        return counts

    def merge_accumulators(
        self, accumulators: Iterable[collections.Counter[bytes]]
    ) -> collections.Counter[bytes]:
        several = iter(accumulators)
        merged = next(several)
        for counts in several:
            merged.update(counts)
        return merged

    def extract_output(self, counts: collections.Counter[bytes]) -> collections.Counter[bytes]:
        return counts


class _Write(beam.DoFn):
    """Writes the vocabulary of a column."""

    def __init__(self, vocabularies: Sequence[Wanted], folder: str) -> None:
        self._vocabularies = vocabularies
        self._folder = folder

    def process(self, column: tuple[int, collections.Counter[bytes]]) -> Iterator[Any]:
        place, counts = column
        wanted = self._vocabularies[place]
        path = os.path.join(self._folder, wanted.file_name)
        tf.io.gfile.makedirs(self._folder)
        written = f"{path}.{uuid.uuid4().hex}"  # a worker that is started twice writes two
        write(written, in_order(counts, wanted))
        tf.io.gfile.rename(written, path, overwrite=True)
        yield beam.pvalue.TaggedOutput(str(place), np.array(path))


def in_order(counts: dict[bytes, int], wanted: Wanted) -> list[bytes]:
    """The values of a vocabulary, most frequent first and, of equal ones, the greater bytes first.

    This is the order of `tft.vocabulary`.
    """
    words = [
        word for word, count in counts.items() if count >= wanted.min_count and word != _MISSING
    ]
    words.sort(reverse=True)
    words.sort(key=counts.__getitem__, reverse=True)  # keeps the order of equal ones
    return words[: wanted.size]


@functools.cache
def _of_file(counted: bool) -> Any:
    """The words of a file, or how many there are; traced once, for files of any number."""

    def read(path: tf.Tensor) -> tf.Tensor:
        words = tf.data.TFRecordDataset(path, compression_type="GZIP")
        every = words.batch(tf.int64.max).get_single_element()
        return tf.size(every, tf.int64) if counted else every  # a reduction takes 11 ms to start

    return tf.function(read, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def size(path: Any) -> int:
    """How many words a file has."""
    return int(_of_file(counted=True)(path))


def read(path: str) -> list[bytes]:
    """The words of a file, in their order; an empty vocabulary has `NOTHING`."""
    words: list[bytes] = _of_file(counted=False)(path).numpy().tolist()
    return words


def write(path: str, words: Sequence[bytes]) -> None:
    """Writes a vocabulary, with TFT's word for nothing where it is empty: no table may be."""
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for word in words or [NOTHING]:
            writer.write(word)
