"""Starts a model from the weights of an earlier one, whose vocabularies were others."""

from __future__ import annotations

import gzip
import json
import os
import pathlib

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.features.layout import MISSING, RESERVED_ROWS, FeatureLayout, Field

VOCABULARIES_FILE = "vocabularies.json.gz"

Vocabularies = dict[str, list[str]]


class NotWarm(ValueError):
    """The earlier model cannot start this one; the message says why."""


def save_vocabularies(vocabularies: Vocabularies, folder: str) -> None:
    """Puts vocabularies beside a checkpoint: without them its rows have no meaning later."""
    path = os.path.join(folder, VOCABULARIES_FILE)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(json.dumps(vocabularies, sort_keys=True).encode())


def load_vocabularies(folder: str) -> Vocabularies:
    """Reads what `save_vocabularies` wrote.

    Raises:
      NotWarm: There are none.
    """
    path = pathlib.Path(folder, VOCABULARIES_FILE)
    if not path.exists():
        raise NotWarm(
            "it was trained without training.warm_start, so that its vocabularies are unknown"
        )
    return json.loads(gzip.decompress(path.read_bytes()))


def warm_start(
    model: keras.Model,
    layout: FeatureLayout,
    config: FamilySettings,
    vocabularies: Vocabularies,
    earlier: Checkpoint,
    earlier_vocabularies: Vocabularies,
) -> int:
    """Copies the weights of an earlier model.

    The row of a value that both know is copied; that of a new value starts at the earlier model's
    row for values out of its vocabulary, which is what it said about them until now.

    Args:
      model: A float model, changed in place.
      layout: Of the features.
      config: Its family and sizes.
      vocabularies: Values of each categorical feature, most frequent first.
      earlier: The earlier model.
      earlier_vocabularies: Its vocabularies.

    Returns:
      Number of values whose rows were copied.

    Raises:
      NotWarm: The models differ in more than vocabularies; the model is as it was.
    """
    if config.table.kind != "full" or earlier.config.table.kind != "full":
        raise NotWarm("only tables of kind 'full' have a row for each value")
    for what, ours, theirs in (
        ("sizes", config.model_dump(), earlier.config.model_dump()),
        ("id features", _shape(layout), _shape(earlier.layout)),
        ("numeric features", layout.numeric, earlier.layout.numeric),
    ):
        if ours != theirs:
            raise NotWarm(f"its {what} are {theirs}, this model's {ours}")
    source = np.zeros(layout.table_rows, np.int64)
    known = 0
    for field, old in zip(layout.owners, earlier.layout.owners, strict=True):
        rows, result = _rows(
            field, old, vocabularies.get(field.name), earlier_vocabularies.get(field.name)
        )
        source[field.offset : field.offset + len(rows)] = rows
        known += result
    for layer, old_layer in zip(model.layers, earlier.model.layers, strict=True):
        weights = old_layer.get_weights()
        if layer.name in earlier.parts.tables:
            weights = [weights[0][source]]
        layer.set_weights(weights)
    return known


def _shape(layout: FeatureLayout) -> list[tuple[str, ...]]:
    """Name, length, owner, pools and encoder of each field, as texts."""
    return [(f.name, str(f.length), f.owner, str(f.pools), f.encoder) for f in layout.fields]


def _rows(
    field: Field, old: Field, words: list[str] | None, old_words: list[str] | None
) -> tuple[npt.NDArray[np.int64], int]:
    """The earlier row of each row of a field; number of values that both know."""
    rows = np.full(field.rows, old.oov_row, np.int64)
    rows[MISSING] = old.missing_row
    if words is None or old_words is None:  # buckets: the k-th stays the k-th
        count = min(field.rows, old.rows)
        rows[RESERVED_ROWS:count] = old.offset + np.arange(RESERVED_ROWS, count)
        return rows, 0
    places = {word: k for k, word in enumerate(old_words)}
    result = [(k, places[word]) for k, word in enumerate(words) if word in places]
    if result:
        ours, theirs = np.array(result).T
        rows[RESERVED_ROWS + ours] = old.offset + RESERVED_ROWS + theirs
    return rows, len(result)
