"""Reads Parquet on Beam, typed by the configuration.

TFX's own Parquet executor takes the number 0 and the empty string for a missing value, and the type
of a feature from the first rows it sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from google.protobuf import any_pb2, wrappers_pb2
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.proto import example_gen_pb2
from tfx.utils import proto_utils

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.features.arrow import encode


def custom_config(config: IngestConfig, code_digest: str) -> example_gen_pb2.CustomConfig:
    """What the executor has to know, as TFX's ExampleGen carries it; the digest keys the cache."""
    text = json.dumps({"config": config.model_dump(mode="json"), "code_digest": code_digest})
    packed = any_pb2.Any()
    packed.Pack(wrappers_pb2.StringValue(value=text))
    return example_gen_pb2.CustomConfig(custom_config=packed)


def columns(config: IngestConfig) -> dict[str, pa.DataType]:
    """Arrow type of each column that is read."""
    features = config.features
    types = {column.source: column.arrow_type() for column in features.logged_columns}
    for extra in (features.user, features.item, *features.slices):
        if extra:
            types.setdefault(extra, pa.string())
    return {**types, features.label: pa.float32()}


def to_examples(table: pa.Table, config: IngestConfig) -> Iterator[tf.train.Example]:
    """Examples of a part of a Parquet file.

    Raises:
      ValueError: A column is missing or cannot be read as its configured type.
    """
    arrays = []
    types = columns(config)
    for name, kind in types.items():
        if name not in table.schema.names:
            raise ValueError(
                f"the Parquet files have no column {name!r}; they have {table.schema.names}"
            )
        held = table.column(name).type
        if pa.types.is_floating(held) and pa.types.is_string(kind):
            raise ValueError(
                f"column {name!r} holds {held}, and a category is text or an integer: write it so"
            )
        try:
            arrays.append(table.column(name).cast(kind, safe=not pa.types.is_floating(kind)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"column {name!r} holds {table.column(name).type}, the configuration says {kind}: "
                f"{error}"
            ) from error
    renamed = {column.source: column.name for column in config.features.logged_columns}
    for batch in pa.table(arrays, names=[renamed.get(c, c) for c in types]).to_batches():
        for record in encode(batch):
            yield tf.train.Example.FromString(record)


@beam.ptransform_fn
@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
def _read(
    pipeline: beam.Pipeline, exec_properties: dict[str, Any], split_pattern: str
) -> beam.pvalue.PCollection:
    proto = example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(exec_properties["custom_config"], proto)
    text = wrappers_pb2.StringValue()
    proto.custom_config.Unpack(text)
    config = IngestConfig.model_validate(json.loads(text.value)["config"])
    return (
        pipeline
        | "Read"
        >> beam.io.ReadFromParquetBatched(f"{exec_properties['input_base']}/{split_pattern}")
        | "ToExamples" >> beam.FlatMap(to_examples, config)
    )


class Executor(BaseExampleGenExecutor):
    """ExampleGen's executor for Parquet files."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """The transform from files to Examples."""
        return _read
