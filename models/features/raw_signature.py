"""The preprocessing inside a TFLite file: raw features in, fused ids and numbers out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ranklite.models.features.constants import STATE, PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kind import FeatureKind
from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.features.lookup_tables import IntegerArray, SharedLookup, look_up_together
from ranklite.models.features.rules import (
    is_present,
    numeric_columns,
    present_or_zero,
    standardize,
)
from ranklite.models.features.stored_state import StoredState, key_of

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
        self._of_user = frozenset(field.name for field in layout.fields if field.of_user)
        self.lookups: dict[str, Lookup] = {}
        self.states: dict[str, StoredState] = {}
        for feature in features.id_features:  # the owners of shared rows come first
            field = layout.field(feature.name)
            if feature.row_owner:
                owner: Any = self.lookups[feature.row_owner]
                column = feature.raw_columns()[0]
                self.lookups[feature.name] = SharedLookup(
                    column, owner, field, is_filled=not feature.pools
                )
            else:
                self.lookups[feature.name] = feature.lookup(constants.of(feature.name), field)
        columns = {column.name: column for column in features.raw_columns}
        for aggregate in features.features:
            state = constants.of(aggregate.name).get(STATE)
            if state is not None:
                key = key_of(aggregate)
                self.states[aggregate.name] = StoredState(
                    aggregate, state, columns[key], layout.field(key)
                )
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
        for name, stored in self.states.items():
            if stored.tables:
                others[name] = stored.tables
        if others:
            self._others = others

    def input_signature(self) -> dict[str, tf.TensorSpec]:
        """The raw inputs, in the order of the configuration.

        A string is missing where it is "", an int64 where it is -2**63, a number where it is not
        finite (send NaN); lists of a multi-valued feature are filled up with the missing value. Of
        an aggregate that is missing, the value that the file stores is taken. What is the user's
        own, and nothing else's, may have one row where other inputs have several: it is looked up
        once for all of them.
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
        candidates, lists = self.parts(raw)
        fused = dict(candidates)
        for name, part in lists.items():
            part += tf.cast(_nothing(candidates[IDS]), part.dtype)
            fused[name] = tf.concat([fused[name], part], axis=1) if name in fused else part
        return fused

    def parts(self, raw: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Transforms a batch of raw features and leaves the user's own lists as few as they are.

        Args:
          raw: As `input_signature` says.

        Returns:
          `ids` and `numeric` in two parts, by columns: B rows of what comes before the user's own
          lists, and one row or B of these, where there are any.
        """
        return self._part(raw, of_user=False), self._part(raw, of_user=True)

    def _part(self, raw: dict[str, tf.Tensor], *, of_user: bool) -> dict[str, tf.Tensor]:
        chosen = [f for f in self._features.id_features if (f.name in self._of_user) == of_user]
        if not chosen:
            return {}
        ids = self._ids(raw, chosen)
        numeric = []
        if self._features.numbers and not of_user:
            numeric.append(self._numbers(raw, ids))
        for feature in chosen:
            if feature.pools:
                weights = feature.weights(_inputs_of(feature, raw))
                if self._features.is_shared(feature) and not of_user:
                    weights += tf.cast(_nothing(ids), tf.float32)
                numeric.append(weights)
        outputs = {IDS: ids}
        if numeric:
            outputs[NUMERIC] = tf.concat(numeric, axis=1) if len(numeric) > 1 else numeric[0]
        return outputs

    def _ids(self, raw: dict[str, tf.Tensor], chosen: list[FeatureKind]) -> tf.Tensor:
        """Rows of the fused table for some adjacent features."""
        blocks: list[tf.Tensor] = []
        lookups = [(feature, self.lookups[feature.name]) for feature in chosen]
        adjacent = itertools.groupby(lookups, lambda pair: isinstance(pair[1], IntegerArray))
        for in_arrays, group in adjacent:
            if in_arrays:
                arrays = [lookup for _, lookup in group if isinstance(lookup, IntegerArray)]
                blocks.append(look_up_together(arrays, raw))
            else:
                for feature, lookup in group:
                    rows = lookup(_inputs_of(feature, raw))
                    # The item's block, which is that of each candidate, comes before the lists.
                    is_one = blocks and self._features.is_shared(feature)
                    blocks.append(rows + _nothing(blocks[0]) if is_one else rows)
        return tf.concat(blocks, axis=1) if len(blocks) > 1 else blocks[0]

    def _numbers(self, raw: dict[str, tf.Tensor], ids: tf.Tensor) -> tf.Tensor:
        """The numbers [B, N]; of an aggregate that is not sent, those that the file stores."""
        numbers = self._features.numbers
        values: list[tf.Tensor] = []
        for feature in self._features.features:
            if feature.numbers:
                own = feature.to_numbers(_inputs_of(feature, raw))
                if self._features.is_shared(feature):
                    own = [x + tf.cast(_nothing(ids)[:, 0], tf.float32) for x in own]
                if feature.name in self.states:
                    stored = self.states[feature.name](ids, raw)
                    sent = [is_present(raw[column.name]) for column in feature.raw_columns()]
                    own = [tf.where(*each) for each in zip(sent, own, stored, strict=True)]
                values += own
        means, stds = self._constants.means, self._constants.stds
        made = [
            standardize(x, tf.constant(means[n.name]), tf.constant(stds[n.name]))
            if n.standardized
            else present_or_zero(x)
            for n, x in zip(numbers, values, strict=True)
        ]
        return numeric_columns(numbers, values, made)


def _nothing(ids: tf.Tensor) -> tf.Tensor:
    """Zeros [B, 1]: what is added to them has B rows, be it one row."""
    return tf.zeros_like(ids[:, :1])


def _inputs_of(feature: FeatureKind, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {column.name: raw[column.name] for column in feature.raw_columns()}
