"""Builds a TensorFlow Metadata schema from a configuration."""

from __future__ import annotations

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.validation_gate.config import Comparison, ValidationConfig
from models.config import FeatureSet

_TYPES = {"string": schema_pb2.BYTES, "int64": schema_pb2.INT}
_NAMES = {schema_pb2.BYTES: "string", schema_pb2.INT: "int64", schema_pb2.FLOAT: "float"}
_STATISTICS = {
    statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
    statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    statistics_pb2.FeatureNameStatistics.STRING: schema_pb2.BYTES,
}


class SchemaMismatch(ValueError):
    """The data lack a configured column or hold it in another type."""


def build_schema(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    features: FeatureSet,
    validation: ValidationConfig,
) -> schema_pb2.Schema:
    """The schema that the configuration promises, with the columns that the data have besides.

    Args:
      statistics: Of the train split.
      features: The configured columns.
      validation: Thresholds for drift and skew.

    Raises:
      SchemaMismatch: A configured column is absent or of another type.
    """
    found = {
        (stats.name or stats.path.step[0]): _STATISTICS.get(stats.type)
        for stats in statistics.datasets[0].features
    }
    schema = schema_pb2.Schema()
    wanted = {f.name: f for f in features.features}
    label = schema.feature.add(name=features.label, type=schema_pb2.FLOAT)
    label.presence.min_fraction = 1.0
    label.value_count.min = label.value_count.max = 1
    label.float_domain.min, label.float_domain.max = 0.0, 1.0
    problems = [] if features.label in found else [f"no column {features.label!r} (the label)"]
    for name, feature in wanted.items():
        kind = schema_pb2.FLOAT if feature.kind == "numeric" else _TYPES[feature.dtype]
        if name not in found:
            problems.append(f"no column {name!r}, or no value in it")
            continue
        if found[name] != kind:
            problems.append(
                f"column {name!r} holds {_NAMES.get(found[name], '?')} values, the configuration "
                f"says {_NAMES[kind]}"
            )
        entry = schema.feature.add(name=name, type=kind)
        if feature.kind != "multi_categorical":
            entry.value_count.max = 1
        _compare(entry.drift_comparator, validation.drift, name, feature.kind)
        _compare(entry.skew_comparator, validation.skew, name, feature.kind)
    for name, kind in found.items():
        if name not in wanted and name != features.label and kind is not None:
            schema.feature.add(name=name, type=kind)
    if problems:
        raise SchemaMismatch(
            f"the train split does not fit the configuration: {'; '.join(problems)}. It has "
            f"{', '.join(sorted(found))}"
        )
    return schema


def _compare(
    comparator: schema_pb2.FeatureComparator, comparison: Comparison, name: str, kind: str
) -> None:
    threshold = comparison.of(name)
    if threshold is None:
        return
    if kind == "numeric":
        comparator.jensen_shannon_divergence.threshold = threshold
    else:
        comparator.infinity_norm.threshold = threshold
