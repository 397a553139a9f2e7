"""Executor of StatisticsGen: here or on an engine where it can be, else TFX's own on Beam."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import tensorflow_data_validation as tfdv
from tfx.components.statistics_gen import executor as statistics_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from ranklite.components.local_examples import (
    counted_rows,
    engine_for,
    files,
    readable_here,
)
from ranklite.components.statistics_gen.in_process import Statistics
from ranklite.models import progress


class Executor(statistics_executor.Executor):
    """Computes TFDV's statistics of each split.

    Without arguments of Beam's pipeline everything runs in this process, or file by file on the
    engine of the run: Beam calls several hundred functions a row. Where the examples or TFDV's
    options ask for more than a schema, which the pipeline never does, TFX does the same on Beam:
    samples, slices, weights, shards, sketches.
    """

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes what TFX writes; its keys are the same.

        Raises:
          ValueError: No split is left, or the options and the inputs both hold a schema.
        """
        examples = input_dict["examples"]
        given = exec_properties.get("stats_options_json")
        options = tfdv.StatsOptions.from_json(given) if given else tfdv.StatsOptions()
        if (
            not readable_here(self, examples)
            or not _only_a_schema(options)
            or json.loads(exec_properties.get("sample_rate_by_split") or "null")
            or exec_properties.get("sharded_stats_output")
        ):
            super().Do(input_dict, output_dict, exec_properties)
            return
        _Describing(self._context).Do(input_dict, output_dict, exec_properties)
        if input_dict.get("schema"):
            folder = artifact_utils.get_single_uri(input_dict["schema"])
            options.schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(folder))
        result = output_dict["statistics"]
        splits = {
            split: files(examples, split)
            for split in artifact_utils.decode_split_names(result[0].split_names)
        }
        engine = engine_for([*itertools.chain(*splits.values())], result[0].uri)
        if engine is not None:
            found = Statistics(options).on(engine, splits, result[0].uri)
        else:
            rows = progress.Rows("read", counted_rows(examples, splits))
            found = {split: Statistics(options).of(each, rows) for split, each in splits.items()}
        for split, written in found.items():
            io_utils.write_bytes_file(
                os.path.join(
                    artifact_utils.get_split_uri(result, split),
                    statistics_executor.DEFAULT_FILE_NAME,
                ),
                written.SerializeToString(deterministic=True),
            )


class _Describing(statistics_executor.Executor):
    """TFX's checks and what it says of the artifact; what it would have Beam do is left out."""

    def _make_beam_pipeline(self) -> Any:
        return _Nothing()


class _Nothing:
    """A pipeline that takes every step and runs none."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __or__(self, step: object) -> _Nothing:
        return self


def _only_a_schema(options: tfdv.StatsOptions) -> bool:
    """Whether nothing but the schema differs from TFDV's defaults."""
    other = tfdv.StatsOptions.from_json(options.to_json())
    other.schema = None
    usual: object = json.loads(tfdv.StatsOptions().to_json())
    return json.loads(other.to_json()) == usual
