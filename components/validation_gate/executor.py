"""Executor of ValidationGate."""

from __future__ import annotations

import os
from typing import Any

from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from ranklite.components.validation_gate.config import ValidationConfig
from ranklite.components.validation_gate.validation import TRAIN, refuse, validate

ANOMALIES_FILE = "SchemaDiff.pb"


class Executor(base_executor.BaseExecutor):
    """Validates statistics."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Blesses the data or stops the run.

        Args:
          input_dict:
            - statistics: ExampleStatistics of this run.
            - schema: Schema.
            - baseline_statistics: ExampleStatistics that were last accepted, if any.
          output_dict:
            - anomalies: ExampleAnomalies, laid out as ExampleValidator does.
            - blessing: DataBlessing.
          exec_properties:
            - config: JSON of a ValidationConfig.
            - label: Name of the label.
            - code_digest: Only keys the cache.

        Raises:
          DataRefused: The data are unfit; everything downstream stays undone.
        """
        artifact = artifact_utils.get_single_instance(input_dict["statistics"])
        splits = artifact_utils.decode_split_names(artifact.split_names)
        baseline = input_dict.get("baseline_statistics")
        schema_file = io_utils.get_only_uri_in_dir(
            artifact_utils.get_single_uri(input_dict["schema"])
        )
        result = validate(
            {
                split: stats_artifact_utils.load_statistics(artifact, split).proto()
                for split in splits
            },
            io_utils.SchemaReader().read(schema_file),
            ValidationConfig.model_validate_json(exec_properties["config"]),
            stats_artifact_utils.load_statistics(baseline[0], TRAIN).proto() if baseline else None,
            exec_properties["label"],
        )
        anomalies = artifact_utils.get_single_instance(output_dict["anomalies"])
        anomalies.split_names = artifact.split_names
        for split, proto in result.items():
            folder = artifact_utils.get_split_uri([anomalies], split)
            os.makedirs(folder, exist_ok=True)
            io_utils.write_bytes_file(
                os.path.join(folder, ANOMALIES_FILE), proto.SerializeToString()
            )
        refuse(result)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        os.makedirs(blessing.uri, exist_ok=True)
        io_utils.write_string_file(os.path.join(blessing.uri, "BLESSED"), "")
        blessing.set_int_custom_property("blessed", 1)
        blessing.set_string_custom_property("statistics_uri", artifact.uri)
