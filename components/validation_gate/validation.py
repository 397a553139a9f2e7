"""Finds what is wrong with the data of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from ranklite.components.validation_gate.config import ValidationConfig
from ranklite.components.validation_gate.nights import changes, tell_both
from ranklite.components.validation_gate.rules import broken_rules, by_name, replaced_values

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
TRAIN, EVAL = "train", "eval"

_log = logging.getLogger(__name__)


class DataRefused(ValueError):
    """The data are unfit; the message names split, feature and reason."""


def validate(
    statistics: dict[str, Statistics],
    schema: schema_pb2.Schema,
    config: ValidationConfig,
    baseline: Statistics | None,
    label: str,
) -> dict[str, anomalies_pb2.Anomalies]:
    """Validates every split against the schema; TFDV does the comparing.

    The train split is compared with what was accepted last (TFDV's drift comparators) and with the
    eval split (its skew comparators).

    Args:
      statistics: By split; `train` is among them.
      schema: What the data should be; its comparators hold the thresholds of drift and skew.
      config: Rules that a schema cannot say.
      baseline: Train statistics that were last accepted; None in a first run.
      label: Name of the label.

    Returns:
      TFDV's anomalies, by split, and with them those of `broken_rules`.
    """
    anomalies = {}
    for split, stats in statistics.items():
        comparisons: dict[str, Any] = {}
        held_to = schema
        if split == TRAIN:
            if baseline is not None:
                comparisons["previous_statistics"] = baseline
                held_to = _without_new_columns(schema, stats, baseline)
            if EVAL in statistics:
                comparisons["serving_statistics"] = statistics[EVAL]
        result = tfdv.validate_statistics(stats, held_to, **comparisons)
        broken = list(broken_rules(stats, schema, config, label))
        if split == TRAIN and baseline is not None:
            broken += replaced_values(stats, baseline, config)
            broken += changes(stats, baseline, held_to, config, label)
        for feature, short, long in broken:
            _add(result, feature, short, long)
        if split == TRAIN and baseline is not None:
            tell_both(result, stats, baseline)
        anomalies[split] = result
    return anomalies


def _without_new_columns(
    schema: schema_pb2.Schema, statistics: Statistics, baseline: Statistics
) -> schema_pb2.Schema:
    """The schema without drift comparators for columns that were not there, or of another kind.

    A new feature is a change of the configuration, not of the data.
    """

    def kinds(of: Statistics) -> dict[str, tuple[int, str | None]]:
        return {n: (f.type, f.WhichOneof("stats")) for n, f in by_name(of).items()}

    then, now = kinds(baseline), kinds(statistics)
    changed = schema_pb2.Schema()
    changed.CopyFrom(schema)
    for feature in changed.feature:
        if feature.HasField("drift_comparator") and then.get(feature.name) != now.get(feature.name):
            _log.info("%r has no counterpart in the last data: drift unknown", feature.name)
            feature.ClearField("drift_comparator")
    return changed


def _add(anomalies: anomalies_pb2.Anomalies, feature: str, short: str, long: str) -> None:
    """Adds to what TFDV found of a feature, in its own form."""
    entry = anomalies.anomaly_info[feature]
    entry.severity = anomalies_pb2.AnomalyInfo.ERROR
    entry.reason.add(short_description=short, description=long)
    entry.short_description = "Multiple errors" if entry.description else short
    entry.description = f"{entry.description} {long}".strip()
    if not entry.path.step:
        entry.path.step.append(feature)


def refuse(anomalies: dict[str, anomalies_pb2.Anomalies]) -> None:
    """Raises DataRefused where there is an anomaly, with all of them in words."""
    lines = [line for split, result in anomalies.items() for line in _errors(split, result)]
    if lines:
        raise DataRefused(
            "the data are not what the schema says, nothing was trained:\n"
            + "\n".join(lines)
            + "\nMend the log, or, if the change is meant, loosen `validation` (drift, skew, "
            "min_overlap, max_label_odds, max_missing, missing, min_rows) or give another schema "
            "in `schema_file`."
        )


def _errors(split: str, anomalies: anomalies_pb2.Anomalies) -> Iterator[str]:
    if anomalies.data_missing:
        yield f"  {split}: there are no data"
    for feature, info in sorted(anomalies.anomaly_info.items()):
        if info.severity == anomalies_pb2.AnomalyInfo.WARNING:
            _log.warning("%s: %s: %s", split, feature, info.description)
            continue
        for reason in info.reason or [info]:
            yield f"  {split}: {feature}: {reason.short_description}: {reason.description}"
