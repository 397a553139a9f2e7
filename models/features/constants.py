"""What Transform learned of the features, read back bit by bit, and the layout that follows.

`models.features.transform` is the TensorFlow Transform code itself; `models.features.raw_signature`
does the same inside a TFLite file, from the constants read here.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from ranklite.models.features import stored_state, vocabulary_files
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.vocabulary_feature import vocabulary_owners

SURROGATES = "surrogateescape"  # keeps the bytes of a value that is not UTF-8
MEAN, VARIANCE = "mean", "variance"  # of all standardized numbers
VOCABULARY, BOUNDARIES = "vocabulary", "boundaries"  # of a feature
KEYS = "keys"  # of a vocabulary: the int32 that stand for its values in a file
STATE = "state"  # of an aggregate: what the file stores of it
_CONSTANT = "ranklite_constant"  # starts the names under which a graph keeps what it learned


@dataclasses.dataclass(frozen=True)
class PreprocessingConstants:
    """All that Transform learned from the train split.

    Attributes:
      vocabularies: Values of each feature that has a vocabulary, most frequent first; bytes that
        are not UTF-8 are kept by `SURROGATES`.
      means: Of each standardized number, after its logarithm.
      stds: Likewise.
      boundaries: Bucket boundaries of each bucketed feature, ascending.
      others: What else the kinds of the features learned, by feature and name.
    """

    vocabularies: dict[str, list[str]]
    means: dict[str, float]
    stds: dict[str, float]
    boundaries: dict[str, list[float]]
    others: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def of(self, name: str) -> dict[str, Any]:
        """The constants of a feature by name, as its kind gave them."""
        named: dict[str, dict[str, Any]] = {
            VOCABULARY: self.vocabularies,
            BOUNDARIES: self.boundaries,
        }
        own = {what: values[name] for what, values in named.items() if name in values}
        return own | self.others.get(name, {})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PreprocessingConstants:
        """Reads what `to_dict` wrote."""
        return cls(**data)


def constant_name(what: str, *names: str) -> str:
    """Name of the operation that holds what an analyzer learned of some features or numbers."""
    return ".".join([_CONSTANT, what, *names])


def moments(mean: Any, variance: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation as float32; 0 and 1 where a column is empty or constant.

    A column is constant where its numbers differ by less than a float32 can tell.
    """
    mean = tf.where(tf.math.is_finite(mean), mean, tf.zeros_like(mean))
    varies = variance > tf.square(np.finfo(np.float32).eps * mean)
    usable = tf.math.is_finite(variance) & varies
    std = tf.where(usable, tf.sqrt(variance), tf.ones_like(variance))
    return tf.cast(mean, tf.float32), tf.cast(std, tf.float32)


