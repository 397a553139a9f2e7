"""Columns that Transform writes for the evaluation: groups and slices. No TensorFlow."""

from __future__ import annotations

from ranklite.models.features.feature_set import FeatureSet

GROUP = "group"
SLICE = "slice_"
SLICE_USER, SLICE_ITEM, SLICE_POPULARITY = "slice_user", "slice_item", "slice_popularity"
SLICE_HISTORY = "slice_history"  # how many events a row's history has
HISTORY_LENGTHS = ((20, "20+"), (5, "5-19"), (1, "1-4"), (0, "none"))  # from so many events on

HEAD, TORSO = 0.1, 0.5  # shares of the item vocabulary, by rank, that end the head and the torso


def evaluation_slices(features: FeatureSet) -> list[str]:
    """Columns that Transform writes for slicing the evaluation.

    Raises:
      ValueError: A column of `slices` would take the name of a slice that is always there.
    """
    slices = [SLICE_USER] if features.is_categorical(features.user) else []
    slices += [SLICE_ITEM, SLICE_POPULARITY] if features.is_categorical(features.item) else []
    slices += [SLICE_HISTORY] if features.history else []
    taken = [name for name in features.slices if SLICE + name in slices]
    if taken:
        raise ValueError(
            f"slices: {', '.join(map(repr, taken))} would be written as "
            f"{', '.join(repr(SLICE + name) for name in taken)}, a slice that is always made; "
            "rename the column in source.query"
        )
    return slices + [SLICE + name for name in features.slices]
