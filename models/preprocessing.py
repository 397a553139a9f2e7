"""From raw features to the fused ids and numbers that a DeepFM reads, as TensorFlow Transform code.

`models.raw_features` does the same inside a TFLite file, from the constants read here.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from models.config import (
    CategoricalFeature,
    FeatureSet,
    MultiCategoricalFeature,
    NumericFeature,
)
from models.layout import (
    IDS,
    MISSING,
    NUMERIC,
    OOV,
    PADDING_ROW,
    RESERVED_ROWS,
    FeatureLayout,
)

MISSING_STRING = ""
MISSING_INT64 = -(2**63)  # a number that is missing is NaN

LABEL = "label"
GROUP = "group"
SLICE = "slice_"
SLICE_USER, SLICE_ITEM, SLICE_POPULARITY = "slice_user", "slice_item", "slice_popularity"
HEAD, TORSO = 0.1, 0.5  # shares of the item vocabulary, by rank, that end the head and the torso

_QUANTILE_ERROR = 0.001
_CONSTANT = "ranklite_constant"  # prefix of the names under which a graph keeps its constants

IdFeature = CategoricalFeature | MultiCategoricalFeature | NumericFeature
Tensors = dict[str, tf.Tensor]


# --------------------------------------------------------------------------- shape of the features


def id_features(features: FeatureSet) -> list[IdFeature]:
    """Features that become ids, in the order of the layout."""
    found = [f for f in features.features if f.kind != "numeric" or f.buckets is not None]
    return sorted(found, key=lambda feature: id_length(feature) > 1)


def id_length(feature: IdFeature) -> int:
    """Number of id columns of a feature."""
    return feature.max_length if isinstance(feature, MultiCategoricalFeature) else 1


def standardized_features(features: FeatureSet) -> list[NumericFeature]:
    """Numeric features that stay numbers."""
    return [f for f in features.features if f.kind == "numeric" and f.buckets is None]


def numeric_names(features: FeatureSet) -> list[str]:
    """Names of the columns of `numeric`."""
    names = []
    for feature in standardized_features(features):
        names += [feature.name]
        names += [f"{feature.name}_is_missing"] * feature.missing_indicator
    return names


def evaluation_slices(features: FeatureSet) -> list[str]:
    """Columns that Transform writes for slicing the evaluation."""
    categorical = {f.name for f in features.features if f.kind == "categorical"}
    slices = [SLICE_USER] if features.user in categorical else []
    slices += [SLICE_ITEM, SLICE_POPULARITY] if features.item in categorical else []
    return slices + [SLICE + name for name in features.slices]


# ----------------------------------------------------------------- arithmetic, shared with TFLite


def squash(x: tf.Tensor, feature: NumericFeature) -> tf.Tensor:
    """sign(x) log(1 + |x|) where the feature asks for it."""
    return tf.sign(x) * tf.math.log1p(tf.abs(x)) if feature.log else x


def standardize(x: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
    """(x - mean) / std, and 0, the mean, where x is NaN."""
    return tf.where(is_missing(x), tf.zeros_like(x), (x - mean) / std)


def is_missing(x: tf.Tensor) -> tf.Tensor:
    """True where x is NaN; TFLite has no IsNan, but NaN is the one value unlike itself."""
    return tf.not_equal(x, x)


def fill_empty_lists(rows: tf.Tensor, missing_row: tf.Tensor | int) -> tf.Tensor:
    """Puts the missing row into the first place of a list without any value.

    Args:
      rows: [B, L] int64, padding where there is no value.
      missing_row: The row that says so.
    """
    empty = tf.reduce_max(rows, axis=1, keepdims=True) == PADDING_ROW
    first = tf.where(empty, tf.cast(missing_row, tf.int64), rows[:, :1])
    return tf.concat([first, rows[:, 1:]], axis=1)


# ------------------------------------------------------------------------------- inside Transform


def _column(value: Any, default: Any) -> tf.Tensor:
    """A single-valued column as [B], whichever way the schema made it arrive."""
    if isinstance(value, tf.SparseTensor):
        value = tft.sparse_tensor_to_dense_with_shape(value, [None, 1], default_value=default)
    return tf.reshape(value, [-1])


def _first(value: Any) -> Any:
    """A column with only the first value of each row."""
    if not isinstance(value, tf.SparseTensor):
        return value
    shape = tf.stack([value.dense_shape[0], tf.constant(1, tf.int64)])
    return tf.sparse.reset_shape(tf.sparse.slice(value, [0, 0], shape), shape)


def _text(value: Any) -> tf.Tensor:
    """A single-valued column as decimal or plain strings [B], "" where it is missing."""
    if value.dtype == tf.string:
        return _column(value, MISSING_STRING)
    if value.dtype == tf.int64:
        number = _column(value, MISSING_INT64)
        return tf.where(number == MISSING_INT64, MISSING_STRING, tf.strings.as_string(number))
    number = _column(value, float("nan"))
    return tf.where(is_missing(number), MISSING_STRING, tf.strings.as_string(number, shortest=True))


def _text_lists(value: Any, length: int) -> tf.Tensor:
    """A multi-valued column as strings [B, length], cut, and "" where there is no value."""
    if not isinstance(value, tf.SparseTensor):
        value = tf.sparse.from_dense(value)
    shape = tf.stack([value.dense_shape[0], tf.constant(length, tf.int64)])
    kept = tf.sparse.slice(value, [0, 0], shape)
    default = MISSING_STRING if value.dtype == tf.string else MISSING_INT64
    dense = tf.reshape(
        tf.sparse.to_dense(tf.sparse.reset_shape(kept, shape), default), [-1, length]
    )
    if dense.dtype == tf.string:
        return dense
    return tf.where(dense == MISSING_INT64, MISSING_STRING, tf.strings.as_string(dense))


def _constant(tensor: tf.Tensor, feature: str, name: str) -> tf.Tensor:
    """Names an analyzer's output, so that `read_constants` finds it in the saved graph."""
    return tf.identity(tensor, name=f"{_CONSTANT}_{feature}_{name}")


