"""What TFX's StatisticsGen has to be told about the configured columns."""

from __future__ import annotations

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from ranklite.models.features.feature_set import FeatureSet

FREQUENT_VALUES = 1000  # whose counts are kept, of each category


def statistics_options(features: FeatureSet) -> tfdv.StatsOptions:
    """Has integers that are categories counted as categories.

    TFDV summarizes integers as numbers, and then finds a drift of exactly 0 in any of them: the
    distance between the shares of their values needs those values counted. Of ids it has to see
    many, since the share of each is small.
    """
    schema = schema_pb2.Schema()
    for column in features.raw_columns:
        if column.counts_integers:
            entry = schema.feature.add(name=column.name, type=schema_pb2.INT)
            entry.int_domain.is_categorical = True
    return tfdv.StatsOptions(schema=schema, num_rank_histogram_buckets=FREQUENT_VALUES)
