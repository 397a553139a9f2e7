"""Which recipes fit which models, by their sizes alone: what is wrong is told before training.

The techniques apply the same rules to the models that they are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.compression_config import CompressionStep, Pruning, PruningScope
from models.config import DeepFMConfig, FeatureSet, TruncatedTable

COMPOSED = ("quotient_remainder", "low_rank", "by_frequency")
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
        return step.student or model
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
    elif step.technique == "quantize" and step.format == "int16x8":
        check_single_valued([f.name for f in features.features if f.kind == "multi_categorical"])
    return model


def _check_pruning(step: Pruning, model: DeepFMConfig, features: FeatureSet) -> None:
    if step.embeddings is not None:
        check_one_matrix(model)
    if step.tower is None:
        return
    fields = [f for f in features.features if f.kind != "numeric" or f.buckets is not None]
    inputs = [len(fields) * model.embedding_dim, *model.hidden_units]
    for k, units in enumerate(model.hidden_units):
        check_pattern(f"tower_{k}", inputs[k], units, step.tower)
