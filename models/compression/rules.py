"""Which recipes fit which models, by their sizes alone: what is wrong is told before training.

The techniques apply the same rules to the models that they are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import (
    CompressionStep,
    Distillation,
    Pruning,
    PruningScope,
    Quantization,
)
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.layers.table_config import TruncatedTable

COMPOSED = ("quotient_remainder", "low_rank", "by_frequency")
PROJECTED = ("low_rank", "by_frequency")
MADE_BY_PRUNING = ("truncated", "pruned")
_MULTIPLE = 8  # floats in a vector register


class NotCompressible(ValueError):
    """A technique cannot be applied to this model; the message says what is allowed."""


def check_pattern(name: str, rows: int, columns: int, scope: PruningScope) -> None:
    """Raises NotCompressible where the pattern of a scope does not divide a kernel."""
    if scope.pattern == "2:4" and rows % 4:
        raise NotCompressible(
            f"{name} is {rows} x {columns}: pattern 2:4 runs along the inputs, whose number four "
            "has to divide: choose embedding_dim and hidden_units so"
        )
    height, width = scope.block_size
    if rows % height or columns % width:
        raise NotCompressible(
            f"{name} is {rows} x {columns}, which blocks of {height} x {width} do not divide: "
            "choose a block_size whose sides divide every pruned layer"
        )


def check_widths(wanted: Sequence[int], units: Sequence[int]) -> None:
    """Raises NotCompressible where hidden layers cannot be cut to some widths."""
    if len(wanted) != len(units) or any(w > u for w, u in zip(wanted, units, strict=True)):
        raise NotCompressible(
            f"hidden_units {list(wanted)} does not fit a tower of {list(units)}: give one width "
            "for each hidden layer, none above what the layer has"
        )


def check_one_matrix(model: DeepFMConfig) -> None:
    """Raises NotCompressible where a table has no rows that are embeddings."""
    if model.table.kind in COMPOSED:
        raise NotCompressible(
            f"the table {model.table.kind!r} is composed of several matrices, none of "
            "which holds embeddings: leave `embeddings` out"
        )


def check_trainable(model: DeepFMConfig) -> None:
    """Raises NotCompressible where a model cannot be trained from the start."""
    if model.table.kind in MADE_BY_PRUNING:
        raise NotCompressible(
            f"table {model.table.kind!r} is what prune_rows makes of a trained 'full' one: add "
            "that step to compression, or choose another kind"
        )


def check_four_bits(model: DeepFMConfig) -> None:
    """Raises NotCompressible where a file with 4-bit kernels could not be run."""
    if model.table.kind in PROJECTED:
        raise NotCompressible(
            f"4-bit kernels and a table of kind {model.table.kind!r}: the converter leaves its "
            "projection in a form that no runtime prepares; choose bits 8, or another kind"
        )


def check_width(model: DeepFMConfig, scope: PruningScope) -> None:
    """Raises NotCompressible where blocks do not divide the rows of a table."""
    width = scope.block_size[1]
    if model.embedding_dim % width:
        raise NotCompressible(
            f"the rows of the table have {model.embedding_dim} columns, which blocks of 1 x "
            f"{width} do not divide: choose a block_size that does"
        )


def check_whole_table(model: DeepFMConfig) -> None:
    """Raises NotCompressible where rows cannot be taken out of a table."""
    if model.table.kind != "full":
        raise NotCompressible(
            f"prune_rows takes rows out of a table of kind 'full'; this model's is "
            f"{model.table.kind!r}"
        )


def check_single_valued(multi_valued: Sequence[str]) -> None:
    """Raises NotCompressible where 16-bit activations meet multi-valued features."""
    if multi_valued:
        raise NotCompressible(
            f"format int16x8 and the multi-valued features {', '.join(multi_valued)}: the "
            "converter concatenates no 16-bit embeddings; choose format int8"
        )


def kept_units(units: int, keep: float) -> int:
    """`keep` of some units, rounded up: to a multiple of 8 where there are at least 8."""
    share = math.ceil(round(keep * units, 6))
    return share if units < _MULTIPLE else min(units, math.ceil(share / _MULTIPLE) * _MULTIPLE)


def check_recipe(
    steps: Sequence[CompressionStep], model: DeepFMConfig, features: FeatureSet
) -> None:
    """Follows the sizes of a model through a recipe.

    Args:
      steps: In their order.
      model: The float model.
      features: The configured features.

    Raises:
      NotCompressible: A step does not fit what the steps before it make; its number and technique
        come first in the message.
    """
    for number, step in enumerate(steps, 1):
        try:
            model = _after(step, model, features)
        except NotCompressible as error:
            raise NotCompressible(f"step {number}, {step.technique}: {error}") from None


def _after(step: CompressionStep, model: DeepFMConfig, features: FeatureSet) -> DeepFMConfig:
    """The sizes after a step."""
    if step.technique == "distill":
        _check_distillation(step, model, features)
        return step.student or step.teacher or model
    if step.technique == "prune_rows":
        check_whole_table(model)
        return model.model_copy(update={"table": TruncatedTable(kind="truncated", values=())})
    if step.technique == "prune_units":
        if step.hidden_units is not None:
            check_widths(step.hidden_units, model.hidden_units)
        units = step.hidden_units or tuple(
            kept_units(width, step.keep or 1.0) for width in model.hidden_units
        )
        return model.model_copy(update={"hidden_units": units})
    if step.technique == "prune":
        _check_pruning(step, model, features)
    elif step.technique == "cluster" and step.embeddings:
        check_one_matrix(model)
    elif step.technique == "quantize":
        _check_quantization(step, model, features)
    return model


def _check_distillation(step: Distillation, model: DeepFMConfig, features: FeatureSet) -> None:
    for role, sizes in (("teacher", step.teacher), ("student", step.student)):
        try:
            check_trainable(sizes or model)
        except NotCompressible as error:
            raise NotCompressible(f"{role}: {error}") from None
    if step.unlabelled is None:
        return
    check_user_and_item("unlabelled", features)
    check_item_columns(step.unlabelled.item_columns, features)


def check_user_and_item(what: str, features: FeatureSet) -> None:
    """Raises NotCompressible where items cannot be redrawn for users."""
    single = sorted(f.name for f in features.features if f.is_categorical)
    for role, column in (("user", features.user), ("item", features.item)):
        if column not in single:
            raise NotCompressible(
                f"{what} needs the {role} {column!r} among the categorical features, which are "
                f"{', '.join(single)}"
            )


def check_item_columns(columns: Sequence[str], features: FeatureSet) -> None:
    """Raises NotCompressible where a column that is to change with the item is no feature."""
    names = sorted(feature.name for feature in features.features)
    if unknown := sorted(set(columns) - set(names)):
        raise NotCompressible(
            f"item_columns names {unknown[0]!r}, which is no feature; features are "
            f"{', '.join(names)}"
        )


def _check_quantization(step: Quantization, model: DeepFMConfig, features: FeatureSet) -> None:
    if step.format == "int16x8":
        check_single_valued([f.name for f in features.id_features if not f.is_single_valued])
    if step.bits in (4, "mixed"):
        check_four_bits(model)
    if step.max_weight_bytes is not None:
        inputs = _tower_inputs(model, features)
        least = sum(a * b for a, b in zip(inputs, model.hidden_units, strict=False)) // 2
        if step.max_weight_bytes < least:
            raise NotCompressible(
                f"max_weight_bytes is {step.max_weight_bytes:,}, but the tower alone takes "
                f"{least:,} with 4 bits everywhere: raise it, or remove units first"
            )


def _check_pruning(step: Pruning, model: DeepFMConfig, features: FeatureSet) -> None:
    if step.embeddings is not None:
        check_one_matrix(model)
        check_width(model, step.embeddings)
    if step.tower is None:
        return
    inputs = _tower_inputs(model, features)
    for k, units in enumerate(model.hidden_units):
        check_pattern(f"tower_{k}", inputs[k], units, step.tower)


def _tower_inputs(model: DeepFMConfig, features: FeatureSet) -> list[int]:
    """What each hidden layer reads, and what the last one gives."""
    return [len(features.id_features) * model.embedding_dim, *model.hidden_units]
