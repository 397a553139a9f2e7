"""Reading an artifact of Examples in this process, where no engine of Beam is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
from tfx.components.util import examples_utils, tfxio_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from ranklite.components.engines.current import current_engine
from ranklite.components.engines.engine import Engine
from ranklite.models.features import tfrecords
from ranklite.models.features.row_counts import ROWS_FILE

_GZIPPED_RECORDS = "tfrecords_gzip"
_EXAMPLE = example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE


def readable_here(executor: BaseBeamExecutor, examples: Sequence[Any]) -> bool:
    """Whether an executor may read Examples by itself, and this module can.

    Args:
      executor: One of TFX's for Beam; with arguments for a pipeline, Beam's engine does the work.
      examples: The artifacts of its input.

    Returns:
      Whether it is one artifact of tf.Examples in TFRecords, its splits in folders of their names.
    """
    return (
        not executor._beam_pipeline_args
        and executor._make_beam_pipeline_fn is None
        and len(examples) == 1
        and examples_utils.get_file_format(examples[0]) == _GZIPPED_RECORDS
        and tfxio_utils.resolve_payload_format_and_data_view_uri(examples)[0] == _EXAMPLE
        and not examples[0].has_custom_property(examples_utils.CUSTOM_SPLIT_PATTERN_PROPERTY_NAME)
    )


def files(examples: list[Any], split: str) -> list[str]:
    """The files of a split, in order of name and number."""
    folder = artifact_utils.get_split_uri(examples, split)
    return tfrecords.in_order([os.path.join(folder, name) for name in tf.io.gfile.listdir(folder)])


def counted_rows(examples: Sequence[Any], splits: Iterable[str]) -> int | None:
    """Rows of some splits, all together; None where they were not counted."""
    path = os.path.join(examples[0].uri, ROWS_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path) as file:
        counted: dict[str, int] = json.load(file)
    return sum(counted[split] for split in splits)


def engine_for(paths: Sequence[str], to: str) -> Engine | None:
    """The engine that works on files of Examples; None where this process does.

    Args:
      paths: The files.
      to: Folder that is written to.
    """
    engine = current_engine()
    if engine is None or len(paths) < 2 or any("://" in path for path in (to, *paths)):
        return None
    return engine