class Learned:
    """What analyzers left in a transform graph.

    Args:
      transform_dir: The TransformGraph artifact's folder.
    """

    def __init__(self, transform_dir: str) -> None:
        self._folder = transform_dir
        self._output = tft.TFTransformOutput(transform_dir)

    def vocabulary(self, name: str) -> list[str]:
        """The values of a vocabulary, most frequent first."""
        words = vocabulary_files.read(self._file(name))
        return [word.decode(errors=SURROGATES) for word in words]

    def has_values(self, name: str) -> bool:
        """Whether a vocabulary holds a value: an empty one holds TFT's word for nothing."""
        if self.vocabulary_size(name) > 1:
            return True
        return vocabulary_files.read(self._file(name)) != [vocabulary_files.NOTHING]

    def vocabulary_size(self, name: str) -> int:
        """The number of values of a vocabulary."""
        return vocabulary_files.size(self._file(name))

    def _file(self, name: str) -> str:
        # TFT has functions that read it, which trace a dataset anew each time.
        file = self._output.vocabulary_file_by_name(name)
        if file is None:
            raise ValueError(
                f"the transform graph has no vocabulary of {name}: run Transform again"
            )
        return str(file)

    @functools.cached_property
    def _constants(self) -> dict[str, np.ndarray[Any, Any]]:
        """What an analyzer found enters the saved graph as a captured tensor, and an identity
        operation with the name that `constant_name` gives reads it.

        They are read from the file: to load the graph makes a function of every column again.
        """
        path = os.path.join(self._folder, self._output.TRANSFORM_FN_DIR, "saved_model.pb")
        with tf.io.gfile.GFile(path, "rb") as file:
            saved = SavedModel.FromString(file.read())
        (meta_graph,) = saved.meta_graphs
        objects = meta_graph.object_graph_def
        tensors = {node.name: node.attr["value"] for node in meta_graph.graph_def.node}
        result = {}
        for function in meta_graph.graph_def.library.function:
            named = [node for node in function.node_def if node.name.startswith(_CONSTANT)]
            captured = objects.concrete_functions[function.signature.name].bound_inputs
            arguments = [each.name for each in function.signature.input_arg]  # inputs stand first
            held = dict(zip(reversed(arguments), reversed(captured), strict=False))
            for node in named:
                operation = objects.nodes[held[node.input[0]]].constant.operation
                result[node.name] = tf.make_ndarray(tensors[operation].tensor)
        return result

    def constant(self, what: str, *names: str) -> np.ndarray[Any, Any]:
        """What was kept under a name, flat.

        Raises:
          ValueError: The graph was made for other features.
        """
        key = constant_name(what, *names)
        if key not in self._constants:
            raise ValueError(
                f"the transform graph has no {what} of {', '.join(names)}: run Transform again"
            )
        return np.asarray(self._constants[key]).reshape(-1)


def read_constants(
    transform_dir: str, features: FeatureSet, state_dir: str | None = None
) -> PreprocessingConstants:
    """Reads back what Transform learned, bit by bit.

    Args:
      transform_dir: The TransformGraph artifact's folder.
      features: What Transform was configured with.
      state_dir: Folder with what ingestion knows of the past at the end of the log; where it is not
        given, a file stores nothing of it.

    Raises:
      ValueError: The graph was made for other features.
    """
    learned = Learned(transform_dir)
    numbers = [number.name for number in features.numbers if number.standardized]
    means, stds = np.zeros(0), np.zeros(0)
    if numbers:
        mean, std = moments(learned.constant(MEAN, *numbers), learned.constant(VARIANCE, *numbers))
        means, stds = mean.numpy(), std.numpy()
    vocabularies, boundaries, others = {}, {}, {}
    for feature in features.id_features:
        own = feature.constants(learned)
        if VOCABULARY in own:
            vocabularies[feature.name] = own.pop(VOCABULARY)
        if BOUNDARIES in own:
            boundaries[feature.name] = own.pop(BOUNDARIES)
        if own:
            others[feature.name] = own
    if state_dir is not None:
        for feature in features.features:
            if any(column.stored for column in feature.raw_columns()):
                table = stored_state.read(state_dir, feature, vocabularies)
                others.setdefault(feature.name, {})[STATE] = table
    return PreprocessingConstants(
        vocabularies,
        dict(zip(numbers, means.tolist(), strict=True)),
        dict(zip(numbers, stds.tolist(), strict=True)),
        boundaries,
        others,
    )


def layout_from_transform(transform_dir: str, features: FeatureSet) -> FeatureLayout:
    """The layout of the ids and numbers that a transform graph makes."""
    learned = Learned(transform_dir)
    sizes = [(f.name, f.id_length, f.id_values(learned)) for f in features.id_features]
    return FeatureLayout.build(sizes, features.numeric_names, features.list_fields)


def without_values(transform_dir: str, features: FeatureSet) -> list[str]:
    """Features whose vocabulary is empty: every value would be unknown to the model."""
    learned = Learned(transform_dir)
    return [
        feature.name
        for feature in vocabulary_owners(features.id_features)
        if not learned.has_values(feature.name)
    ]
