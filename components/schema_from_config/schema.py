"""Builds a TensorFlow Metadata schema from a configuration."""

from __future__ import annotations

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from ranklite.components.validation_gate.config import Comparison, ValidationConfig
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.past import Past
from ranklite.models.features.raw_column import RawColumn

_NAMES = {schema_pb2.BYTES: "string", schema_pb2.INT: "int64", schema_pb2.FLOAT: "float"}
_STATISTICS = {
    statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
    statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    statistics_pb2.FeatureNameStatistics.STRING: schema_pb2.BYTES,
    statistics_pb2.FeatureNameStatistics.BYTES: schema_pb2.BYTES,
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
      SchemaMismatch: A configured column is absent or of another type, or there are no rows.
    """
    if not statistics.datasets or not statistics.datasets[0].num_examples:
        raise SchemaMismatch("the train split has no rows: mend the log, or `split`")
    result = {
        (stats.name or stats.path.step[0]): _STATISTICS[stats.type]
        for stats in statistics.datasets[0].features
        if stats.type in _STATISTICS
    }
    _check_columns(result, features)
    schema = schema_pb2.Schema()
    label = schema.feature.add(name=features.label, type=schema_pb2.FLOAT)
    label.presence.min_fraction = 1.0
    label.value_count.min = label.value_count.max = 1
    label.float_domain.min, label.float_domain.max = 0.0, 1.0
    for column in features.raw_columns:
        _describe(schema.feature.add(name=column.name), column, validation)
    described = {feature.name for feature in schema.feature}
    for name in sorted(set(result) - described):
        schema.feature.add(name=name, type=result[name])
    return schema


def _check_columns(result: dict[str, int], features: FeatureSet) -> None:
    wanted = {features.label: int(schema_pb2.FLOAT)}
    wanted |= {column.name: column.schema_type() for column in features.raw_columns}
    past = {column.name: column.past for column in features.past_columns}
    problems = [
        f"no column {name!r}, or no value in it" + _without_events(past.get(name))
        for name in features.input_columns
        if name not in result
    ]
    problems += [
        f"column {name!r} holds {_NAMES[result[name]]} values, "
        f"the configuration says {_NAMES[kind]}"
        for name, kind in wanted.items()
        if result.get(name, kind) != kind
    ]
    if problems:
        raise SchemaMismatch(
            f"the train split does not fit the configuration: {'; '.join(problems)}. It has "
            f"{', '.join(f'{name} ({_NAMES[kind]})' for name, kind in sorted(result.items()))}. "
            "Mend the log, cast the column in `source.query`, or change the feature's `kind` or "
            "`dtype`"
        )


def _without_events(past: Past | None) -> str:
    """Why a column of the past has no value."""
    if past is None:
        return ""
    return (
        f" (no row has earlier events of the same {', '.join(past.by)} as of its {past.as_of}: a "
        "fresher `as_of` knows more)"
    )


def _describe(entry: schema_pb2.Feature, column: RawColumn, validation: ValidationConfig) -> None:
    column.describe(entry)
    rules = (validation.drift, validation.skew)
    # What is computed from the past grows with it: only a threshold of its own applies.
    of = Comparison.of if column.past is None else Comparison.of_named
    drift, skew = (of(rule, column.name) for rule in rules)
    if drift is not None:
        column.compare(entry.drift_comparator, drift)
    if skew is not None:
        column.compare(entry.skew_comparator, skew)
