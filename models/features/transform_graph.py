"""A transform graph from what analyzers have learned: the artifact that TFT writes, without Beam.

`tft.TFTransformOutput` reads it; the graph runs here as soon as it is made, without being loaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import annotators, schema_inference, tf2_utils
from tensorflow_transform.saved import saved_transform_io_v2
from tensorflow_transform.tf_metadata import metadata_io
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata

from ranklite.models.features.analysis import Preprocess, Specs, context, traced_function

_NAME = tft.TFTransformOutput.TRANSFORM_FN_DIR  # of the folder, and of the function in it
_ANNOTATIONS = ("tft_schema_override", "annotated_")  # collections of what is said of outputs


class TransformGraph:
    """A preprocessing function with what it has learned; written to a folder as it is made.

    Args:
      preprocess: The preprocessing function.
      specs: Of its inputs.
      learned: From `models.features.analysis`.
      folder: Receives the artifact.

    Attributes:
      schema: Of the transformed rows.
      operations: Number of operations of the graph.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        specs: Specs,
        learned: Mapping[str, tf.Tensor],
        folder: str,
    ) -> None:
        self._module = tf.Module()  # holds the tables
        traced = saved_transform_io_v2.write_v2_saved_model(
            self._module,
            traced_function(preprocess, specs, self._module, learned),
            _NAME,
            os.path.join(folder, _NAME),
        )
        self._function = self._module.transform_fn
        self.operations = len(self._function.graph.get_operations())
        self.schema = _schema(traced, preprocess, learned)
        metadata_dir = os.path.join(folder, tft.TFTransformOutput.TRANSFORMED_METADATA_DIR)
        metadata_io.write_metadata(DatasetMetadata(self.schema), metadata_dir)
        assets = annotators.get_asset_annotations(traced.graph)
        if assets:
            path = os.path.join(metadata_dir, tft.TFTransformOutput.ASSET_MAP)
            with tf.io.gfile.GFile(path, "w") as file:
                file.write(json.dumps(assets))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Transforms a batch; it may be mapped over a dataset."""
        flat = tf.nest.flatten(dict(batch), expand_composites=True)
        result: dict[str, Any] = self._function(*flat)
        return result


class LoadedGraph:
    """The same, read from the folder of the artifact.

    Args:
      folder: That one.

    Attributes:
      schema: Of the transformed rows.
    """

    def __init__(self, folder: str) -> None:
        output = tft.TFTransformOutput(folder)
        self._loader = saved_transform_io_v2.SavedModelLoader(output.transform_savedmodel_dir)
        self.schema = output.transformed_metadata.schema

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Transforms a batch; it may be mapped over a dataset."""
        result: dict[str, Any] = self._loader.apply_transform_model(dict(batch))
        return result


def write_raw_metadata(schema: schema_pb2.Schema, folder: str) -> None:
    """Writes the schema of the rows before they are transformed, as TFT does.

    Args:
      schema: Of them.
      folder: The artifact's.
    """
    metadata_dir = os.path.join(folder, tft.TFTransformOutput.RAW_METADATA_DIR)
    metadata_io.write_metadata(DatasetMetadata(schema), metadata_dir)


def _schema(
    traced: Any, preprocess: Preprocess, learned: Mapping[str, tf.Tensor]
) -> schema_pb2.Schema:
    """The schema of the outputs, with the annotations of the preprocessing function."""
    names = traced.graph.get_all_collection_keys()
    annotated = any(name.startswith(_ANNOTATIONS) for name in names)
    function: Any = (
        schema_inference.get_traced_metadata_fn(
            preprocess,
            tf2_utils.get_structured_inputs_from_func_graph(traced.graph),
            context(tf.Module(), learned),
            evaluate_schema_overrides=True,
        )
        if annotated  # it traces the function once more
        else dict
    )
    return schema_inference.infer_feature_schema_v2(
        traced.structured_outputs, function, evaluate_schema_overrides=True
    )