def _moments(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation; 0 and 1 where a column is empty or constant."""
    mean = tf.where(tf.math.is_finite(mean), mean, tf.zeros_like(mean))
    usable = tf.math.is_finite(variance) & (variance > 0)
    return mean, tf.where(usable, tf.sqrt(variance), tf.ones_like(variance))


def _vocabulary_ids(text: tf.Tensor, feature: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Rank in the vocabulary [like text], -1 where out of it, and the vocabulary's size."""
    path = tft.vocabulary(
        text,
        vocab_filename=feature.name,
        frequency_threshold=feature.min_count if feature.min_count > 1 else None,
        top_k=feature.max_vocabulary,
    )
    rank = tft.apply_vocabulary(text, path, default_value=-1)
    return rank, tft.experimental.get_vocabulary_size_by_name(feature.name)


def preprocessing_fn(inputs: dict[str, Any], features: FeatureSet) -> Tensors:
    """Transforms raw features; analyzers see the train split alone.

    Args:
      inputs: Columns by name, sparse or dense.
      features: What to make of them.

    Returns:
      `ids` [B, S] int64, `numeric` [B, N] float32 (where N > 0), `label` [B, 1] float32, `group`
      and the columns of `evaluation_slices`, all [B, 1] string.

    Raises:
      KeyError: A configured column is not among the inputs.
    """
    wanted = [f.name for f in features.features] + [features.label]
    absent = sorted({name for name in wanted if name not in inputs})
    if absent:
        raise KeyError(f"the examples have no column {absent}; they have {sorted(inputs)}")
    blocks, ranks = [], {}
    offset: Any = tf.constant(PADDING_ROW + 1, tf.int64)
    for feature in id_features(features):
        value = inputs[feature.name]
        if isinstance(feature, NumericFeature):
            x = squash(_column(value, float("nan")), feature)
            present = tf.boolean_mask(x, ~is_missing(x))
            boundaries = tft.quantiles(present, feature.buckets, epsilon=_QUANTILE_ERROR)
            boundaries = _constant(boundaries, feature.name, "boundaries")
            bucket = tf.searchsorted(tf.reshape(boundaries, [-1]), x, side="right")
            bucket = tf.cast(bucket, tf.int64)
            local = tf.where(is_missing(x), tf.cast(MISSING, tf.int64), bucket + RESERVED_ROWS)
            blocks.append(local[:, None] + offset)
            size: Any = tf.constant(feature.buckets, tf.int64)
        elif isinstance(feature, MultiCategoricalFeature):
            text = _text_lists(value, feature.max_length)
            rank, size = _vocabulary_ids(text, feature)
            rows = offset + tf.where(rank < 0, tf.cast(OOV, tf.int64), rank + RESERVED_ROWS)
            rows = tf.where(text == MISSING_STRING, tf.cast(PADDING_ROW, tf.int64), rows)
            blocks.append(fill_empty_lists(rows, offset + MISSING))
        else:
            text = _text(value)
            rank, size = _vocabulary_ids(text, feature)
            local = tf.where(rank < 0, tf.cast(OOV, tf.int64), rank + RESERVED_ROWS)
            local = tf.where(text == MISSING_STRING, tf.cast(MISSING, tf.int64), local)
            blocks.append(local[:, None] + offset)
            ranks[feature.name] = (rank, size)
        offset += tf.cast(size, tf.int64) + RESERVED_ROWS

    outputs = {
        IDS: tf.ensure_shape(
            tf.concat(blocks, axis=1), [None, sum(map(id_length, id_features(features)))]
        ),
        LABEL: tf.cast(_column(inputs[features.label], 0.0), tf.float32)[:, None],
    }
    columns = []
    for feature in standardized_features(features):
        x = squash(_column(inputs[feature.name], float("nan")), feature)
        present = tf.boolean_mask(x, ~is_missing(x))
        mean = _constant(tft.mean(present), feature.name, "mean")
        variance = _constant(tft.var(present), feature.name, "variance")
        columns.append(standardize(x, *_moments(mean, variance)))
        if feature.missing_indicator:
            columns.append(tf.cast(is_missing(x), tf.float32))
    if columns:
        outputs[NUMERIC] = tf.stack(columns, axis=1)
    return outputs | _evaluation_columns(inputs, features, ranks)


def _evaluation_columns(
    inputs: dict[str, Any], features: FeatureSet, ranks: dict[str, tuple[tf.Tensor, tf.Tensor]]
) -> Tensors:
    columns = {}
    if features.user:
        columns[GROUP] = _text(inputs[features.user])
    if features.user in ranks:
        rank, _ = ranks[features.user]
        columns[SLICE_USER] = tf.where(rank < 0, "new", "seen")
    if features.item in ranks:
        rank, size = ranks[features.item]
        columns[SLICE_ITEM] = tf.where(rank < 0, "new", "seen")
        share = (tf.cast(rank, tf.float32) + 0.5) / tf.cast(tf.maximum(size, 1), tf.float32)
        known = tf.where(share < HEAD, "head", tf.where(share < TORSO, "torso", "tail"))
        columns[SLICE_POPULARITY] = tf.where(rank < 0, "new", known)
    for name in features.slices:
        columns[SLICE + name] = _text(_first(inputs[name]))
    return {name: tf.reshape(column, [-1, 1]) for name, column in columns.items()}


# --------------------------------------------------------------------------------- after Transform


@dataclasses.dataclass(frozen=True)
class PreprocessingConstants:
    """All that Transform learned from the train split.

    Attributes:
      vocabularies: Values of each categorical feature, most frequent first.
      means: Of each standardized feature, after its logarithm.
      stds: Likewise.
      boundaries: Bucket boundaries of each bucketed feature, ascending.
    """

    vocabularies: dict[str, list[str]]
    means: dict[str, float]
    stds: dict[str, float]
    boundaries: dict[str, list[float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return dataclasses.asdict(self)


def read_constants(transform_dir: str, features: FeatureSet) -> PreprocessingConstants:
    """Reads back what Transform learned, bit by bit.

    Analyzed values enter the saved graph as captured tensors that carry the names given by
    `_constant`.

    Args:
      transform_dir: The TransformGraph artifact's folder.
      features: What Transform was configured with.

    Raises:
      ValueError: The graph was made for other features.
    """
    output = tft.TFTransformOutput(transform_dir)
    saved = tf.saved_model.load(os.path.join(transform_dir, output.TRANSFORM_FN_DIR))
    function = saved.transform_fn
    captured = {
        inner.op.name.removesuffix("_input"): outer.numpy()
        for inner, outer in zip(
            function.graph.internal_captures, function.captured_inputs, strict=True
        )
        if inner.op.name.startswith(_CONSTANT)
    }

    def constant(feature: str, name: str) -> Any:
        key = f"{_CONSTANT}_{feature}_{name}"
        if key not in captured:
            raise ValueError(
                f"the transform graph has no {name} of {feature!r}: run Transform again"
            )
        return captured[key]

    moments = {
        f.name: _moments(constant(f.name, "mean"), constant(f.name, "variance"))
        for f in standardized_features(features)
    }
    return PreprocessingConstants(
        vocabularies={
            f.name: [value.decode() for value in output.vocabulary_by_name(f.name)]
            for f in id_features(features)
            if f.kind != "numeric"
        },
        means={name: float(mean) for name, (mean, _) in moments.items()},
        stds={name: float(std) for name, (_, std) in moments.items()},
        boundaries={
            f.name: [float(value) for value in constant(f.name, "boundaries").reshape(-1)]
            for f in id_features(features)
            if f.kind == "numeric"
        },
    )


def layout_from_transform(transform_dir: str, features: FeatureSet) -> FeatureLayout:
    """The layout of the ids and numbers that a transform graph makes."""
    output = tft.TFTransformOutput(transform_dir)
    sizes = [
        (
            feature.name,
            id_length(feature),
            feature.buckets or 0
            if feature.kind == "numeric"
            else int(output.vocabulary_size_by_name(feature.name)),
        )
        for feature in id_features(features)
    ]
    return FeatureLayout.build(sizes, numeric_names(features))
