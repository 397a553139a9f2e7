"""Redraws the items of sampled negatives while training, so that every epoch sees others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.training import data
from ranklite.models.training.config import RedrawnNegatives

CANDIDATES = 8  # items drawn for a row, of which the first that the user never had is taken
_SCAN = 65_536


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """What the train split knows about items, and which user had which.

    Attributes:
      user: Column of the user in `ids`; None where he is no feature of the model.
      item: Column of the item in `ids`.
      events: Columns of `ids` with items that the row's user had before.
      id_columns: Columns of `ids` that change with the item, the item's own first.
      numeric_columns: Columns of `numeric` that do.
      ids: [I, len(id_columns)] int64, of each distinct item.
      numeric: [I, len(numeric_columns)] float32.
      plays: [I] int64, positives of each item.
      owned: Sorted `user * rows + item` of all positives.
      rows: Rows of the embedding table, to code pairs with.
    """

    user: int | None
    item: int
    events: npt.NDArray[np.int64]
    id_columns: npt.NDArray[np.int64]
    numeric_columns: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    numeric: npt.NDArray[np.float32]
    plays: npt.NDArray[np.int64]
    owned: npt.NDArray[np.int64]
    rows: int

    @classmethod
    def read(
        cls, files: Sequence[str], layout: FeatureLayout, config: RedrawnNegatives
    ) -> Catalogue:
        """Collects the items of the train split; holds them and its positive pairs in memory.

        Args:
          files: Gzipped TFRecord files of the train split, transformed.
          layout: Where the features live.
          config: Which columns are the user's and the item's.

        Raises:
          ValueError: The item is no categorical feature of the model, or neither the user is one
            nor a list has the items that he had.
        """
        user, item = (_id_columns(layout, name) for name in (config.user, config.item))
        events = [
            column
            for field in layout.fields
            if field.owner == config.item
            for column in _id_columns(layout, field.name)
        ]
        if len(item) != 1 or not (len(user) == 1 or events):
            raise ValueError(
                f"negatives are redrawn for the user {config.user!r} and the item {config.item!r}: "
                "both have to be categorical features of the model, or the item and a list of items"
            )
        id_columns = item + [
            column for name in config.item_columns for column in _id_columns(layout, name)
        ]
        numeric_columns = [
            k
            for k, name in enumerate(layout.numeric)
            if name.removesuffix("_is_missing") in config.item_columns
        ]
        items: dict[int, tuple[Any, Any]] = {}
        pairs, played = [], []
        for features, label in data.in_order(files, layout, _SCAN):
            ids = features[IDS].numpy().astype(np.int64)
            numeric = features[NUMERIC].numpy() if layout.num_numeric else np.zeros((len(ids), 0))
            result, first = np.unique(ids[:, item[0]], return_index=True)
            for value, row in zip(result.tolist(), first, strict=True):
                items.setdefault(value, (ids[row, id_columns], numeric[row, numeric_columns]))
            positive = label.numpy()[:, 0] > 0.5
            who = ids[positive, user[0]] if len(user) == 1 else np.zeros(positive.sum(), np.int64)
            pairs.append(np.unique(who * layout.table_rows + ids[positive, item[0]]))
            played.append(ids[positive, item[0]])
        order = sorted(items)
        counts = np.bincount(np.concatenate(played), minlength=layout.table_rows)
        return cls(
            user[0] if len(user) == 1 else None,
            item[0],
            np.array(events, np.int64),
            np.array(id_columns, np.int64),
            np.array(numeric_columns, np.int64),
            np.array([items[value][0] for value in order], np.int64).reshape(len(order), -1),
            np.array([items[value][1] for value in order], np.float32).reshape(len(order), -1),
            counts[order].astype(np.int64),
            np.unique(np.concatenate(pairs)),
            layout.table_rows,
        )

    def chances(self, popularity: float) -> npt.NDArray[np.float32]:
        """Cumulative chances [I] of the items.

        Args:
          popularity: Share of the draws that go by popularity; the others are uniform.
        """
        uniform = np.full(len(self.plays), 1 / len(self.plays))
        chance = (1 - popularity) * uniform + popularity * self.plays / max(1, self.plays.sum())
        return np.cumsum(chance / chance.sum()).astype(np.float32)

    def redraw(
        self,
        features: data.Features,
        where: tf.Tensor,
        cumulative: npt.NDArray[np.float32],
        seed: tf.Tensor,
        *,
        exclude_owned: bool = True,
    ) -> data.Features:
        """Gives some rows another item, one that their user never had in the train split.

        Where the user is no feature of the model, it is one that no list of the row names. A row
        keeps its item where none of `CANDIDATES` draws is such a one.

        Args:
          features: `ids` [B, S] and `numeric` [B, N].
          where: [B] bool, the rows to change.
          cumulative: Of `chances`.
          seed: [2] of this batch.
          exclude_owned: False lets any item be drawn.
        """
        ids = tf.cast(features[IDS], tf.int64)  # of a pair of ids int32 holds no number
        chance = tf.random.stateless_uniform([tf.shape(ids)[0], CANDIDATES], seed)
        drawn = tf.minimum(
            tf.reshape(
                tf.searchsorted(_outside(cumulative), tf.reshape(chance, [-1])), tf.shape(chance)
            ),
            len(self.ids) - 1,
        )
        item = tf.gather(_outside(self.ids[:, 0]), drawn)
        free = tf.ones_like(item, tf.bool)
        if exclude_owned and self.user is not None:
            free = ~self._owned(ids[:, self.user, None] * self.rows + item)
        elif exclude_owned:
            events = tf.gather(ids, self.events, axis=1)
            free = ~tf.reduce_any(item[:, :, None] == events[:, None], axis=2)
        chosen = tf.gather(drawn, tf.argmax(free, axis=1), axis=1, batch_dims=1)
        change = where & tf.reduce_any(free, axis=1)
        changed = _scatter(ids, self.id_columns, self.ids, chosen, change)
        redrawn = {**features, IDS: tf.cast(changed, features[IDS].dtype)}
        if len(self.numeric_columns):
            redrawn[NUMERIC] = _scatter(
                features[NUMERIC], self.numeric_columns, self.numeric, chosen, change
            )
        return redrawn

    def _owned(self, pairs: tf.Tensor) -> tf.Tensor:
        if not len(self.owned):
            return tf.zeros_like(pairs, tf.bool)
        owned = _outside(self.owned)
        flat = tf.reshape(pairs, [-1])
        place = tf.minimum(tf.searchsorted(owned, flat), len(self.owned) - 1)
        return tf.reshape(tf.gather(owned, place) == flat, tf.shape(pairs))


def redrawn_negatives(
    files: Sequence[str], layout: FeatureLayout, config: RedrawnNegatives
) -> data.Augment:
    """What gives the negatives of a batch other items, in their own contexts.

    User, time, device and whatever is not the item's stay.

    Args:
      files: The train split.
      layout: Where the features live.
      config: Which columns change, and how items are drawn.

    Returns:
      An `augment` for `data.dataset`.
    """
    catalogue = Catalogue.read(files, layout, config)
    cumulative = catalogue.chances(1.0 if config.by == "popularity" else 0.0)

    def augment(
        features: data.Features, label: tf.Tensor, seed: tf.Tensor
    ) -> tuple[data.Features, tf.Tensor]:
        return catalogue.redraw(features, label[:, 0] < 0.5, cumulative, seed), label

    return augment


def _id_columns(layout: FeatureLayout, name: str) -> list[int]:
    """Columns of a feature in `ids`; none where it is a standardized number or no input at all."""
    return [
        column
        for field in layout.fields
        if field.name == name
        for column in range(field.start, field.start + field.length)
    ]


def _scatter(
    values: tf.Tensor,
    columns: npt.NDArray[np.int64],
    table: npt.NDArray[Any],
    chosen: tf.Tensor,
    change: tf.Tensor,
) -> tf.Tensor:
    """Replaces some columns of some rows by those of the chosen rows of a table."""
    position = np.full(values.shape[1], -1)
    position[columns] = np.arange(len(columns))
    taken = tf.gather(tf.gather(_outside(table), chosen), np.maximum(position, 0), axis=1)
    return tf.where(change[:, None] & (position >= 0), taken, values)


def _outside(values: npt.NDArray[Any]) -> tf.Tensor:
    """A tensor that a graph refers to: as a constant of its own it would be limited to 2 GB."""
    with tf.init_scope():
        return tf.constant(values)
