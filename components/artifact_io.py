"""Reading and writing what our components hand to each other: examples and checkpoints."""

from __future__ import annotations

import glob
import os
from typing import Any

from tfx.types import artifact_utils
from tfx.utils import path_utils

from ranklite.components import repeated_inputs
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.technique import Setting
from ranklite.models.features import tfrecords
from ranklite.models.features.constants import read_constants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits


def split_files(examples: list[Any], split: str) -> list[str]:
    """Files of a split of an Examples artifact."""
    uris = artifact_utils.get_split_uris(examples, split)
    return tfrecords.in_order([path for uri in uris for path in glob.glob(os.path.join(uri, "*"))])


def splits(examples: list[Any]) -> Splits:
    """Files of the train and eval splits."""
    return Splits(split_files(examples, "train"), split_files(examples, "eval"))


def folder_of(artifacts: list[Any] | None) -> str | None:
    """The folder of an input that may be left out."""
    return artifact_utils.get_single_uri(artifacts) if artifacts else None


def load(models: list[Any]) -> Checkpoint:
    """The checkpoint of a Model artifact."""
    return Checkpoint.load(path_utils.serving_model_dir(artifact_utils.get_single_uri(models)))


def setting(
    input_dict: dict[str, list[Any]], features: FeatureSet | None, training: TrainingConfig
) -> Setting:
    """What the steps of recipes share.

    Args:
      input_dict: `transformed_examples`, and `teacher_0` and so on where there are any.
      features: The configured features, where a technique has to know them.
      training: The settings of the float model.
    """
    teachers = [load([teacher]) for teacher in repeated_inputs.artifacts("teacher", input_dict)]
    return Setting(features, splits(input_dict["transformed_examples"]), training, teachers)


def raw_features(
    input_dict: dict[str, list[Any]], features: FeatureSet, layout: FeatureLayout
) -> RawFeatures:
    """The preprocessing inside of an exported file.

    Args:
      input_dict: `transform_graph`, and `ingest_report` where the file stores the past.
      features: The configured features.
      layout: Of the model.
    """
    graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
    state = folder_of(input_dict.get("ingest_report"))
    return RawFeatures(features, read_constants(graph, features, state), layout)


def save(checkpoint: Checkpoint, models: list[Any]) -> None:
    """Writes a checkpoint and puts its figures on the Model artifact, for the store to keep."""
    (artifact,) = models
    checkpoint.save(path_utils.serving_model_dir(artifact.uri))
    for name, value in checkpoint.metrics.items():
        if isinstance(value, (int, float)):
            artifact.set_float_custom_property(name, float(value))
        elif isinstance(value, str):
            artifact.set_string_custom_property(name, value)
