"""What the columns of the data look like: schema and statistics, split by split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from ranklite.components.validation_gate.rules import by_name
from ranklite.models.reporting.columns import Column

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
Array: TypeAlias = npt.NDArray[np.float64]

VALUES = 12  # the most frequent ones of the first split
_TYPES = {
    schema_pb2.BYTES: "string",
    schema_pb2.INT: "int64",
    schema_pb2.FLOAT: "float",
}


def describe(schema: schema_pb2.Schema, statistics: Mapping[str, Statistics]) -> list[Column]:
    """The columns of a schema, in its order.

    Args:
      schema: What the data were held to.
      statistics: Of each split; the first one says which bins and values are shown.

    Returns:
      Those that any split has.
    """
    result = {split: by_name(stats) for split, stats in statistics.items()}
    rows = {split: stats.datasets[0].num_examples for split, stats in statistics.items()}
    columns = []
    for feature in schema.feature:
        of = {
            split: features[feature.name]
            for split, features in result.items()
            if feature.name in features
        }
        if of:
            missing = {
                split: 1.0 - _common(one).num_non_missing / max(1, rows[split])
                for split, one in of.items()
            }
            first = next(iter(of.values()))
            numeric = first.WhichOneof("stats") == "num_stats"
            columns.append(
                Column(
                    feature.name,
                    _kind(feature),
                    missing,
                    _range(first) if numeric else _frequent(first),
                    _binned(of) if numeric else _ranked(of),
                )
            )
    return columns


def _common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    return getattr(feature, str(feature.WhichOneof("stats"))).common_stats


def _kind(feature: schema_pb2.Feature) -> str:
    reported = [_TYPES.get(feature.type, "")]
    if feature.value_count.max != 1 and feature.type != schema_pb2.FLOAT:
        reported.append("any number of values")
    if feature.presence.min_fraction:
        reported.append(f"in {feature.presence.min_fraction:.0%} of the rows or more")
    if feature.HasField("float_domain") and feature.float_domain.HasField("max"):
        reported.append(f"{feature.float_domain.min:g} to {feature.float_domain.max:g}")
    for word, comparator in (
        ("drift", feature.drift_comparator),
        ("skew", feature.skew_comparator),
    ):
        limit = comparator.infinity_norm.threshold or comparator.jensen_shannon_divergence.threshold
        if limit:
            reported.append(f"{word} at most {limit:g}")
    return ", ".join(reported)


def _range(feature: statistics_pb2.FeatureNameStatistics) -> str:
    numbers = feature.num_stats
    return (
        f"{_brief(numbers.min)} to {_brief(numbers.max)}, median {_brief(numbers.median)}, "
        f"mean {_brief(numbers.mean)}, standard deviation {_brief(numbers.std_dev)}"
    )


def _brief(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1e5 else f"{number:.5g}"


def _frequent(feature: statistics_pb2.FeatureNameStatistics) -> str:
    texts = feature.string_stats
    total = max(1, texts.common_stats.tot_num_values)
    shown = [f"{top.value} {top.frequency / total:.1%}" for top in list(texts.top_values)[:3]]
    return f"{texts.unique:,} different: {', '.join(shown)}"


def _ranked(
    of: Mapping[str, statistics_pb2.FeatureNameStatistics],
) -> dict[str, list[float]]:
    counts = {
        split: {b.label: b.sample_count for b in one.string_stats.rank_histogram.buckets}
        for split, one in of.items()
    }
    values = list(next(iter(counts.values())))[:VALUES]
    return {
        split: [
            count.get(value, 0.0) / max(1, of[split].string_stats.common_stats.tot_num_values)
            for value in values
        ]
        for split, count in counts.items()
    }


def _binned(
    of: Mapping[str, statistics_pb2.FeatureNameStatistics],
) -> dict[str, list[float]]:
    histograms = {split: _buckets(one) for split, one in of.items()}
    edges, _ = next(iter(histograms.values()))
    if not len(edges):
        return {}
    edges = edges.copy()
    edges[0], edges[-1] = -np.inf, np.inf  # another split's values may lie outside
    bars = {}
    for split, (own, counts) in histograms.items():
        if len(own):
            below = np.interp(edges, own, np.concatenate([[0.0], np.cumsum(counts)]))
            bars[split] = (np.diff(below) / max(1.0, counts.sum())).tolist()
    return bars


def _buckets(feature: statistics_pb2.FeatureNameStatistics) -> tuple[Array, Array]:
    """Edges [n + 1] and counts [n] of the equal-width histogram; empty where there is none."""
    standard = statistics_pb2.Histogram.STANDARD
    for histogram in feature.num_stats.histograms:
        if histogram.type == standard and histogram.buckets:
            buckets = histogram.buckets
            edges = np.array([buckets[0].low_value, *(b.high_value for b in buckets)])
            return edges, np.array([b.sample_count for b in buckets])
    return np.zeros(0), np.zeros(0)
