"""Executor of LogExampleGen."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from ranklite.components.artifact_json import (
    ITEM_LABELS_FILE,
    LOG_ROWS_FILE,
    REPORT_FILE,
)
from ranklite.components.engines.current import current_engine
from ranklite.components.log_example_gen import spans
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.features.row_counts import ROWS_FILE

FILE_FORMAT = "tfrecords_gzip"  # as Beam-based ExampleGens leave it


class Executor(base_executor.BaseExecutor):
    """Reads the log and writes Examples, on the engine of the run where there is one."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Ingests the log.

        Args:
          input_dict: Empty.
          output_dict:
            - examples: Examples with a split for each of the configuration's, and beside the
              splits `rows.json`, their rows.
            - report: IngestReport; `report.json` says what was read, `item_labels.parquet` how
              items are called, where the configuration names a column for it;
              `log_rows.jsonl`, rows of the last split as they stand in the log; where features
              are computed from the past, `state-<feature>.parquet`, what a file stores of it, and
              `views.parquet`, the last split's in other states.
          exec_properties:
            - config: JSON of an IngestConfig.
            - data_root: Folder of the log.
            - rejects_dir: Folder for rows that cannot be read.
            - span: The newest span to read; the newest there is where it is empty.
            - input_digest: Set by the driver; only keys the cache.
            - code_digest: Only keys the cache.

        Raises:
          IngestError: The log is of no use.
        """
        config = IngestConfig.model_validate_json(exec_properties["config"])
        config = config.at(exec_properties["span"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(config.split_names))
        examples.set_string_custom_property(
            utils.PAYLOAD_FORMAT_PROPERTY_NAME,
            example_gen_pb2.PayloadFormat.Name(example_gen_pb2.FORMAT_TF_EXAMPLE),
        )
        examples.set_string_custom_property(
            utils.FILE_FORMAT_PROPERTY_NAME,
            FILE_FORMAT,
        )
        (artifact,) = output_dict["report"]
        os.makedirs(artifact.uri, exist_ok=True)
        report = ingest(
            config,
            exec_properties["data_root"],
            exec_properties["rejects_dir"],
            lambda split: artifact_utils.get_split_uri([examples], split),
            item_labels=os.path.join(artifact.uri, ITEM_LABELS_FILE),
            log_rows_file=os.path.join(artifact.uri, LOG_ROWS_FILE),
            state_dir=artifact.uri,
            engine=current_engine(),
        )
        rows = {split: result["rows"] for split, result in report["splits"].items()}
        with open(os.path.join(examples.uri, ROWS_FILE), "w", encoding="utf-8") as file:
            json.dump(rows, file)
        if report["spans"]:
            examples.span = spans.number(report["spans"][-1])
        with open(os.path.join(artifact.uri, REPORT_FILE), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
