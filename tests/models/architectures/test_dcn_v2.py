"""DCN V2 against its definition, by hand and against TensorFlow Recommenders' cross layer."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras
from pydantic import ValidationError

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.dcn_v2 import DCNv2Settings, build_dcn_v2
from ranklite.models.compression.fine_tuning import copy
from ranklite.models.features.layout import FeatureLayout

LAYOUT = FeatureLayout.build([("user", 1, 5), ("item", 1, 4)], ["x", "y"])
IDS = np.array([[1, 9], [3, 8], [7, 13], [2, 11]])
NUMBERS = np.array([[0.5, -1.0], [2.0, 0.0], [-3.0, 1.0], [0.1, 4.0]], np.float32)
WIDTH = 2 * 3  # embeddings of two fields


def settings(**changes: Any) -> DCNv2Settings:
    base = {"embedding_dim": 3, "hidden_units": (4,), "dropout": 0.0, "batch_norm": True}
    return DCNv2Settings.model_validate({"family": "dcn_v2", **base, **changes})


def randomized(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with random weights in every layer."""
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


def inputs(layout: FeatureLayout) -> dict[str, Any]:
    return {"ids": IDS, **({"numeric": NUMBERS} if layout.num_numeric else {})}


def outputs(model: keras.Model, *names: str) -> list[Any]:
    probe = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    given = {name: tf.constant(inputs(LAYOUT)[name]) for name in model.input_names}
    return [output.numpy() for output in probe(given)]


def test_logit_by_hand() -> None:
    layout = FeatureLayout.build([("user", 1, 1)], ["x"])
    hand = settings(embedding_dim=2, hidden_units=(1,), batch_norm=False, cross_layers=2)
    model = build_dcn_v2(layout, hand)
    weights = {
        "embedding": [np.array([[0, 0], [0, 0], [0, 0], [1, 2]])],
        "cross_0": [np.array([[1, 0], [2, 1]]), np.array([0, -1])],
        "cross_0_numeric": [np.array([[1, 0]])],
        "cross_0_to_numeric": [np.array([[0], [1]]), np.array([2])],
        "cross_0_numeric_to_numeric": [np.array([[-1]])],
        "cross_1": [np.array([[1, 1], [0, 1]]), np.array([1, 0])],
        "cross_1_numeric": [np.array([[0, 1]])],
        "cross_1_to_numeric": [np.array([[1], [0]]), np.array([0])],
        "cross_1_numeric_to_numeric": [np.array([[2]])],
        "cross_out": [np.array([[1], [-1]])],
        "cross_out_numeric": [np.array([[0.5]])],
        "tower_0": [np.array([[1], [1]]), np.array([-2])],
        "tower_0_numeric": [np.array([[3]])],
        "tower_out": [np.array([[2]]), np.array([0.25])],
    }
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)
    # e_0 = (1, 2), z_0 = 3
    # e_1 = (1, 2) * ((1 + 4, 2) + 3 (1, 0) + (0, -1)) + (1, 2) = (8, 2) + (1, 2) = (9, 4)
    # z_1 = 3 * (2 - 3 + 2) + 3 = 6
    # e_2 = (1, 2) * ((9, 9 + 4) + 6 (0, 1) + (1, 0)) + (9, 4) = (10, 38) + (9, 4) = (19, 42)
    # z_2 = 3 * (9 + 12) + 6 = 69
    cross, tower = 19 - 42 + 0.5 * 69, 2 * (1 + 2 + 9 - 2) + 0.25
    logit = model({"ids": np.array([[3]]), "numeric": np.array([[3.0]], "f")})
    np.testing.assert_allclose(logit, [[cross + tower]], rtol=1e-6)


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_without_hidden_layers_it_is_the_cross_network(structure: str) -> None:
    layout = FeatureLayout.build([("user", 1, 1)])
    hand = settings(embedding_dim=2, hidden_units=(), cross_layers=1, structure=structure)
    model = build_dcn_v2(layout, hand)
    weights = {
        "embedding": [np.array([[0, 0], [0, 0], [0, 0], [1, 2]])],
        "cross_0": [np.array([[1, 0], [2, 1]]), np.array([0, -1])],
        "cross_out": [np.array([[1], [-1]]), np.array([0.25])],
    }
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)
    assert {w.name.partition("/")[0] for w in model.weights} == {*weights}
    # e_0 = (1, 2);  e_1 = (1, 2) * ((1 + 4, 2) + (0, -1)) + (1, 2) = (5, 2) + (1, 2) = (6, 4)
    np.testing.assert_allclose(model({"ids": np.array([[3]])}), [[6 - 4 + 0.25]], rtol=1e-6)


