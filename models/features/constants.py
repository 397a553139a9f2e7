"""What Transform makes of raw features: its columns, its layout and what it learned.

`models.features.transform` is the TensorFlow Transform code itself; `models.features.raw_signature`
does the same inside a TFLite file, from the constants read here.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from ranklite.models.features.feature_set import FeatureSet, NumericFeature
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.rules import (
    id_features,
    id_length,
    numeric_names,
    standardized_features,
)

GROUP = "group"
SLICE = "slice_"
SLICE_USER, SLICE_ITEM, SLICE_POPULARITY = "slice_user", "slice_item", "slice_popularity"

SURROGATES = "surrogateescape"  # keeps the bytes of a value that is not UTF-8
_CONSTANT = "ranklite_constant"  # starts the names under which a graph keeps what it learned


def evaluation_slices(features: FeatureSet) -> list[str]:
    """Columns that Transform writes for slicing the evaluation.

    Raises:
      ValueError: A column of `slices` would take the name of a slice that is always there.
    """
    categorical = {f.name for f in features.features if f.kind == "categorical"}
    slices = [SLICE_USER] if features.user in categorical else []
    slices += [SLICE_ITEM, SLICE_POPULARITY] if features.item in categorical else []
    taken = [name for name in features.slices if SLICE + name in slices]
    if taken:
        raise ValueError(
            f"slices: {', '.join(map(repr, taken))} would be written as "
            f"{', '.join(repr(SLICE + name) for name in taken)}, a slice that is always made; "
            "rename the column in source.query"
        )
    return slices + [SLICE + name for name in features.slices]


@dataclasses.dataclass(frozen=True)
class PreprocessingConstants:
    """All that Transform learned from the train split.

    Attributes:
      vocabularies: Values of each categorical feature, most frequent first; bytes that are not
        UTF-8 are kept by `SURROGATES`.
      means: Of each standardized feature, after its logarithm.
      stds: Likewise.
      boundaries: Bucket boundaries of each bucketed feature, ascending.
    """

    vocabularies: dict[str, list[str]]
    means: dict[str, float]
    stds: dict[str, float]
    boundaries: dict[str, list[float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PreprocessingConstants:
        """Reads what `to_dict` wrote."""
        return cls(**data)


def constant_name(kind: str, *names: str) -> str:
    """Name of the operation that holds what an analyzer learned of some features."""
    return ".".join([_CONSTANT, kind, *names])


def moments(mean: Any, variance: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation as float32; 0 and 1 where a column is empty or constant.

    A column is constant where its numbers differ by less than a float32 can tell.
    """
    mean = tf.where(tf.math.is_finite(mean), mean, tf.zeros_like(mean))
    varies = variance > tf.square(np.finfo(np.float32).eps * mean)
    usable = tf.math.is_finite(variance) & varies
    std = tf.where(usable, tf.sqrt(variance), tf.ones_like(variance))
    return tf.cast(mean, tf.float32), tf.cast(std, tf.float32)


def read_constants(transform_dir: str, features: FeatureSet) -> PreprocessingConstants:
    """Reads back what Transform learned, bit by bit.

    What an analyzer found enters the saved graph as a captured tensor, and an identity operation
    with the name that `constant_name` gives reads it.

    Args:
      transform_dir: The TransformGraph artifact's folder.
      features: What Transform was configured with.

    Raises:
      ValueError: The graph was made for other features.
    """
    output = tft.TFTransformOutput(transform_dir)
    saved = tf.saved_model.load(os.path.join(transform_dir, output.TRANSFORM_FN_DIR))
    graph, captured = saved.transform_fn.graph, saved.transform_fn.captured_inputs
    values = {
        inner.name: outer for inner, outer in zip(graph.internal_captures, captured, strict=True)
    }
    learned = {
        op.name: values[op.inputs[0].name].numpy()
        for op in graph.get_operations()
        if op.type == "Identity" and op.name.startswith(_CONSTANT)
    }

    def constant(kind: str, *names: str) -> np.ndarray[Any, Any]:
        key = constant_name(kind, *names)
        if key not in learned:
            raise ValueError(
                f"the transform graph has no {kind} of {', '.join(names)}: run Transform again"
            )
        return np.asarray(learned[key]).reshape(-1)

    numbers = [f.name for f in standardized_features(features)]
    means, stds = np.zeros(0), np.zeros(0)
    if numbers:
        mean, std = moments(constant("mean", *numbers), constant("variance", *numbers))
        means, stds = mean.numpy(), std.numpy()
    return PreprocessingConstants(
        vocabularies={
            f.name: [word.decode(errors=SURROGATES) for word in output.vocabulary_by_name(f.name)]
            for f in id_features(features)
            if not isinstance(f, NumericFeature)
        },
        means=dict(zip(numbers, means.tolist(), strict=True)),
        stds=dict(zip(numbers, stds.tolist(), strict=True)),
        boundaries={
            f.name: constant("boundaries", f.name).tolist()
            for f in id_features(features)
            if isinstance(f, NumericFeature)
        },
    )


def layout_from_transform(transform_dir: str, features: FeatureSet) -> FeatureLayout:
    """The layout of the ids and numbers that a transform graph makes."""
    output = tft.TFTransformOutput(transform_dir)
    sizes = []
    for feature in id_features(features):
        if isinstance(feature, NumericFeature):
            values = feature.buckets or 0
        else:
            values = int(output.vocabulary_size_by_name(feature.name))
        sizes.append((feature.name, id_length(feature), values))
    return FeatureLayout.build(sizes, numeric_names(features))
