"""The validators of features, model, training and compression steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import CompressionStep
from ranklite.models.compression.patterns import PruningScope
from ranklite.models.compression.techniques.prune import Pruning
from ranklite.models.compression.techniques.quantize import Quantization
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kinds.numeric import NumericFeature
from ranklite.models.training.config import TrainingConfig

USER = {"kind": "categorical", "name": "user"}
AGE = {"kind": "numeric", "name": "age"}
STEP: TypeAdapter[Pruning | Quantization] = TypeAdapter(CompressionStep)


def features(*some: dict[str, Any], **roles: Any) -> FeatureSet:
    return FeatureSet.model_validate({"features": some, **roles})


def test_each_kind_becomes_its_class() -> None:
    tags = {"kind": "multi_categorical", "name": "tags", "max_length": 3}
    one = features(USER, tags, AGE)
    assert [type(f).__name__ for f in one.features] == [
        "CategoricalFeature",
        "MultiCategoricalFeature",
        "NumericFeature",
    ]
    assert (one.label, one.user, one.item, one.slices) == ("label", None, None, ())


@pytest.mark.parametrize(
    ("some", "roles", "message"),
    [
        ([], {}, "at least 1 item"),
        ([USER, AGE, USER, AGE], {}, "features named twice: age, user"),
        ([AGE], {}, "a factorization machine needs a categorical feature"),
        ([USER, AGE], {"label": "age"}, "'age' is the label and cannot be a feature"),
        (
            [{**USER, "kind": "text"}],
            {},
            "no feature kind 'text'; registered are categorical, multi_categorical, numeric",
        ),
        ([{**USER, "name": "a b"}], {}, "should match pattern"),
        ([{**USER, "name": "1st"}], {}, "should match pattern"),
        ([{**USER, "name": ""}], {}, "at least 1 character"),
        ([{**USER, "dtype": "float32"}], {}, "'string' or 'int64'"),
        ([{**USER, "min_count": 0}], {}, "greater than or equal to 1"),
        ([{**USER, "max_vocabulary": 0}], {}, "greater than or equal to 1"),
        ([{**USER, "max_length": 3}], {}, "Extra inputs are not permitted"),
        ([{"kind": "multi_categorical", "name": "tags"}], {}, "Field required"),
        (
            [{"kind": "multi_categorical", "name": "tags", "max_length": 2, "separator": ""}],
            {},
            "at least 1 character",
        ),
        ([USER, {**AGE, "buckets": 1}], {}, "greater than or equal to 2"),
    ],
)
def test_wrong_features(some: list[dict[str, Any]], roles: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        features(*some, **roles)


def test_a_number_in_buckets_is_categorical_enough() -> None:
    assert features({**AGE, "buckets": 5}).features[0].name == "age"


def test_an_indicator_goes_without_buckets() -> None:
    assert NumericFeature(kind="numeric", name="age", missing_indicator=True).missing_indicator
    with pytest.raises(ValidationError, match="'age': missing_indicator goes without buckets"):
        NumericFeature(kind="numeric", name="age", buckets=4, missing_indicator=True)


def test_values_never_change_and_unknown_keys_are_errors() -> None:
    config = DeepFMConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.dropout = 0.5  # type: ignore[misc]
    with pytest.raises(ValidationError, match="hidden\n  Extra inputs are not permitted"):
        DeepFMConfig.model_validate({"hidden": [8]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"embedding_dim": 0},
        {"hidden_units": [8, 0]},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"embedding_stddev": 0.0},
        {"embedding_stddev": float("inf")},
        {"embedding_stddev": float("nan")},
    ],
)
def test_wrong_model_sizes(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DeepFMConfig.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"learning_rate": 1.5},
        {"schedule": "step"},
        {"patience": 0},
        {"embedding_l2": -1e-9},
        {"embedding_l2": float("inf")},
        {"oov_rate": 1.0},
        {"precision": "float64"},
        {"strategy": "tpu"},
        {"shuffle_rows": 0},
        {"seed": -1},
        {"seed": 2**31},
    ],
)
def test_wrong_training(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TrainingConfig.model_validate(wrong)


@pytest.mark.parametrize("config", [DeepFMConfig(hidden_units=(3,)), TrainingConfig(seed=7)])
def test_json_and_back(config: DeepFMConfig | TrainingConfig) -> None:
    assert type(config).model_validate_json(config.model_dump_json()) == config


@given(
    st.sampled_from(["unstructured", "2:4", "block"]),
    st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_pattern_sparsity_and_block_size_go_together(
    pattern: Any, sparsity: float, block: tuple[int, int]
) -> None:
    values = {"pattern": pattern, "sparsity": sparsity, "block_size": block}
    if pattern == "2:4" and sparsity != 0.5:
        problem = f"pattern 2:4 means sparsity 0.5, not {sparsity}"
    elif pattern == "block" and block == (1, 1):
        problem = r"pattern 'block' with block_size \[1, 1\]"
    elif pattern != "block" and block != (1, 1):
        problem = f"pattern '{pattern}' with block_size .* with no other"
    else:
        assert PruningScope.model_validate(values).model_dump() == values
        return
    with pytest.raises(ValidationError, match=problem):
        PruningScope.model_validate(values)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_sparsity_leaves_something(sparsity: float) -> None:
    with pytest.raises(ValidationError, match="sparsity"):
        PruningScope(sparsity=sparsity)


def test_pruning_needs_a_scope() -> None:
    half = PruningScope(sparsity=0.5)
    assert Pruning(technique="prune", tower=half).embeddings is None
    assert Pruning(technique="prune", embeddings=half).tower is None
    with pytest.raises(ValidationError, match="prune needs a scope"):
        Pruning(technique="prune")


def test_a_step_is_told_by_its_technique() -> None:
    prune = STEP.validate_python({"technique": "prune", "tower": {"sparsity": 0.5}})
    assert isinstance(prune, Pruning)
    quantize = STEP.validate_python({"technique": "quantize", "epochs": 0})
    assert isinstance(quantize, Quantization)
    assert quantize.epochs == 0


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"technique": "distil"}, "'distil' found using 'technique'"),
        ({}, "Unable to extract tag"),
        ({"technique": "quantize", "tower": {"sparsity": 0.5}}, "Extra inputs"),
        ({"technique": "quantize", "epochs": -1}, "epochs"),
        ({"technique": "quantize", "calibration_batches": 0}, "calibration_batches"),
        ({"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 0}, "epochs"),
        ({"technique": "prune", "tower": {"sparsity": 0.5}, "ramp": 0.0}, "ramp"),
        ({"technique": "prune", "tower": {"sparsity": 0.5}, "ramp": 1.1}, "ramp"),
    ],
)
def test_wrong_steps(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        STEP.validate_python(step)
