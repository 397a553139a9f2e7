"""Executor of SchemaFromConfig."""

from __future__ import annotations

import os
from typing import Any

import tensorflow_data_validation as tfdv
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components.schema_from_config.schema import build_schema
from ranklite.components.validation_gate.config import ValidationConfig
from ranklite.models.features.feature_set import FeatureSet

SCHEMA_FILE = "schema.pbtxt"


class Executor(base_executor.BaseExecutor):
    """Writes a schema."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Builds the schema from the train split's statistics.

        Args:
          input_dict:
            - statistics: ExampleStatistics.
          output_dict:
            - schema: Schema.
          exec_properties:
            - features: JSON of a FeatureSet.
            - validation: JSON of a ValidationConfig.
            - code_digest: Only keys the cache.

        Raises:
          SchemaMismatch: The data do not fit the configuration.
        """
        statistics = artifact_utils.get_single_instance(input_dict["statistics"])
        schema = build_schema(
            stats_artifact_utils.load_statistics(statistics, "train").proto(),
            FeatureSet.model_validate_json(exec_properties["features"]),
            ValidationConfig.model_validate_json(exec_properties["validation"]),
        )
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        os.makedirs(uri, exist_ok=True)
        tfdv.write_schema_text(schema, os.path.join(uri, SCHEMA_FILE))
