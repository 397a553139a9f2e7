"""The preprocessing inside a TFLite file: raw features in, fused ids and numbers out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kind import FeatureKind
from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.features.lookup_tables import IntegerArray, look_up_together
from ranklite.models.features.rules import numeric_columns, present_or_zero, standardize

if TYPE_CHECKING:
    from ranklite.models.features.kind import Lookup

_DTYPES = {"string": tf.string, "int64": tf.int64, "float32": tf.float32}


class RawFeatures(tf.Module):
    """Looks raw features up as Transform did, in TFLite's builtin operators only.

    Args:
      features: The configured features.
      constants: What Transform learned.
      layout: Where the features live.
    """

    def __init__(
        self, features: FeatureSet, constants: PreprocessingConstants, layout: FeatureLayout
    ) -> None:
        super().__init__()
        self._features, self._constants = features, constants
        self.lookups: dict[str, Lookup] = {
            feature.name: feature.lookup(constants.of(feature.name), layout.field(feature.name))
            for feature in features.id_features
        }
        # Saving follows attributes: a table that none leads to is not in the file. How many objects
        # there are, and in which order, shows in the file's bytes.
        self._rows: dict[str, Any] = {}
        self._texts: dict[str, Any] = {}
        others: dict[str, list[Any]] = {}
        for name, lookup in self.lookups.items():
            tables = list(getattr(lookup, "tables", ()))
            if tables:
                self._rows[name] = tables[0]
            if tables[1:]:
                self._texts[name] = tables[1]
            if tables[2:]:
                others[name] = tables[2:]
        if others:
            self._others = others

    def input_signature(self) -> dict[str, tf.TensorSpec]:
        """The raw inputs, in the order of the configuration.

        A string is missing where it is "", an int64 where it is -2**63, a number where it is not
        finite (send NaN); lists of a multi-valued feature are filled up with the missing value.
        """
        return {
            column.name: tf.TensorSpec(
                [None] if column.length is None else [None, column.length],
                _DTYPES[column.dtype],
                name=column.name,
            )
            for column in self._features.raw_columns
        }

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Transforms a batch of raw features.

        Args:
          raw: As `input_signature` says.

        Returns:
          `ids` [B, S] int64 and `numeric` [B, N] float32 (where N > 0).
        """
        blocks: list[tf.Tensor] = []
        lookups = [(feature, self.lookups[feature.name]) for feature in self._features.id_features]
        adjacent = itertools.groupby(lookups, lambda pair: isinstance(pair[1], IntegerArray))
        for in_arrays, group in adjacent:
            if in_arrays:
                arrays = [lookup for _, lookup in group if isinstance(lookup, IntegerArray)]
                blocks.append(look_up_together(arrays, raw))
            else:
                blocks += [lookup(_inputs_of(feature, raw)) for feature, lookup in group]
        outputs = {IDS: tf.concat(blocks, axis=1) if len(blocks) > 1 else blocks[0]}
        numbers = self._features.numbers
        if numbers:
            values: list[tf.Tensor] = []
            for feature in self._features.features:
                if feature.numbers:
                    values += feature.to_numbers(_inputs_of(feature, raw))
            means, stds = self._constants.means, self._constants.stds
            made = [
                standardize(x, tf.constant(means[n.name]), tf.constant(stds[n.name]))
                if n.standardized
                else present_or_zero(x)
                for n, x in zip(numbers, values, strict=True)
            ]
            outputs[NUMERIC] = numeric_columns(numbers, values, made)
        return outputs


def _inputs_of(feature: FeatureKind, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {column.name: raw[column.name] for column in feature.raw_columns()}
