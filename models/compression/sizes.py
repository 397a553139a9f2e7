"""What fits which model, by its sizes alone: what is wrong is told before training.

The techniques apply the same rules to the models that they are given.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ranklite.models.architectures import family, file_limit
from ranklite.models.features.kind import ComputedIds
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_sizes import stored_numbers

if TYPE_CHECKING:
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.feature_set import FeatureSet

COMPOSED = ("quotient_remainder", "low_rank", "by_frequency")
PROJECTED = ("low_rank", "by_frequency")
MADE_BY_PRUNING = ("truncated", "pruned")
WITHOUT_TOWER = (
    "of a table prune_rows removes rows, prune and cluster take the scope `embeddings`, and "
    "quantize stores it in 8 or 4 bits"
)
_MULTIPLE = 8  # floats in a vector register
_FLOAT = 4  # bytes


class NotCompressible(ValueError):
    """A technique cannot be applied to this model; the message says what is allowed."""


@dataclasses.dataclass(frozen=True)
class WeightSize:
    """About what the weights of a model take in its file.

    Attributes:
      layout: Where the features live in the model's inputs.
      model: Its settings.
      rows: Of the embedding table; of a kind without a row of embeddings for each, as many as take
        what it stores.
      per_weight: Bytes of a weight of a kernel.
      per_value: Bytes of a value of the tables.
      per_row: Bytes of a row beside its values.
    """

    layout: FeatureLayout
    model: FamilySettings
    rows: int
    per_weight: float = 4.0
    per_value: float = 4.0
    per_row: float = 0.0

    @classmethod
    def of(cls, layout: FeatureLayout, model: FamilySettings) -> WeightSize:
        """Those of a float model."""
        dims = model.embedding_dim, *(1 for _ in family.parts(layout, model).tables[1:])
        stored = sum(stored_numbers(layout, model.table, dim) for dim in dims)
        return cls(layout, model, math.ceil(stored / sum(dims)))

    @property
    def bytes(self) -> int:
        """Of all weights."""
        parts = family.parts(self.layout, self.model)
        shapes = [*parts.kernels.values(), *parts.small_kernels.values()]
        kernels = sum(a * b for a, b in shapes) * self.per_weight
        return round(self.rows * self.row_bytes + kernels + parts.encoders * _FLOAT)

    @property
    def row_bytes(self) -> float:
        """Of a row of the tables."""
        columns = self.model.embedding_dim + len(family.parts(self.layout, self.model).tables) - 1
        return columns * self.per_value + self.per_row


def check_widths(wanted: Sequence[int], units: Sequence[int]) -> None:
    """Raises NotCompressible where hidden layers cannot be cut to some widths."""
    if len(wanted) != len(units) or any(w > u for w, u in zip(wanted, units, strict=True)):
        raise NotCompressible(
            f"hidden_units {list(wanted)} does not fit a tower of {list(units)}: give one width "
            "for each hidden layer, none above what the layer has"
        )


def check_hidden(model: FamilySettings, what: str) -> None:
    """Raises NotCompressible where a model has no hidden layers."""
    if not model.hidden_units:
        raise NotCompressible(
            f"{what}, and this model has hidden_units []: leave it out, or give the model a tower; "
            f"{WITHOUT_TOWER}"
        )


def check_kernels(kernels: Mapping[str, tuple[int, int]], what: str) -> None:
    """Raises NotCompressible where a model has no kernels."""
    if not kernels:
        raise NotCompressible(
            f"{what}, and this model has none, since its hidden_units are []: leave it out; "
            f"{WITHOUT_TOWER}"
        )


def check_one_matrix(model: FamilySettings) -> None:
    """Raises NotCompressible where a table has no rows that are embeddings."""
    if model.table.kind in COMPOSED:
        raise NotCompressible(
            f"the table {model.table.kind!r} is composed of several matrices, none of "
            "which holds embeddings: leave `embeddings` out"
        )


def check_trainable(model: FamilySettings) -> None:
    """Raises NotCompressible where a model cannot be trained from the start."""
    if model.table.kind in MADE_BY_PRUNING:
        raise NotCompressible(
            f"table {model.table.kind!r} is what prune_rows makes of a trained 'full' one: add "
            "that step to compression, or choose another kind"
        )


def check_four_bits(model: FamilySettings) -> None:
    """Raises NotCompressible where a file with 4-bit kernels could not be run."""
    if model.table.kind in PROJECTED:
        raise NotCompressible(
            f"4-bit kernels and a table of kind {model.table.kind!r}: the converter leaves its "
            "projection in a form that no runtime prepares; choose bits 8, or another kind"
        )


def check_whole_table(model: FamilySettings) -> None:
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


def check_user_and_item(what: str, features: FeatureSet) -> None:
    """Raises NotCompressible where items cannot be redrawn for users.

    What a user had is known from him, or from a list of items in the row, such as a history.
    """
    single = sorted(f.name for f in features.features if f.is_categorical)
    listed = any(f.row_owner == features.item for f in features.id_features)
    for role, column in (("user", features.user), ("item", features.item)):
        if column not in single and not (role == "user" and listed):
            instead = ", or a list of items such as a history" if role == "user" else ""
            raise NotCompressible(
                f"{what} needs the {role} {column!r} among the categorical features, which are "
                f"{', '.join(single)}{instead}"
            )


def check_item_columns(columns: Sequence[str], features: FeatureSet) -> None:
    """Raises NotCompressible where a column cannot change with the item, or is no feature."""
    names = sorted(column.name for column in features.raw_columns)
    if unknown := sorted(set(columns) - set(names)):
        raise NotCompressible(
            f"item_columns names {unknown[0]!r}, which is no feature; features are "
            f"{', '.join(names)}"
        )
    try:
        features.changing_with_item(columns)
    except ValueError as error:
        raise NotCompressible(str(error)) from None


def least_layout(features: FeatureSet) -> FeatureLayout:
    """The layout of features before anything is learned: vocabularies have no values in it."""
    sizes = [
        (f.name, f.id_length, f.num_values if isinstance(f, ComputedIds) else 0)
        for f in features.id_features
    ]
    return FeatureLayout.build(sizes, features.numeric_names, features.list_fields)


def check_least(model: FamilySettings, features: FeatureSet) -> None:
    """What is known of a model before any vocabulary is.

    Raises:
      ValueError: The features are not what the model's family needs.
      FileTooLarge: Its table alone, such as its hashed rows, is more than a file can hold.
    """
    file_limit.check(least_layout(features), model)


def kernel_shapes(model: FamilySettings, features: FeatureSet) -> Mapping[str, tuple[int, int]]:
    """Shapes of the large kernels, which do not depend on the sizes of vocabularies.

    Raises:
      ValueError: The features are not what the model's family needs.
    """
    return family.parts(least_layout(features), model).kernels
