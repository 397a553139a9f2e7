"""TensorBoard's projector gets the items' rows under their names, whatever the table."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector import ProjectorConfig

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_config import HashedTable
from ranklite.models.reporting import projector

LAYOUT = FeatureLayout.build([("user", 1, 5), ("item", 1, 3), ("tags", 2, 4)], ["x"])
ITEMS = ["50", "7", "9"]


def checkpoint(**changes: Any) -> Checkpoint:
    config = DeepFMConfig(embedding_dim=4, hidden_units=(8,), **changes)
    return Checkpoint(build_deepfm(LAYOUT, config), LAYOUT, config)


def vectors(folder: pathlib.Path) -> np.ndarray:
    return np.loadtxt(folder / "items.tsv", delimiter="\t", ndmin=2)


def test_items_are_shown_with_name_value_and_rank(tmp_path: pathlib.Path) -> None:
    model = checkpoint()
    assert projector.write(model, "item", ITEMS, {"7": "Heat\t(1995)\n"}, str(tmp_path)) == 3
    field = LAYOUT.field("item")
    table = model.model.get_layer("embedding").get_weights()[0]
    expected = table[[field.oov_row, *range(field.offset + 2, field.offset + 5)]]
    np.testing.assert_allclose(vectors(tmp_path), expected, rtol=1e-5)
    assert (tmp_path / "item_names.tsv").read_text().splitlines() == [
        "name\tvalue\trank",
        f"{projector.OTHER}\t?\t0",
        "50\t50\t1",
        "Heat (1995)\t7\t2",
        "9\t9\t3",
    ]
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    assert embedding.tensor_name == "item"
    for path in (embedding.tensor_path, embedding.metadata_path):  # found beside the file
        assert (tmp_path / path).exists()


def test_a_table_that_is_not_whole_is_looked_up(tmp_path: pathlib.Path) -> None:
    model = checkpoint(table=HashedTable(kind="hashed", rows=2))
    projector.write(model, "item", ITEMS, {}, str(tmp_path))
    shown = vectors(tmp_path)
    assert shown.shape == (4, 4)
    assert len(np.unique(shown[1:], axis=0)) <= 2  # three items in two rows


def test_of_many_items_the_most_frequent_are_shown(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "MOST_ITEMS", 1)
    assert projector.write(checkpoint(), "item", ITEMS, {}, str(tmp_path)) == 1
    assert vectors(tmp_path).shape == (2, 4)
    assert "7\t7" not in (tmp_path / "item_names.tsv").read_text()


def test_labels_are_read_where_there_are_any(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "item_labels.parquet"
    assert projector.read_labels(str(path)) == {}
    pq.write_table(pa.table({"item": ["7"], "label": ["Heat"]}), path)
    assert projector.read_labels(str(path)) == {"7": "Heat"}
