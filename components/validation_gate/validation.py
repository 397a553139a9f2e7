"""Finds what is wrong with the data of a run."""

from __future__ import annotations

from typing import Any, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.validation_gate.config import ValidationConfig

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
TRAIN = "train"


class DataRefused(ValueError):
    """The data are unfit; the message names split, feature and reason."""


def validate(
    statistics: dict[str, Statistics],
    schema: schema_pb2.Schema,
    config: ValidationConfig,
    baseline: Statistics | None,
) -> dict[str, anomalies_pb2.Anomalies]:
    """Validates every split against the schema; TFDV does the comparing.

    Args:
      statistics: By split; `train` is among them.
      schema: What the data should be; its comparators hold the thresholds of drift and skew.
      config: Rules that a schema cannot say.
      baseline: Train statistics that were last accepted; None in a first run.

    Returns:
      TFDV's anomalies, by split.
    """
    anomalies = {}
    for split, stats in statistics.items():
        comparisons: dict[str, Any] = {}
        if split == TRAIN:
            if baseline is not None:
                comparisons["previous_statistics"] = baseline
            if "eval" in statistics:
                comparisons["serving_statistics"] = statistics["eval"]
        found = tfdv.validate_statistics(stats, schema, **comparisons)
        _add_rules(found, stats, schema, config)
        anomalies[split] = found
    return anomalies


def _add_rules(
    anomalies: anomalies_pb2.Anomalies,
    statistics: Statistics,
    schema: schema_pb2.Schema,
    config: ValidationConfig,
) -> None:
    """Adds what TFDV does not look for: too few rows and too many missing values."""

    def add(path: str, short: str, long: str) -> None:
        entry = anomalies.anomaly_info[path]
        entry.severity = anomalies_pb2.AnomalyInfo.ERROR
        entry.short_description, entry.description = short, long

    dataset = statistics.datasets[0] if statistics.datasets else None
    rows = int(dataset.num_examples) if dataset else 0
    if rows < config.min_rows:
        add("(rows)", "Too few rows", f"{rows} rows, validation.min_rows is {config.min_rows}")
    known = {f.name for f in schema.feature}
    for stats in dataset.features if dataset else []:
        name = stats.name or stats.path.step[0]
        common = (
            stats.string_stats if stats.HasField("string_stats") else stats.num_stats
        ).common_stats
        share = 1.0 - common.num_non_missing / rows if rows else 1.0
        limit = config.missing.get(name, config.max_missing)
        if name in known and share > limit:
            add(name, "Missing values", f"missing in {share:.1%} of the rows, {limit:.1%} allowed")


def refuse(anomalies: dict[str, anomalies_pb2.Anomalies]) -> None:
    """Raises DataRefused where there is an anomaly, with all of them in words."""
    lines = [
        f"  {split}: {name}: {info.short_description}: {info.description}"
        for split, found in anomalies.items()
        for name, info in sorted(found.anomaly_info.items())
        if info.severity == anomalies_pb2.AnomalyInfo.ERROR
    ]
    lines += [
        f"  {split}: there are no data" for split, found in anomalies.items() if found.data_missing
    ]
    if lines:
        raise DataRefused(
            "the data are not what the schema says, nothing was trained:\n"
            + "\n".join(lines)
            + "\nMend the log, or, if the change is meant, loosen `validation` (drift, skew, "
            "max_missing, min_rows) or give another `schema_file`."
        )
