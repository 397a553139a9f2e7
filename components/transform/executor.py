"""Executor of Transform: TFX's, with batches of one size, its rows counted, nothing done twice."""

from __future__ import annotations

import json
import os
from typing import Any

import apache_beam as beam
from tfx.components.transform import executor as transform_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from ranklite.components.artifact_types import ROWS_FILE
from ranklite.components.transform.once import traced_and_loaded_once
from ranklite.models.features.constants import without_values
from ranklite.models.features.feature_set import FeatureSet

BATCH_ROWS = 1024


class Executor(transform_executor.Executor):
    """Transforms in batches of a fixed size.

    Beam tunes the size by the clock. What is added up, and which numbers a vector instruction takes
    together, would then depend on what else the machine does, and with the last digit of a number
    everything that is trained on it: two runs on the same data would push different bytes.
    """

    def _make_beam_pipeline(self) -> Any:
        """A pipeline in this process is pickled by cloudpickle, in half the time of dill.

        Beam needs no dill from 2.69 on. Arguments that are given choose for themselves.
        """
        if self._beam_pipeline_args or self._make_beam_pipeline_fn is not None:
            return super()._make_beam_pipeline()
        return beam.Pipeline(argv=["--pickle_library=cloudpickle"])

    def _GetDesiredBatchSize(self, *args: Any, **kwargs: Any) -> int:
        return BATCH_ROWS

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Transforms as TFX does, with the same keys; every split keeps its number of rows.

        Raises:
          ValueError: A feature has no value in its vocabulary.
        """
        with traced_and_loaded_once():
            super().Do(input_dict, output_dict, exec_properties)
        rows = os.path.join(artifact_utils.get_single_uri(input_dict["examples"]), ROWS_FILE)
        if fileio.exists(rows):  # Beam's reader of Parquet does not count
            to = artifact_utils.get_single_uri(output_dict["transformed_examples"])
            fileio.copy(rows, os.path.join(to, ROWS_FILE))
        features = FeatureSet.model_validate_json(_custom(exec_properties)["features"])
        graph = artifact_utils.get_single_uri(output_dict["transform_graph"])
        empty = without_values(graph, features)
        if empty:
            raise ValueError(
                f"no value of {', '.join(empty)} is in a vocabulary: all are missing in the train "
                "split, or rarer there than `min_count`. Mend the log, lower `min_count`, or leave "
                "the feature out"
            )


def _custom(exec_properties: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(exec_properties["custom_config"])
    return config
