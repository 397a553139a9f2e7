"""Transform in this process: TensorFlow Transform over Arrow batches, without TFX."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import beam as tft_beam
from tfx_bsl.tfxio import tensor_adapter

from ranklite.models.features import arrow
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.transform import preprocessing_fn
from ranklite.models.training import runtime

_GRAPH = "transform_graph"


def learn(batches: Sequence[pa.RecordBatch], features: FeatureSet, folder: str) -> str:
    """Learns vocabularies, moments and boundaries, as the Transform stage does.

    Args:
      batches: The train split, from `raw_batches`.
      features: What to make of it.
      folder: Receives the transform graph.

    Returns:
      Folder of the transform graph.
    """
    runtime.configure()
    given = [arrow.as_lists(batch) for batch in batches]
    config = tensor_adapter.TensorAdapterConfig(
        given[0].schema, {name: _varlen(name) for name in given[0].schema.names}
    )
    graph = os.path.join(folder, _GRAPH)

    def preprocess(inputs: dict[str, Any]) -> dict[str, Any]:
        return preprocessing_fn(inputs, features)

    # The runner is named, since Beam's default on the newer stack fetches a program to run.
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
        tft_beam.Context(temp_dir=scratch),
    ):
        source = pipeline | beam.Create(given)
        function = (source, config) | tft_beam.AnalyzeDataset(preprocess)
        _ = function | tft_beam.WriteTransformFn(graph)
    return graph


def apply(graph: str, batches: Sequence[pa.RecordBatch], path: str) -> str:
    """Transforms rows, in their order, and writes them as Examples that training reads.

    Args:
      graph: Folder of the transform graph.
      batches: From `raw_batches`.
      path: The file to write.

    Returns:
      The file.
    """
    layer = tft.TFTransformOutput(graph).transform_features_layer()

    def transformed() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists = arrow.as_lists(batch)
            spec = {field.name: tf.io.VarLenFeature(_dtype(field.type)) for field in lists.schema}
            parsed = tf.io.parse_example(tf.constant(arrow.encode(batch), tf.string), spec)
            columns = {name: list(tensor.numpy()) for name, tensor in layer(parsed).items()}
            yield pa.RecordBatch.from_pydict(columns)

    arrow.write_examples(path, transformed())
    return path


def _dtype(kind: pa.DataType) -> Any:
    values = kind.value_type
    if pa.types.is_integer(values):
        return tf.int64
    return tf.float32 if pa.types.is_floating(values) else tf.string


def _varlen(column: str) -> schema_pb2.TensorRepresentation:
    sparse = schema_pb2.TensorRepresentation.VarLenSparseTensor(column_name=column)
    return schema_pb2.TensorRepresentation(varlen_sparse_tensor=sparse)
