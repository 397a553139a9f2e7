"""What makes data unfit although no schema can say so."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from ranklite.components.validation_gate.config import ValidationConfig

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
        share = _missing(result[feature.name], rows) if feature.name in result else 1.0
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


def _missing(stats: statistics_pb2.FeatureNameStatistics, rows: int) -> float:
    """Share of rows without a value; NaN is none, and neither is a list that is always empty."""
    is_text = stats.HasField("string_stats")
    common = (stats.string_stats if is_text else stats.num_stats).common_stats
    present = common.num_non_missing if common.max_num_values else 0
    if stats.num_stats.histograms:
        present -= stats.num_stats.histograms[0].num_nan
    return 1.0 - present / rows
