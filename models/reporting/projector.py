"""The items in TensorBoard's projector: the rows of the embedding table, under their names."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import tensorflow as tf
import tf_keras as keras
from tensorboard.plugins import projector

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.features.layout import IDS, NUMERIC, PADDING_ROW, RESERVED_ROWS

MOST_ITEMS = 10_000  # of more points TensorBoard itself takes a sample
OTHER = "(any other item)"
_VECTORS, _NAMES = "items.tsv", "item_names.tsv"


def read_labels(path: str) -> dict[str, str]:
    """Names by item, of `item_labels.parquet`; none where there is no such file."""
    if not os.path.exists(path):
        return {}
    table = pq.read_table(path)
    return dict(zip(table["item"].to_pylist(), table["label"].to_pylist(), strict=True))


def write(
    checkpoint: Checkpoint,
    item: str,
    vocabulary: Sequence[str],
    labels: Mapping[str, str],
    folder: str,
) -> int:
    """Writes what the projector shows: the most frequent items, and the row of all unknown ones.

    Each point carries the item's name, its value in the log, and its rank by frequency in the train
    split (1 is the most frequent), to search, to label and to colour by.

    Args:
      checkpoint: The float model.
      item: Name of its item feature.
      vocabulary: The item's values, the most frequent first.
      labels: Names of items; one without a name goes by its value.
      folder: One of TensorBoard's runs: it holds an event file.

    Returns:
      How many items are shown.
    """
    values = list(vocabulary[:MOST_ITEMS])
    field = checkpoint.layout.field(item)
    first = field.offset + RESERVED_ROWS
    rows = np.array([field.oov_row, *range(first, first + len(values))], np.int64)
    points = [(OTHER, "", 0), *((labels.get(v, v), v, k) for k, v in enumerate(values, 1))]
    target = pathlib.Path(folder)
    np.savetxt(target / _VECTORS, _embeddings(checkpoint, item, rows), "%.6g", delimiter="\t")
    lines = ["\t".join(map(_cell, point)) for point in [("name", "value", "rank"), *points]]
    (target / _NAMES).write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    config = projector.ProjectorConfig()
    config.embeddings.add(tensor_name=item, tensor_path=_VECTORS, metadata_path=_NAMES)
    projector.visualize_embeddings(folder, config)
    return len(values)


def _embeddings(
    checkpoint: Checkpoint, item: str, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Vectors [n, D] of ids [n] of a field, whatever the kind of table they are stored in."""
    layout = checkpoint.layout
    model = checkpoint.model
    given = tf.nest.flatten(model.get_layer(checkpoint.parts.embeddings).input)
    table = keras.Model(model.input, given[0])
    ids = np.full((len(rows), layout.num_ids), PADDING_ROW, np.int64)
    ids[:, layout.field(item).start] = rows
    inputs = {IDS: ids}
    if layout.num_numeric:
        inputs[NUMERIC] = np.zeros((len(rows), layout.num_numeric), np.float32)
    place = [field.name for field in layout.fields].index(item)
    result: npt.NDArray[np.float32] = table(inputs).numpy()[:, place]
    return result


def _cell(value: object) -> str:
    """TensorBoard splits at tabs and line ends, and knows no quotes."""
    return " ".join(str(value).split()) or "?"
