"""TFDV's statistics of files of Examples, without Beam."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_data_validation.statistics.generators.stats_generator import (
    CombinerStatsGenerator,
)
from tensorflow_data_validation.statistics.generators.top_k_uniques_stats_generator import (
    TopKUniquesStatsGenerator,
)
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from ranklite.components.engines import handed_over
from ranklite.components.engines.engine import Engine
from ranklite.components.statistics_gen.frequent import FrequentValues
from ranklite.models import progress
from ranklite.models.environment import cores
from ranklite.models.features.examples import counted_batches

BATCH_ROWS = 4096
PIECE_BYTES = 8 << 20  # of Examples that are decoded at once: twenty times as much memory is taken
Summary: TypeAlias = list[Any]  # what each of TFDV's combiners has to know of rows


class Statistics:
    """Has TFDV's own combiners summarize one batch after the other.

    They are those that TFDV gives Beam, so counts, types, values per row, minima, maxima and zeros
    are Beam's. Means and deviations are summed in batches of a fixed size, not in those that the
    clock and Beam's random keys make: they agree but for the last digits. Quantiles come of the
    same sketch, fed in the order of the rows, and not merged of 128: for few rows they are equal,
    for many within the sketch's error, where two runs on Beam differ from each other as well. What
    TFDV counts by a transform of Beam's, the most frequent values and how many different ones there
    are, is counted exactly, as there (`FrequentValues`); TFDV's own statistics in memory would
    estimate both. Features stand in order of name.

    Each file has a summary of its own, and they are merged in the order of the files: equal files
    give equal bytes, whoever summarized them.

    Args:
      options: TFDV's defaults, with a schema or none.
    """

    def __init__(self, options: tfdv.StatsOptions) -> None:
        self._options = options
        self._generators = [
            FrequentValues(options) if isinstance(each, TopKUniquesStatsGenerator) else each
            for each in stats_impl.get_generators(options)
        ]
        for each in self._generators:
            if not isinstance(each, CombinerStatsGenerator):
                raise TypeError(f"{each.name} needs Beam")

    def of(
        self, files: Sequence[str], rows: progress.Rows
    ) -> statistics_pb2.DatasetFeatureStatisticsList:
        """Reads files once.

        Args:
          files: TFRecords of Examples, gzipped where their names end in `.gz`.
          rows: Told of every batch.

        Returns:
          One dataset; one without features where there is no row.
        """
        return self._of_summaries(self.summary(file, rows.add) for file in files)

    def on(
        self, engine: Engine, splits: Mapping[str, Sequence[str]], near: str
    ) -> dict[str, statistics_pb2.DatasetFeatureStatisticsList]:
        """Has an engine read the files of splits, each of them once.

        Args:
          engine: A file is a task.
          splits: Files by split.
          near: Folder that its workers see; nothing stays in it.

        Returns:
          What `of` returns, by split.
        """
        options = self._options.to_json()
        with handed_over.folder(near) as folder:
            tasks = {
                split: [
                    Task(options, file, os.path.join(folder, f"{split}-{number}"))
                    for number, file in enumerate(files)
                ]
                for split, files in splits.items()
            }
            every = [task for of_split in tasks.values() for task in of_split]
            engine.map(summarize, every, progress.Tasks("read", "file", len(every)).add)
            return {
                split: self._of_summaries(handed_over.read(task.to) for task in of_split)
                for split, of_split in tasks.items()
            }

    def summary(self, file: str, told: Any) -> Summary:
        """What there is to know of a file.

        Args:
          file: TFRecords of Examples.
          told: Called with the rows of every batch.
        """
        summary: Summary = [each.create_accumulator() for each in self._generators]
        for batch in batches([file]):
            summary = [
                each.add_input(state, batch)
                for each, state in zip(self._generators, summary, strict=True)
            ]
            told(batch.num_rows)
        return summary

    def _merged(self, one: Summary, other: Summary) -> Summary:
        pairs = zip(self._generators, one, other, strict=True)
        return [each.merge_accumulators([first, second]) for each, first, second in pairs]

    def _of_summaries(
        self, summaries: Iterable[Summary]
    ) -> statistics_pb2.DatasetFeatureStatisticsList:
        one_by_one = iter(summaries)
        first = next(one_by_one, [each.create_accumulator() for each in self._generators])
        merged = functools.reduce(self._merged, one_by_one, first)
        result = stats_impl.extract_statistics_output(merged, self._generators)
        for dataset in result.datasets:
            features = sorted(dataset.features, key=lambda feature: tuple(feature.path.step))
            del dataset.features[:]
            dataset.features.extend(features)
        return result


@dataclasses.dataclass(frozen=True)
class Task:
    """A file to summarize.

    Attributes:
      options: JSON of TFDV's.
      file: TFRecords of Examples.
      to: File that receives the summary.
    """

    options: str
    file: str
    to: str


def summarize(task: Task) -> None:
    """What a worker does with a task."""
    statistics = Statistics(tfdv.StatsOptions.from_json(task.options))
    handed_over.write(task.to, statistics.summary(task.file, lambda rows: None))


def batches(files: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of files; a column is a list of values for each row, and may be missing."""
    decoder = ExamplesToRecordBatchDecoder()
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        for examples in counted_batches(files, BATCH_ROWS):
            step = max(1, PIECE_BYTES * len(examples) // max(1, sum(map(len, examples))))
            pieces = [examples[k : k + step] for k in range(0, len(examples), step)]
            yield _together([*pool.map(decoder.DecodeBatch, pieces)])


def _together(pieces: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of several batches as one; a column that one of them lacks is missing there."""
    if len(pieces) == 1:
        return pieces[0]
    schema = pa.unify_schemas([piece.schema for piece in pieces])
    tables = []
    for piece in pieces:
        columns = {name: piece.column(k) for k, name in enumerate(piece.schema.names)}
        arrays = [
            columns[field.name].cast(field.type)
            if field.name in columns
            else pa.nulls(piece.num_rows, field.type)
            for field in schema
        ]
        tables.append(pa.Table.from_arrays(arrays, schema=schema))
    [whole] = pa.concat_tables(tables).combine_chunks().to_batches()
    return whole
