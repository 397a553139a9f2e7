"""Transform in this process: TensorFlow Transform over Arrow batches, without TFX."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features import arrow, tfrecords
from ranklite.models.features.analysis import Analysis
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.transform import preprocessing_fn
from ranklite.models.features.transform_graph import TransformGraph
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
    specs = {
        name: tf.SparseTensorSpec([None, None], column.dtype)
        for name, column in _columns(batches[0]).items()
    }
    graph = os.path.join(folder, _GRAPH)

    def preprocess(inputs: dict[str, Any]) -> dict[str, Any]:
        return preprocessing_fn(inputs, features)

    analysis = Analysis(preprocess, specs)
    looked_at = (
        {name: tensor.numpy() for name, tensor in analysis.inputs(_parsed(batch)).items()}
        for batch in batches
    )
    with tempfile.TemporaryDirectory(dir=folder) as work:
        TransformGraph(preprocess, specs, analysis.run(looked_at, work), graph)
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
            columns = {name: list(x.numpy()) for name, x in layer(_parsed(batch)).items()}
            yield pa.RecordBatch.from_pydict(columns)

    tfrecords.write_examples(path, transformed())
    return path


def _parsed(batch: pa.RecordBatch) -> dict[str, tf.SparseTensor]:
    records = tf.constant(arrow.encode(batch), tf.string)
    parsed: dict[str, tf.SparseTensor] = tf.io.parse_example(records, _columns(batch))
    return parsed


def _columns(batch: pa.RecordBatch) -> dict[str, tf.io.VarLenFeature]:
    schema = arrow.as_lists(batch).schema
    return {field.name: tf.io.VarLenFeature(_dtype(field.type)) for field in schema}


def _dtype(kind: pa.DataType) -> Any:
    values = kind.value_type
    if pa.types.is_integer(values):
        return tf.int64
    return tf.float32 if pa.types.is_floating(values) else tf.string