@pytest.mark.parametrize("low_rank", [None, 2])
def test_cross_layers_are_those_of_tensorflow_recommenders(low_rank: int | None) -> None:
    layout = FeatureLayout.build([("user", 1, 5), ("item", 1, 4)])
    stacked = settings(structure="stacked", low_rank=low_rank, cross_layers=3)
    model = randomized(build_dcn_v2(layout, stacked))
    flat, crossed = outputs(model, "flatten", "crossed")
    x = flat
    for level in range(3):
        cross = tfrs.layers.dcn.Cross(projection_dim=low_rank)
        cross(flat, x)
        down = [] if low_rank is None else model.get_layer(f"cross_{level}_down").get_weights()
        cross.set_weights([*down, *model.get_layer(f"cross_{level}").get_weights()])
        x = cross(flat, x).numpy()
    np.testing.assert_allclose(crossed, x, rtol=1e-5)


@pytest.mark.parametrize("low_rank", [None, 2])
def test_two_blocks_are_one_cross_layer_over_their_concatenation(low_rank: int | None) -> None:
    parallel = settings(low_rank=low_rank, cross_layers=1)
    model = randomized(build_dcn_v2(LAYOUT, parallel))
    flat, embedded, numbers = outputs(model, "flatten", "cross_0_sum", "cross_0_numeric_sum")

    def kernel(part: str) -> Any:
        return model.get_layer(f"cross_0{part}").get_weights()[0]

    bias = np.hstack([model.get_layer(f"cross_0{p}").get_weights()[1] for p in ("", "_to_numeric")])
    if low_rank is None:
        whole = [
            np.block(
                [
                    [kernel(""), kernel("_to_numeric")],
                    [kernel("_numeric"), kernel("_numeric_to_numeric")],
                ]
            )
        ]
    else:
        down = np.vstack([kernel("_down"), kernel("_down_numeric")])
        whole = [down, np.hstack([kernel(""), kernel("_to_numeric")])]
    x = np.hstack([flat, NUMBERS])
    cross = tfrs.layers.dcn.Cross(projection_dim=low_rank)
    cross(x, x)
    cross.set_weights([*whole, bias])
    np.testing.assert_allclose(np.hstack([embedded, numbers]), cross(x, x), rtol=1e-5)


@pytest.mark.parametrize(("structure", "follows"), [("stacked", True), ("parallel", False)])
def test_the_tower_reads_what_the_structure_says(structure: str, follows: bool) -> None:
    model = randomized(build_dcn_v2(LAYOUT, settings(structure=structure)))
    before, _ = outputs(model, "tower_out", "flatten")
    last = model.get_layer("cross_2")
    last.set_weights([2 * weight for weight in last.get_weights()])
    after, _ = outputs(model, "tower_out", "flatten")
    assert (np.abs(after - before).min() > 0) == follows


@pytest.mark.parametrize("structure", ["stacked", "parallel"])
@pytest.mark.parametrize("low_rank", [None, 2])
def test_number_of_parameters(structure: str, low_rank: int | None) -> None:
    model = build_dcn_v2(LAYOUT, settings(structure=structure, low_rank=low_rank, cross_layers=2))
    n = WIDTH + 2
    cross = 2 * (n * n if low_rank is None else 2 * n * low_rank) + 2 * n
    tower = n * 4 + 4 + 4 * 4 + 4 + 1
    head = n if structure == "parallel" else 0
    assert model.count_params() == LAYOUT.table_rows * 3 + cross + tower + head


@pytest.mark.parametrize("structure", ["stacked", "parallel"])
def test_it_comes_back_as_it_was_saved(structure: str, tmp_path: pathlib.Path) -> None:
    saved = settings(structure=structure, cross_layers=2, low_rank=2)
    model = randomized(build_dcn_v2(LAYOUT, saved))
    Checkpoint(model, LAYOUT, saved).save(str(tmp_path))
    again = Checkpoint.load(str(tmp_path))
    assert again.config == saved
    logits = model(inputs(LAYOUT)).numpy()
    assert len(np.unique(logits)) == len(IDS)
    np.testing.assert_array_equal(again.model(inputs(LAYOUT)), logits)
    np.testing.assert_array_equal(copy(again)(inputs(LAYOUT)), logits)


def test_mixed_precision_still_gives_float32_logits() -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        models = [build_dcn_v2(LAYOUT, settings(structure=s)) for s in ("stacked", "parallel")]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for model in models:
        assert model(inputs(LAYOUT)).dtype == tf.float32
        assert {weight.dtype for weight in model.weights} == {tf.float32}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cross_layers": 0}, "greater than or equal to 1"),
        ({"low_rank": 0}, "greater than or equal to 1"),
        ({"structure": "deep"}, "'stacked' or 'parallel'"),
        ({"family": "deepfm"}, "'dcn_v2'"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**wrong)
