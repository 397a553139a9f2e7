"""How the data of two runs differ: what only the comparison shows, and the values of both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from ranklite.components.validation_gate.config import ValidationConfig
from ranklite.components.validation_gate.rules import by_name, missing_share, shares_of

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
_CHANCE = 4.0  # standard errors, below which a label's rates may be the same


def changes(
    statistics: Statistics,
    baseline: Statistics,
    schema: schema_pb2.Schema,
    config: ValidationConfig,
    label: str,
) -> Iterator[tuple[str, str, str]]:
    """Finds values that went missing, and a label that is 1 far more or less often.

    A missing value is one more value: its share may drift as far as that of any other. Of the label
    the odds p / (1 - p) are compared, since a rate of 2 % that becomes 10 % changes a model as much
    as one of 20 % that becomes 58 %.

    Args:
      statistics: Of the train split.
      baseline: Of the one that was last accepted.
      schema: Its features with a drift comparator are those whose missing values are compared.
      config: The thresholds.
      label: Name of the label.

    Yields:
      (column, reason in a word, reason in full).
    """
    before, now = by_name(baseline), by_name(statistics)
    then_rows, rows = _rows(baseline), _rows(statistics)
    if not (rows and then_rows):
        return
    for feature in schema.feature:
        name = feature.name
        limit = config.drift.of(name)
        if limit is None or not feature.HasField("drift_comparator") or name not in before:
            continue
        share = missing_share(now[name], rows) if name in now else 1.0
        risen = share - missing_share(before[name], then_rows)
        if risen > limit:
            reason = f"its share of missing values rose by {risen:.3f}, above {limit:g}"
            yield name, "Values went missing", f"{reason} (validation.drift)"
    most = config.max_label_odds
    if most is None or label not in before or label not in now:
        return
    rate, other = (each[label].num_stats.mean for each in (now, before))
    error = math.sqrt(sum(p * (1 - p) / n for p, n in ((rate, rows), (other, then_rows))))
    if not (0 < rate < 1 and 0 < other < 1) or abs(rate - other) < _CHANCE * error:
        return
    odds = rate / (1 - rate) / (other / (1 - other))
    if max(odds, 1 / odds) > most:
        words = f"rose {odds:.1f}" if odds > 1 else f"fell {1 / odds:.1f}"
        reason = (
            f"the odds of label 1 {words} times, {most:g} allowed (validation.max_label_odds; "
            "another label, or other negatives, in the configuration change them too)"
        )
        yield label, "Label rate changed", reason


def tell_both(
    anomalies: anomalies_pb2.Anomalies, statistics: Statistics, baseline: Statistics
) -> None:
    """Adds the values of both runs to everything that was found.

    Args:
      anomalies: Of the train split; changed.
      statistics: Of the train split.
      baseline: Of the one that was last accepted.
    """
    before, now = by_name(baseline), by_name(statistics)
    for name, entry in anomalies.anomaly_info.items():
        if name not in before:
            continue
        then = _words(before[name], now.get(name), _rows(baseline))
        here = "no such column"
        if name in now:
            here = _words(now[name], before[name], _rows(statistics))
        for told in [entry, *entry.reason]:
            told.description = (
                f"{told.description.rstrip('. ')}; last accepted: {then}; now: {here}"
            )


def _rows(statistics: Statistics) -> int:
    return int(statistics.datasets[0].num_examples) if statistics.datasets else 0


def _words(
    stats: statistics_pb2.FeatureNameStatistics,
    other: statistics_pb2.FeatureNameStatistics | None,
    rows: int,
) -> str:
    """The values of a column, in a few words: of a category the one whose share changed most."""
    words = []
    shares, _ = shares_of(stats)
    if shares:
        others, _ = shares_of(other) if other is not None else ({}, 0.0)
        changed = max(
            sorted({*shares, *others}),
            key=lambda value: abs(shares.get(value, 0.0) - others.get(value, 0.0)),
        )
        unique = stats.string_stats.unique
        words.append(
            f"{unique:,} value{'s'[: unique != 1]}, {changed!r} in {_share(shares, changed)}"
        )
    elif stats.HasField("num_stats"):
        numbers = stats.num_stats
        words.append(f"{numbers.min:.4g} to {numbers.max:.4g}, mean {numbers.mean:.4g}")
    missing = missing_share(stats, rows)
    if missing or not words:
        words.append(f"missing in {missing:.1%}")
    return ", ".join(words)


def _share(shares: dict[str, float], value: str) -> str:
    return f"{shares[value]:.1%}" if value in shares else "none or few"
