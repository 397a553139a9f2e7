"""Recipes that do not fit a model are refused from the configuration alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import parse_step
from ranklite.models.compression.recipe import check_recipe
from ranklite.models.compression.sizes import NotCompressible, kept_units
from ranklite.models.features.feature_set import FeatureSet

MODEL = DeepFMConfig(embedding_dim=6, hidden_units=(16, 10))
MACHINE = DeepFMConfig(embedding_dim=6, hidden_units=())
FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 2},
            {"kind": "numeric", "name": "price", "buckets": 4},
            {"kind": "numeric", "name": "age"},
        ],
        "user": "user",
        "item": "sku",
    }
)  # three id fields: the tower reads 18 numbers


def check(*steps: dict[str, Any], model: DeepFMConfig = MODEL) -> None:
    check_recipe([parse_step(json.dumps(step)) for step in steps], model, FEATURES)


def pruning(pattern: str = "unstructured", **scope: Any) -> dict[str, Any]:
    return {"technique": "prune", "tower": {"sparsity": 0.5, "pattern": pattern, **scope}}


NARROWER = {"technique": "prune_units", "hidden_units": [8, 8]}
QUANTIZE = {"technique": "quantize"}
STUDENT = {
    "technique": "distill",
    "student": {
        "embedding_dim": 4,
        "hidden_units": [8, 4],
        "table": {"kind": "low_rank", "rank": 2},
    },
}
ROWS = {"technique": "prune_rows", "keep": 0.5}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([pruning("2:4")], "step 1, prune: tower_0 is 18 x 16: pattern 2:4 runs along the inputs"),
        (
            [pruning("block", block_size=[6, 4])],
            "step 1, prune: tower_1 is 16 x 10, which blocks of 6 x 4 do not divide",
        ),
        (
            [{**NARROWER, "hidden_units": [8]}],
            r"hidden_units \[8\] does not fit a tower of \[16, 10\]",
        ),
        ([{**NARROWER, "hidden_units": [32, 8]}], "none above what the layer has"),
        (
            [STUDENT, ROWS],
            "step 2, prune_rows: prune_rows takes rows out of a table of kind 'full'",
        ),
        (
            [STUDENT, {"technique": "cluster", "embeddings": True}],
            "step 2, cluster: the table 'low_rank' is composed",
        ),
        (
            [STUDENT, {"technique": "prune", "embeddings": {"sparsity": 0.5}}],
            "step 2, prune: the table 'low_rank' is composed",
        ),
        ([{**QUANTIZE, "format": "int16x8"}], "int16x8 and the multi-valued features tags"),
        (
            [STUDENT, {**QUANTIZE, "bits": 4, "table": "int8_per_row"}],
            "step 2, quantize: 4-bit kernels and a table of kind 'low_rank'",
        ),
        (
            [{**QUANTIZE, "bits": "mixed", "max_weight_bytes": 223}],
            "max_weight_bytes is 223, but the kernels alone take 224 with 4 bits",
        ),
        (
            [
                {
                    **pruning("block", block_size=[1, 4]),
                    "tower": None,
                    "embeddings": {"sparsity": 0.5, "pattern": "block", "block_size": [1, 4]},
                }
            ],
            "rows of the table have 6 columns, which blocks of 1 x 4 do not divide",
        ),
        (
            [{"technique": "distill", "student": {"table": {"kind": "pruned", "rows": 9}}}],
            "step 1, distill: student: table 'pruned' is what prune_rows makes",
        ),
        (
            [{"technique": "distill", "teacher": {"table": {"kind": "truncated", "values": []}}}],
            "step 1, distill: teacher: table 'truncated' is what prune_rows makes",
        ),
        (
            [{"technique": "distill", "unlabelled": {}}],
            "unlabelled needs the item 'sku' among the categorical features, which are user",
        ),
    ],
)
def test_what_is_refused(steps: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(NotCompressible, match=message):
        check(*steps)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (pruning(), "step 1, prune: `tower` prunes kernels, and this model has none"),
        ({"technique": "cluster"}, "step 1, cluster: `tower` clusters kernels, and this model"),
        (NARROWER, r"prune_units removes units of hidden layers, and .* has hidden_units \[\]"),
        ({**QUANTIZE, "bits": 4, "table": "int4_per_row"}, "`bits: 4` is for kernels"),
        ({**QUANTIZE, "granularity": "per_channel"}, "`granularity: per_channel` is for kernels"),
        (
            {"technique": "distill", "hidden_weight": 0.1},
            "distill: teacher: hidden_weight draws last hidden layers together, and this model",
        ),
    ],
)
def test_what_a_model_without_hidden_layers_refuses(step: dict[str, Any], message: str) -> None:
    with pytest.raises(NotCompressible, match=message):
        check(step, model=MACHINE)
    check(step)


def test_what_fits_a_model_without_hidden_layers() -> None:
    pruned = {"technique": "prune", "embeddings": {"sparsity": 0.5}}
    clustered = {"technique": "cluster", "embeddings": True}
    check(ROWS, pruned, {**QUANTIZE, "table": "int4_per_row"}, model=MACHINE)
    check(clustered, QUANTIZE, model=MACHINE)
    check({**QUANTIZE, "bits": "mixed", "max_weight_bytes": 9000}, model=MACHINE)
    check({"technique": "distill", "student": {"hidden_units": []}})


def test_a_refusal_says_what_a_table_allows() -> None:
    with pytest.raises(NotCompressible) as refused:
        check(pruning(), model=MACHINE)
    assert str(refused.value).endswith(
        "leave it out; of a table prune_rows removes rows, prune and cluster take the scope "
        "`embeddings`, and quantize stores it in 8 or 4 bits"
    )


def test_item_columns_are_features() -> None:
    features = FEATURES.model_copy(update={"item": "user"})
    step = {"technique": "distill", "unlabelled": {"item_columns": ["tags", "prise"]}}
    with pytest.raises(NotCompressible, match="'prise', which is no feature; features are age, "):
        check_recipe([parse_step(json.dumps(step))], MODEL, features)


def test_a_student_without_sizes_is_as_large_as_its_teachers() -> None:
    teacher = {"technique": "distill", "teacher": {"embedding_dim": 4, "hidden_units": [20, 8]}}
    check(teacher, pruning("2:4"))  # the configured model's 18 inputs would be refused


def test_what_fits() -> None:
    check()
    check(ROWS, NARROWER, pruning("block", block_size=[2, 8]), QUANTIZE)
    check(pruning("block", block_size=[2, 5]) | {"tower": None, "embeddings": {"sparsity": 0.1}})
    # The student's tower reads 3 x 4 numbers, which four divides.
    check(STUDENT, pruning("2:4"), QUANTIZE)


@pytest.mark.parametrize(
    ("units", "keep", "expected"),
    [(16, 0.5, 8), (16, 0.6, 16), (10, 0.9, 10), (6, 0.5, 3), (256, 0.1, 32)],
)
def test_kept_units(units: int, keep: float, expected: int) -> None:
    assert kept_units(units, keep) == expected
