"""Driver of LogExampleGen: the content of the log decides whether the cache may answer."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils
from tfx.proto.orchestration import driver_output_pb2

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.input_files import input_digest


class Driver(base_driver.BaseDriver):
    """Adds a digest of all input files to the properties before the cache is asked.

    TFX's own drivers look at sizes and times of change: they miss an edit that keeps both, and
    ingest again after a mere `touch`.
    """

    def run(self, execution_info: Any) -> driver_output_pb2.DriverOutput:
        """Returns the properties with `input_digest` set."""
        properties = dict(execution_info.exec_properties)
        config = IngestConfig.model_validate_json(properties["config"]).at(properties["span"])
        properties["input_digest"] = input_digest(config, properties["data_root"])
        output = driver_output_pb2.DriverOutput()
        for key, value in properties.items():
            if value is not None:
                data_types_utils.set_metadata_value(output.exec_properties[key], value)
        for key, artifacts in execution_info.output_dict.items():
            for artifact in artifacts:
                output.output_artifacts[key].artifacts.append(artifact.mlmd_artifact)
        return output
