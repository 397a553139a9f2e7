"""The preprocessing inside a TFLite file: raw features in, fused ids and numbers out."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from ranklite.models.features.constants import SURROGATES, PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet, MultiCategoricalFeature, NumericFeature
from ranklite.models.features.layout import (
    IDS,
    MISSING_INT64,
    MISSING_STRING,
    NUMERIC,
    PADDING_ROW,
    RESERVED_ROWS,
    FeatureLayout,
)
from ranklite.models.features.rules import (
    IdFeature,
    fill_empty_lists,
    id_features,
    id_length,
    is_present,
    numeric_columns,
    squash,
    standardize,
    standardized_features,
)

_INTEGER = re.compile(r"-?[0-9]+")
_UNSEEN = "?"  # stands for an integer out of the vocabulary; no decimal number reads so


class RawFeatures(tf.Module):
    """Looks raw features up as Transform did, in TFLite's builtin operators only.

    A string is looked up in a hash table. Integers that lie close together index an array, two or
    four bytes for each integer between the least and the greatest; others go through two hash
    tables, to a string and from there to a row, since TFLite has none from int64 to int64.

    Args:
      features: The configured features.
      constants: What Transform learned.
      layout: Where the features live.
    """

    def __init__(
        self, features: FeatureSet, constants: PreprocessingConstants, layout: FeatureLayout
    ) -> None:
        super().__init__()
        self._features, self._constants, self._layout = features, constants, layout
        self._rows: dict[str, tf.lookup.StaticHashTable] = {}
        self._texts: dict[str, tf.lookup.StaticHashTable] = {}
        self._arrays: dict[str, _IntegerArray] = {}
        for feature in id_features(features):
            if isinstance(feature, NumericFeature):
                continue
            field = layout.field(feature.name)
            values = constants.vocabularies[feature.name]
            multi = isinstance(feature, MultiCategoricalFeature)
            missing = PADDING_ROW if multi else field.missing_row
            first = field.offset + RESERVED_ROWS
            # An empty vocabulary is not quite empty: Transform puts a placeholder into it.
            numbers = [int(value) for value in values if _INTEGER.fullmatch(value)]
            if feature.dtype == "int64" and _IntegerArray.is_smaller(numbers):
                self._arrays[feature.name] = _IntegerArray(
                    numbers, first, field.oov_row, missing, id_length(feature)
                )
                continue
            self._rows[feature.name] = _table(
                [value.encode(errors=SURROGATES) for value in [*values, MISSING_STRING]],
                tf.constant([*range(first, first + len(values)), missing], tf.int64),
                tf.constant(field.oov_row, tf.int64),
            )
            if feature.dtype == "int64":
                self._texts[feature.name] = _table(
                    tf.constant([*numbers, MISSING_INT64], tf.int64),
                    [*map(str, numbers), MISSING_STRING],
                    tf.constant(_UNSEEN),
                )

    def input_signature(self) -> dict[str, tf.TensorSpec]:
        """The raw inputs, in the order of the configuration.

        A string is missing where it is "", an int64 where it is -2**63, a number where it is not
        finite (send NaN); lists of a multi-valued feature are filled up with the missing value.
        """
        signature = {}
        for feature in self._features.features:
            if isinstance(feature, NumericFeature):
                signature[feature.name] = tf.TensorSpec([None], tf.float32, name=feature.name)
                continue
            dtype = tf.string if feature.dtype == "string" else tf.int64
            shape: list[int | None] = [None]
            if isinstance(feature, MultiCategoricalFeature):
                shape += [feature.max_length]
            signature[feature.name] = tf.TensorSpec(shape, dtype, name=feature.name)
        return signature

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Transforms a batch of raw features.

        Args:
          raw: As `input_signature` says.

        Returns:
          `ids` [B, S] int64 and `numeric` [B, N] float32 (where N > 0).
        """
        blocks = []
        adjacent = itertools.groupby(id_features(self._features), lambda f: f.name in self._arrays)
        for in_arrays, group in adjacent:
            if in_arrays:
                blocks.append(self._from_arrays(list(group), raw))
            else:
                blocks += [self._from_table(feature, raw[feature.name]) for feature in group]
        outputs = {IDS: tf.concat(blocks, axis=1) if len(blocks) > 1 else blocks[0]}
        numbers = standardized_features(self._features)
        if numbers:
            means, stds = self._constants.means, self._constants.stds
            squashed = [squash(raw[f.name], f) for f in numbers]
            standardized = [
                standardize(x, tf.constant(means[f.name]), tf.constant(stds[f.name]))
                for f, x in zip(numbers, squashed, strict=True)
            ]
            outputs[NUMERIC] = numeric_columns(self._features, squashed, standardized)
        return outputs

    def _from_arrays(self, features: list[IdFeature], raw: dict[str, tf.Tensor]) -> tf.Tensor:
        """Rows of adjacent features, all at once: what the graph costs, it costs once."""
        arrays = [self._arrays[feature.name] for feature in features]
        columns = [tf.reshape(raw[f.name], [-1, id_length(f)]) for f in features]
        rows = _index(arrays, tf.concat(columns, axis=1) if len(columns) > 1 else columns[0])
        if all(id_length(feature) == 1 for feature in features):
            return rows
        parts = tf.split(rows, [id_length(feature) for feature in features], axis=1)
        return tf.concat(
            [self._without_empty_lists(f, part) for f, part in zip(features, parts, strict=True)],
            axis=1,
        )

    def _from_table(self, feature: IdFeature, value: tf.Tensor) -> tf.Tensor:
        if isinstance(feature, NumericFeature):
            return tf.reshape(self._bucket(value, feature), [-1, 1])
        if feature.name in self._texts:
            value = self._texts[feature.name].lookup(value)
        rows = self._rows[feature.name].lookup(value)  # a chain of tables loses its shape
        return self._without_empty_lists(feature, tf.reshape(rows, [-1, id_length(feature)]))

    def _without_empty_lists(self, feature: IdFeature, rows: tf.Tensor) -> tf.Tensor:
        if not isinstance(feature, MultiCategoricalFeature):
            return rows
        return fill_empty_lists(rows, self._layout.field(feature.name).missing_row)

    def _bucket(self, value: tf.Tensor, feature: NumericFeature) -> tf.Tensor:
        field = self._layout.field(feature.name)
        x = squash(value, feature)
        present = tf.where(is_present(x), x, tf.zeros_like(x))
        bucket = tf.raw_ops.Bucketize(
            input=present, boundaries=self._constants.boundaries[feature.name]
        )
        rows = tf.cast(bucket, tf.int64) + (field.offset + RESERVED_ROWS)
        return tf.where(is_present(x), rows, tf.constant(field.missing_row, tf.int64))


