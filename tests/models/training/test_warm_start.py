"""A model takes over what an earlier one knew, by value and not by row."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_config import HashedTable
from ranklite.models.training.warm_start import (
    NotWarm,
    load_vocabularies,
    save_vocabularies,
    warm_start,
)

CONFIG = DeepFMConfig(embedding_dim=3, hidden_units=(4,), dropout=0.0)
OLD = {"user": ["ann", "bob", "cy"], "tags": ["x"]}
NEW = {"user": ["cy", "dan", "ann"], "tags": ["y", "x"]}


def layout(vocabularies: dict[str, list[str]], buckets: int = 5) -> FeatureLayout:
    sizes = [("user", 1, len(vocabularies["user"])), ("price", 1, buckets)]
    return FeatureLayout.build([*sizes, ("tags", 2, len(vocabularies["tags"]))], ["age"])


def model(of: FeatureLayout, config: DeepFMConfig = CONFIG, seed: int = 0) -> keras.Model:
    built = build_deepfm(of, config)
    rng = np.random.default_rng(seed)
    built.set_weights([rng.normal(size=w.shape) for w in built.get_weights()])
    return built


@pytest.fixture
def earlier() -> Checkpoint:
    return Checkpoint(model(layout(OLD)), layout(OLD), CONFIG)


def test_rows_follow_their_values(earlier: Checkpoint) -> None:
    new_layout = layout(NEW)
    new = model(new_layout, seed=1)
    assert warm_start(new, new_layout, CONFIG, NEW, earlier, OLD) == 3  # cy, ann, x
    for table in ("embedding", "linear"):
        rows = new.get_layer(table).get_weights()[0]
        old = earlier.model.get_layer(table).get_weights()[0]
        # Rows: padding, then each field's unknown, missing and values (models/layout.py).
        user, price, tags = 1, 6, 13
        expected = [0]
        expected += [user, user + 1, user + 2 + 2, user, user + 2]  # cy, dan (unknown), ann
        expected += list(range(price, price + 7))
        expected += [tags, tags + 1, tags, tags + 2]  # y (unknown), x
        np.testing.assert_array_equal(rows, old[expected])


def test_everything_else_is_the_same_function(earlier: Checkpoint) -> None:
    new_layout = layout(NEW)
    new = model(new_layout, seed=1)
    warm_start(new, new_layout, CONFIG, NEW, earlier, OLD)
    numeric = np.array([[0.3], [-1.0]], np.float32)
    # ann and cy with price bucket 1 and tag x, as each layout numbers them.
    old_ids = np.array([[3, 9, 15, 0], [5, 9, 15, 0]])
    new_ids = np.array([[5, 9, 16, 0], [3, 9, 16, 0]])
    np.testing.assert_allclose(
        new({"ids": new_ids, "numeric": numeric}).numpy(),
        earlier.model({"ids": old_ids, "numeric": numeric}).numpy(),
        rtol=1e-5,
    )


def test_other_models_are_refused_and_change_nothing(earlier: Checkpoint) -> None:
    wider = DeepFMConfig(embedding_dim=3, hidden_units=(8,), dropout=0.0)
    hashed = CONFIG.model_copy(update={"table": HashedTable(kind="hashed", rows=50)})
    other = FeatureLayout.build([("user", 1, 3), ("item", 1, 5)], ["age"])
    for config, of, why in (
        (wider, layout(NEW), "its sizes are"),
        (hashed, layout(NEW), "only tables of kind 'full'"),
        (CONFIG, other, "its id features are"),
        (CONFIG, FeatureLayout(layout(NEW).fields, ()), "numeric features are"),
    ):
        new = model(of, config)
        before = new.get_weights()
        with pytest.raises(NotWarm, match=why):
            warm_start(new, of, config, NEW, earlier, OLD)
        for a, b in zip(before, new.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_vocabularies_survive_whatever_they_hold(tmp_path: pathlib.Path) -> None:
    given = {"user": ["", "ä", "a\nb", b"\xff".decode(errors="surrogateescape")], "none": []}
    save_vocabularies(given, str(tmp_path))
    assert load_vocabularies(str(tmp_path)) == given
    first = next(tmp_path.iterdir()).read_bytes()
    save_vocabularies(given, str(tmp_path))
    assert next(tmp_path.iterdir()).read_bytes() == first


def test_a_checkpoint_without_vocabularies_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NotWarm, match=r"trained without training\.warm_start"):
        load_vocabularies(str(tmp_path))
