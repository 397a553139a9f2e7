"""What makes data unfit although no schema can say so."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from ranklite.components.validation_gate.config import ValidationConfig

_FREQUENT = 0.2  # of all values; with less, the frequent ones say little
ROWS = "(rows)"  # where a split as a whole is at fault, not one of its columns


def by_name(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    """Statistics of each column."""
    return {
        (stats.name or stats.path.step[0]): stats
        for dataset in statistics.datasets[:1]
        for stats in dataset.features
    }


def broken_rules(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    config: ValidationConfig,
    label: str,
) -> Iterator[tuple[str, str, str]]:
    """Finds too few rows, too many missing values, and a label that never changes.

    Args:
      statistics: Of one split.
      schema: Names the columns that are looked at.
      config: The thresholds.
      label: Name of the label.

    Yields:
      (column, reason in a word, reason in full).
    """
    rows = int(statistics.datasets[0].num_examples) if statistics.datasets else 0
    if rows < config.min_rows:
        yield ROWS, "Too few rows", f"{rows} rows, validation.min_rows is {config.min_rows}"
    if not rows:
        return
    result = by_name(statistics)
    for feature in schema.feature:
        share = missing_share(result[feature.name], rows) if feature.name in result else 1.0
        limit = config.missing.get(feature.name, config.max_missing)
        if share > limit:
            yield (
                feature.name,
                "Missing values",
                f"missing in {share:.1%} of the rows, {limit:.1%} allowed",
            )
    if label in result:
        numbers = result[label].num_stats
        if numbers.common_stats.num_non_missing and numbers.min == numbers.max:
            yield (
                label,
                "Constant label",
                f"the label is {numbers.min:g} in every row: there is nothing to learn or measure",
            )


def replaced_values(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    baseline: statistics_pb2.DatasetFeatureStatisticsList,
    config: ValidationConfig,
) -> Iterator[tuple[str, str, str]]:
    r"""Finds categories whose frequent values are gone, each of them too rare to be missed alone.

        overlap = sum_v min(p(v), q(v)) / sum_v p(v),    v over the values that were frequent

    with shares p of the rows before and q of those now. A value that is not among the frequent
    ones now has at most the share of the rarest of these: the overlap is never too small.

    Args:
      statistics: Of the train split.
      baseline: Of the one that was last accepted.
      config: The thresholds.

    Yields:
      As `broken_rules`.
    """
    before, now = by_name(baseline), by_name(statistics)
    for name in before.keys() & now.keys():
        shares, _ = shares_of(before[name])
        others, rest = shares_of(now[name])
        mass = sum(shares.values())
        limit = config.overlap.get(name, config.min_overlap)
        if mass < _FREQUENT or not others or before[name].type != now[name].type:
            continue
        overlap = sum(min(p, others.get(v, rest)) for v, p in shares.items()) / mass
        if overlap < limit:
            reason = (
                f"of the frequent values of the last accepted data, which {mass:.1%} of its rows "
                f"had, {overlap:.1%} is left; at least {limit:.1%} is asked for "
                "(validation.min_overlap, or validation.overlap for one feature)"
            )
            yield name, "Values replaced", reason


def shares_of(stats: statistics_pb2.FeatureNameStatistics) -> tuple[dict[str, float], float]:
    """Share of each frequent value among all values, and the most that another one has.

    Both are empty and 0 where values are not counted, as those of numbers are not.
    """
    if not stats.HasField("string_stats"):
        return {}, 0.0
    values = stats.string_stats
    total = values.common_stats.tot_num_values
    buckets = values.rank_histogram.buckets
    if not total or not buckets:
        return {}, 0.0
    counts = {bucket.label: bucket.sample_count / total for bucket in buckets}
    return counts, 0.0 if values.unique <= len(counts) else min(counts.values())


def missing_share(stats: statistics_pb2.FeatureNameStatistics, rows: int) -> float:
    """Share of rows without a value; NaN is none, and neither is a list that is always empty."""
    is_text = stats.HasField("string_stats")
    common = (stats.string_stats if is_text else stats.num_stats).common_stats
    present = common.num_non_missing if common.max_num_values else 0
    if stats.num_stats.histograms:
        present -= stats.num_stats.histograms[0].num_nan
    return 1.0 - present / rows