class _IntegerArray:
    """Rows of integers that lie close together, by position.

    Args:
      numbers: The vocabulary; the k-th is row `first` + k.
      first: Row of the first.
      oov: Row of any other integer.
      missing: Row of MISSING_INT64.
      columns: Columns of the feature.
    """

    HASHED_BYTES = 26  # what two hash tables take for an integer of about five digits

    def __init__(
        self, numbers: list[int], first: int, oov: int, missing: int, columns: int = 1
    ) -> None:
        self.low, self.high = min(numbers) - 1, max(numbers) + 1
        self.first, self.oov, self.missing, self.columns = first, oov, missing, columns
        self.positions = np.zeros(self.high - self.low + 1, _position_type(len(numbers)))
        self.positions[np.array(numbers) - self.low] = np.arange(1, len(numbers) + 1)

    @classmethod
    def is_smaller(cls, numbers: list[int]) -> bool:
        """Whether the array takes fewer bytes than hash tables."""
        if not numbers or min(numbers) == MISSING_INT64 or max(numbers) == 2**63 - 1:
            return False
        size = np.dtype(_position_type(len(numbers))).itemsize
        return (max(numbers) - min(numbers)) * size <= len(numbers) * cls.HASHED_BYTES


def _index(arrays: list[_IntegerArray], values: tf.Tensor) -> tf.Tensor:
    """Rows [B, S] of integers [B, S] in arrays that lie one after the other."""

    def by_column(numbers: Iterable[int]) -> tf.Tensor:
        return tf.constant(
            np.repeat(np.array(list(numbers), np.int64), [a.columns for a in arrays])
        )

    starts = np.cumsum([0, *(len(a.positions) for a in arrays)])[:-1]
    low, high = by_column(a.low for a in arrays), by_column(a.high for a in arrays)
    # Clipped first: the distance to a far integer does not fit in 64 bits.
    place = tf.maximum(tf.minimum(values, high), low) + by_column(
        start - a.low for start, a in zip(starts, arrays, strict=True)
    )
    positions = tf.constant(np.concatenate([a.positions for a in arrays]))
    position = tf.cast(tf.gather(positions, place), tf.int64)
    rows = tf.where(
        position > 0,
        position + by_column(a.first - 1 for a in arrays),
        by_column(a.oov for a in arrays),
    )
    return tf.where(tf.equal(values, MISSING_INT64), by_column(a.missing for a in arrays), rows)


def _position_type(count: int) -> type[np.signedinteger[Any]]:
    return np.int16 if count < 2**15 else np.int32


class _Named(tf.lookup.KeyValueTensorInitializer):
    """Gives a table a name that follows from its content.

    TensorFlow names tables at random, and the name ends up in the file: equal models would differ.
    """

    def __init__(self, keys: tf.Tensor, values: tf.Tensor) -> None:
        super().__init__(keys, values)
        content = keys.numpy().tobytes() if keys.dtype != tf.string else b"\0".join(keys.numpy())
        digest = hashlib.sha256(content)
        digest.update(repr(values.numpy().tolist()).encode())
        self._content_name = f"ranklite_{digest.hexdigest()[:32]}"

    @property
    def _shared_name(self) -> str:
        return self._content_name


def _table(keys: Any, values: Any, default: tf.Tensor) -> tf.lookup.StaticHashTable:
    initializer = _Named(tf.convert_to_tensor(keys), tf.convert_to_tensor(values))
    return tf.lookup.StaticHashTable(initializer, default)
