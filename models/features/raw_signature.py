"""The preprocessing inside a TFLite file: raw features in, fused ids and numbers out."""

from __future__ import annotations

import collections
import functools
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ranklite.models.features.constants import KEYS, STATE, VOCABULARY, PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.fingerprints import Encoder
from ranklite.models.features.id_columns import Blocks, in_order
from ranklite.models.features.kind import FeatureKind
from ranklite.models.features.layout import (
    IDS,
    NUMERIC,
    FeatureLayout,
)
from ranklite.models.features.lookup_tables import (
    SharedLookup,
    TextKeys,
    VocabularyLookup,
    looked_up,
)
from ranklite.models.features.rules import (
    TOGETHER,
    is_present,
    numeric_columns,
    numeric_together,
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
      strings: Whether texts and int64 are taken as they stand in the log, by hash tables which few
        runtimes have, and not by the int32 that stands for them.

    Attributes:
      encoder: What turns texts and int64 into the int32 that stands for them.
    """

    def __init__(
        self,
        features: FeatureSet,
        constants: PreprocessingConstants,
        layout: FeatureLayout,
        *,
        strings: bool = False,
    ) -> None:
        super().__init__()
        self._features, self._constants, self._layout = features, constants, layout
        self._strings = strings
        words = words_by_column(features, constants)
        columns = {c.name: c for c in features.raw_columns if c.dtype != "float32"}
        self.encoder = Encoder.of({name: c.dtype for name, c in columns.items()}, words)
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
                learned = constants.of(feature.name)
                if VOCABULARY in learned:
                    (column,) = feature.raw_columns()
                    learned[KEYS] = self.encoder.keys(column.name, learned[VOCABULARY])
                self.lookups[feature.name] = feature.lookup(learned, field)
        for aggregate in features.features:
            state = constants.of(aggregate.name).get(STATE)
            if state is not None:
                key = columns[key_of(aggregate)]
                self.states[aggregate.name] = StoredState(
                    aggregate,
                    state,
                    key,
                    layout.field(key.name),
                    self.encoder.keys(key.name, state["extra"]),
                )
        self._texts = (
            {n: TextKeys(c, words.get(n, ()), self.encoder) for n, c in columns.items()}
            if strings
            else {}
        )
        # Saving follows attributes: a table that none leads to is not in the file. How many objects
        # there are, and in which order, shows in the file's bytes.
        tables = {name: text.tables for name, text in self._texts.items() if text.tables}
        tables |= {n: list(t) for n, f in self.lookups.items() if (t := getattr(f, "tables", ()))}
        if tables:
            self._tables = tables

    @functools.cached_property
    def false_matches(self) -> dict[str, float]:
        """How often a value is taken for another one, by input."""
        return self.encoder.false_matches(words_by_column(self._features, self._constants))

    def to_dict(self) -> dict[str, Any]:
        """What it does, as JSON-ready data, for apps that compute `ids` and `numeric`."""
        return {
            "features": [feature.model_dump(mode="json") for feature in self._features.features],
            "layout": self._layout.to_dict(),
            "constants": self._constants.to_dict(),
            "fingerprint": self.encoder.entry() | {"false_matches": self.false_matches},
        }

    def with_strings(self) -> RawFeatures:
        """The same, with texts and int64 as they stand in the log."""
        return RawFeatures(self._features, self._constants, self._layout, strings=True)

    @property
    def takes_strings(self) -> bool:
        """Whether texts and int64 are taken as they stand in the log."""
        return self._strings

    def input_signature(self) -> dict[str, tf.TensorSpec]:
        """The raw inputs, in the order of the configuration.

        Texts and int64 come as the int32 that `encoder` makes of them; one is missing where it is
        -2**31, a number where it is not finite (send NaN); lists of a multi-valued feature are
        filled up with the missing value. With `strings`, texts and int64 come as they are, and are
        missing where they are "" and -2**63. Of an aggregate that is missing, the value that the
        file stores is taken. What is the user's own, and nothing else's, may have one row where
        other inputs have several: it is looked up once for all of them.
        """
        return {
            column.name: tf.TensorSpec(
                [None] if column.length is None else [None, column.length],
                _DTYPES[column.dtype] if self._strings or column.dtype == "float32" else tf.int32,
                name=column.name,
            )
            for column in self._features.raw_columns
        }

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Transforms a batch of raw features.

        Args:
          raw: As `input_signature` says.

        Returns:
          `ids` [B, S] int32 and `numeric` [B, N] float32 (where N > 0).
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
        keys = {name: self._texts[name](x) if name in self._texts else x for name, x in raw.items()}
        return self._part(keys, of_user=False), self._part(keys, of_user=True)

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
        """Rows of the fused table for some features, in their order."""
        owners = {feature.row_owner for feature in self._features.id_features}
        together: dict[Any, list[FeatureKind]] = collections.defaultdict(list)
        for feature in chosen:
            lookup = self.lookups[feature.name]
            # What a list shares is in the file once, so not beside others of its kind. What is the
            # user's own may have fewer rows.
            is_alone = feature.name in owners or self._features.is_shared(feature)
            kind = type(lookup.arrays) if isinstance(lookup, VocabularyLookup) else None
            together[feature.name if is_alone or kind is None else kind].append(feature)
        made: Blocks = []
        # The item's block, which is that of each candidate, comes before those of the user alone.
        groups = sorted(together.values(), key=lambda group: self._features.is_shared(group[0]))
        for group in groups:
            lookups = [self.lookups[feature.name] for feature in group]
            held = [lookup for lookup in lookups if isinstance(lookup, VocabularyLookup)]
            if held:
                parts = looked_up(held, raw)
            else:
                parts = [[tf.cast(lookups[0](_inputs_of(group[0], raw)), tf.int32)]]
            if made and self._features.is_shared(group[0]):
                nothing = _nothing(made[0][1][0])
                parts = [[block + nothing for block in blocks] for blocks in parts]
            apart = [[feature] for feature in group] if len(parts) > 1 else [group]
            made += zip(apart, parts, strict=True)
        return in_order(made, chosen)

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
        if len(numbers) >= TOGETHER:
            names = [n.name for n in numbers if n.standardized]
            learned = ([of[n] for n in names] for of in (means, stds))
            return numeric_together(
                numbers, tf.stack(values, axis=1), *(tf.constant(x, tf.float32) for x in learned)
            )
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


def words_by_column(
    features: FeatureSet, constants: PreprocessingConstants
) -> dict[str, list[str]]:
    """All values that are looked up, by raw column: of vocabularies, and of what is stored."""
    words: dict[str, list[str]] = {}
    for feature in features.id_features:
        if VOCABULARY in constants.of(feature.name):
            (column,) = feature.raw_columns()
            words[column.name] = list(constants.of(feature.name)[VOCABULARY])
    for aggregate in features.features:
        state = constants.of(aggregate.name).get(STATE)
        if state is not None:
            known = words.setdefault(key_of(aggregate), [])
            known += sorted(set(state["extra"]) - set(known))
    for feature in features.id_features:  # a list is encoded like the values that it lists
        if feature.row_owner:
            words[feature.raw_columns()[0].name] = words[feature.row_owner]
    return words
