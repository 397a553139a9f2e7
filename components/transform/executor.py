"""Executor of Transform: here or on an engine where it can be, else TFX's own on Beam."""

from __future__ import annotations

import json
import os
from typing import Any

import apache_beam as beam
from absl import logging
from tfx.components.transform import executor as transform_executor
from tfx.components.transform import executor_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from ranklite.components.local_examples import (
    counted_rows,
    engine_for,
    files,
    readable_here,
)
from ranklite.components.transform.in_process import InProcess, Split
from ranklite.components.transform.once import traced_and_loaded_once
from ranklite.components.transform.recipe import Recipe
from ranklite.models.features.analysis import NotInProcess
from ranklite.models.features.constants import without_values
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.row_counts import ROWS_FILE

BATCH_ROWS = 1024


class Executor(transform_executor.Executor):
    """Transforms in batches of a fixed size.

    Without arguments of Beam's pipeline everything runs in this process, or file by file on the
    engine of the run: a stage of Beam costs more than most logs. With some, or where the examples,
    the statistics or an analyzer ask for it, TFX does the same on Beam.

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
        if not self._done_in_process(input_dict, output_dict, exec_properties):
            with traced_and_loaded_once():
                super().Do(input_dict, output_dict, exec_properties)
        rows = os.path.join(artifact_utils.get_single_uri(input_dict["examples"]), ROWS_FILE)
        if fileio.exists(rows):
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

    def _done_in_process(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> bool:
        """Transforms without Beam; False where that cannot be."""
        examples = input_dict["examples"]
        if (
            not readable_here(self, examples)
            or not exec_properties.get("disable_statistics")
            or exec_properties.get("force_tf_compat_v1")
            or exec_properties.get("save_options")
            or "updated_analyzer_cache" in output_dict
            or not output_dict.get("transformed_examples")
            or not exec_properties.get("preprocessing_fn")
        ):
            return False
        splits = executor_utils.ResolveSplitsConfig(exec_properties.get("splits_config"), examples)
        analyzed = [file for split in splits.analyze for file in files(examples, split)]
        graph = artifact_utils.get_single_uri(output_dict["transform_graph"])
        schema_dir = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_dir))
        try:
            recipe = Recipe(
                exec_properties["preprocessing_fn"],
                exec_properties["custom_config"],
                schema.SerializeToString(deterministic=True),
                BATCH_ROWS,
            )
            rows = counted_rows(examples, [*splits.analyze, *splits.transform])
            work = InProcess(recipe, rows, engine_for(analyzed, graph))
        except NotInProcess as error:
            logging.warning("Transform runs on Beam: %s", error)
            return False
        executor_utils.SetSplitNames(splits.transform, output_dict["transformed_examples"])
        prefixes = executor_utils.GetSplitPaths(output_dict["transformed_examples"])
        work.run(
            analyzed,
            [
                Split(files(examples, split), prefix)
                for split, prefix in zip(splits.transform, prefixes, strict=True)
            ],
            graph,
        )
        return True


def _custom(exec_properties: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(exec_properties["custom_config"])
    return config
