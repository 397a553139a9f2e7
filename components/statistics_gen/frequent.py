"""The most frequent values of columns and how many different ones there are, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.arrow import arrow_util
from tensorflow_data_validation.statistics.generators import stats_generator
from tensorflow_data_validation.utils import (
    schema_util,
    stats_util,
    top_k_uniques_stats_util,
)
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow import array_util

_AT_ONCE = 1 << 16  # values of a column that wait to be counted together
_INT = statistics_pb2.FeatureNameStatistics.INT
_STRING = statistics_pb2.FeatureNameStatistics.STRING
Count: TypeAlias = top_k_uniques_stats_util.FeatureValueCount


class Occurrences:
    """How often each value of a column occurs.

    What it holds in memory grows with the different values, not with the rows: counts of parts are
    added up whenever the newer ones are as many as the older ones, so each is touched but a
    logarithmic number of times.
    """

    def __init__(self) -> None:
        self._waiting: list[pa.Array] = []
        self._values = 0
        self._parts: list[pa.Table] = []

    def add(self, values: pa.Array) -> None:
        """Counts some more.

        Args:
          values: Texts as bytes or integers, the same in every call.
        """
        self._waiting.append(values)
        self._values += len(values)
        if self._values >= _AT_ONCE:
            self._count()

    def _count(self) -> None:
        counted = pa.chunked_array(self._waiting).value_counts()
        value, count = counted.flatten()
        if pa.types.is_binary(value.type):  # all of them together may exceed 2 GB
            value = value.cast(pa.large_binary())
        self._parts.append(pa.table({"value": value, "count": count}))
        self._waiting, self._values = [], 0
        if len(self._parts) > 1 and sum(map(len, self._parts[1:])) >= len(self._parts[0]):
            self._add_up()

    def _add_up(self) -> None:
        summed = pa.concat_tables(self._parts).group_by("value").aggregate([("count", "sum")])
        self._parts = [pa.table({"value": summed["value"], "count": summed["count_sum"]})]

    def merge(self, other: Occurrences) -> None:
        """Adds what the other has counted."""
        if other._waiting:
            other._count()
        self._parts += other._parts
        if len(self._parts) > 1 and sum(map(len, self._parts[1:])) >= len(self._parts[0]):
            self._add_up()

    def most(self, k: int) -> tuple[list[Count], int]:
        """The values that occur most often.

        Args:
          k: How many at most. Of equally frequent ones the larger count as more frequent, texts by
            their bytes.

        Returns:
          Values and counts, in no order, and the number of different values.
        """
        if self._waiting:
            self._count()
        if len(self._parts) > 1:
            self._add_up()
        if not self._parts:
            return [], 0
        table = self._parts[0].combine_chunks()
        counts = table["count"].to_numpy()
        if len(counts) > k:
            least = np.partition(counts, -k)[-k]
            more, (equal,) = np.flatnonzero(counts > least), np.nonzero(counts == least)
            tied = pa.concat_arrays(table["value"].take(pa.array(equal)).chunks)
            largest = pc.top_k_unstable(tied, k - len(more)).to_numpy()
            table = table.take(pa.array(np.concatenate([more, equal[largest]])))
        pairs = zip(table["value"].to_pylist(), table["count"].to_pylist(), strict=True)
        return [Count(value, count) for value, count in pairs], len(counts)


class FrequentValues(stats_generator.CombinerStatsGenerator):
    """What TFDV's TopKUniquesStatsGenerator does on Beam, as a combiner.

    Args:
      options: TFDV's, without weights.
    """

    def __init__(self, options: tfdv.StatsOptions) -> None:
        super().__init__("FrequentValues", options.schema)
        schema = options.schema
        self._options = options
        self._bytes = frozenset(schema_util.get_bytes_features(schema) if schema else ())
        self._numbers = schema_util.get_categorical_numeric_feature_types(schema) if schema else {}

    def create_accumulator(self) -> dict[tfdv.FeaturePath, Occurrences]:
        """No column yet."""
        return {}

    def add_input(
        self, accumulator: dict[tfdv.FeaturePath, Occurrences], input_record_batch: pa.RecordBatch
    ) -> dict[tfdv.FeaturePath, Occurrences]:
        """Counts the texts, and the integers that are categories, of a batch."""
        for path, column, _ in arrow_util.enumerate_arrays(
            input_record_batch, example_weight_map=None, enumerate_leaves_only=True
        ):
            if self._counts(path, column.type):
                values, _ = array_util.flatten_nested(column)
                if len(values):
                    accumulator.setdefault(path, Occurrences()).add(values)
        return accumulator

    def _counts(self, path: tfdv.FeaturePath, dtype: pa.DataType) -> bool:
        kind = stats_util.get_feature_type_from_arrow_type(path, dtype)
        if kind == _STRING:
            return path not in self._bytes
        categorical: bool = top_k_uniques_stats_util.output_categorical_numeric(
            self._numbers, path, kind
        )
        return categorical and kind == _INT

    def merge_accumulators(
        self, accumulators: Iterable[dict[tfdv.FeaturePath, Occurrences]]
    ) -> dict[tfdv.FeaturePath, Occurrences]:
        """Counts of parts of the rows become those of all; the first one is changed."""
        first, *others = accumulators
        for other in others:
            for path, occurrences in other.items():
                first.setdefault(path, Occurrences()).merge(occurrences)
        return first

    def extract_output(
        self, accumulator: dict[tfdv.FeaturePath, Occurrences]
    ) -> statistics_pb2.DatasetFeatureStatistics:
        """TFDV's proto, made by TFDV."""
        result = statistics_pb2.DatasetFeatureStatistics()
        top, buckets = self._options.num_top_values, self._options.num_rank_histogram_buckets
        for path, occurrences in accumulator.items():
            values, unique = occurrences.most(max(top, buckets))
            result.features.append(
                top_k_uniques_stats_util.make_feature_stats_proto_topk_uniques(
                    path,
                    num_top_values=top,
                    num_rank_histogram_buckets=buckets,
                    num_unique=unique,
                    value_count_list=values,
                    frequency_threshold=self._options.frequency_threshold,
                )
            )
        return result
