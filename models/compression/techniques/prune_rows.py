"""Removes rows of an embedding table; their values become out-of-vocabulary values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ranklite.models.compression.sizes import NotCompressible, WeightSize, check_whole_table
from ranklite.models.compression.technique import (
    Dimension,
    FineTuned,
    PostConditionFailed,
    Splits,
    Step,
)
from ranklite.models.features.layout import PADDING_ROW, RESERVED_ROWS, FeatureLayout
from ranklite.models.layers.table_config import PrunedTable, TruncatedTable

if TYPE_CHECKING:
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.training.config import TrainingConfig


class RowPruning(Step):
    """Removes rows of vocabulary values; their ids go to their field's out-of-vocabulary row.

    Attributes:
      by: `frequency` keeps the first values of each field (a vocabulary is in order of frequency;
        quantile buckets are not, and lose their upper ones), and costs nothing to find them again;
        `norm` keeps the longest rows of the whole table, with a map of 2 or 4 bytes an id.
      keep: Share of the values to keep, rounded up.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["prune_rows"]
    by: Literal["frequency", "norm"] = "frequency"
    keep: float = Field(gt=0.0, lt=1.0)
    epochs: int = Field(1, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)


class PruneRows(FineTuned[RowPruning]):
    r"""Stores the rows of some vocabulary values only, and fine-tunes what is left.

    Of a vocabulary of n values `frequency` keeps the first ceil(keep n); `norm` keeps the
    ceil(keep V) values of all fields with the largest |E_i|_2 (the salience criterion that Hu et
    al. 2016, https://arxiv.org/abs/1607.03250, use for units). A removed value of field f reads
    the out-of-vocabulary row of f, which starts at the mean of the rows removed from f:

        E_oov <- 1 / |removed_f| sum_{i in removed_f} E_i,

    the constant that is nearest to them in squares. Padding and both reserved rows of each field
    always stay.
    """

    settings = RowPruning
    stage = "rows_pruned"
    place = 200
    component = "Pruner.rows"
    keeps = frozenset({"zeros"})
    dimensions = (Dimension("rows", (1.0, 0.7, 0.4), "rows{:g}", (1.0, 1.0, 1.0, 1.0, 0.7)),)
    example = {"keep": 0.5, "epochs": 1}

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        if point["rows"] == 1.0:
            return None
        return {"by": "norm", "keep": point["rows"], "epochs": 2}

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        check_whole_table(model)
        return model.model_copy(update={"table": TruncatedTable(kind="truncated", values=())})

    def weights_after(self, size: WeightSize) -> WeightSize:
        return dataclasses.replace(size, rows=round(size.rows * self.config.keep))

    def check(self, checkpoint: Checkpoint) -> None:
        from ranklite.models.layers.table_sizes import values_of

        check_whole_table(checkpoint.config)
        if len(self._kept(checkpoint)) == checkpoint.layout.table_rows:
            raise NotCompressible(
                f"prune_rows with keep {self.config.keep} removes no row: the fields have "
                f"{list(values_of(checkpoint.layout))} values"
            )

    def _counts(self, layout: FeatureLayout) -> tuple[int, ...]:
        """Values that each field keeps by frequency."""
        from ranklite.models.layers.table_sizes import share_of, values_of

        return tuple(share_of(self.config.keep, n) for n in values_of(layout))

    def _kept(self, checkpoint: Checkpoint) -> npt.NDArray[np.int64]:
        """The ids whose rows stay: the reserved ones, then values; each in order."""
        from ranklite.models.layers.table_sizes import share_of
        from ranklite.models.layers.tables import EMBEDDING

        layout = checkpoint.layout
        values = [np.arange(f.offset + RESERVED_ROWS, f.offset + f.rows) for f in layout.owners]
        if self.config.by == "frequency":
            counts = self._counts(layout)
            kept = np.concatenate([v[:n] for v, n in zip(values, counts, strict=True)])
        else:
            every = np.concatenate(values)
            (table,) = checkpoint.model.get_layer(EMBEDDING).get_weights()
            shortest_last = np.argsort(-np.linalg.norm(table[every], axis=1), kind="stable")
            kept = np.sort(every[shortest_last[: share_of(self.config.keep, len(every))]])
        reserved = [row for f in layout.owners for row in (f.oov_row, f.missing_row)]
        return np.concatenate([[PADDING_ROW], reserved, kept]).astype(np.int64)

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        """The same model without the rows; it is also what `_before` among the metrics is of."""
        from ranklite.models.layers.table_rows import ROWS

        layout, kept = checkpoint.layout, self._kept(checkpoint)
        table = (
            TruncatedTable(kind="truncated", values=self._counts(layout))
            if self.config.by == "frequency"
            else PrunedTable(kind="pruned", rows=len(kept))
        )
        smaller = checkpoint.rebuilt(table=table)
        for layer in smaller.model.layers:
            if layer.name in checkpoint.parts.tables:
                (rows,) = checkpoint.model.get_layer(layer.name).get_weights()
                layer.set_weights([_with_means(rows, layout, kept)[kept]])
            elif layer.name == ROWS and layer.weights:
                layer.set_weights([_stored_rows(layout, kept)])
            elif layer.weights:
                layer.set_weights(checkpoint.model.get_layer(layer.name).get_weights())
        return smaller

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        from ranklite.models.compression.fine_tuning import copy

        return copy(checkpoint)

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        from ranklite.models.compression.invariants import KeepZeros, masks

        return [KeepZeros(model, masks(model))]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        from ranklite.models.compression.invariants import lost_zeros, masks
        from ranklite.models.compression.sparsity import sparsity, total_sparsity
        from ranklite.models.layers.tables import EMBEDDING

        lost = lost_zeros(masks(before.model), model)
        if lost:
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        return {
            "table_rows": int(model.get_layer(EMBEDDING).input_dim),
            "sparsity": total_sparsity(model),
            "sparsity_by_layer": sparsity(model),
        }


def _removed(layout: FeatureLayout, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """[V] True where an id has lost its row."""
    removed = np.ones(layout.table_rows, bool)
    removed[kept] = False
    return removed


def _with_means(
    table: npt.NDArray[np.float32], layout: FeatureLayout, kept: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """A table whose out-of-vocabulary rows are the means of their field's removed rows."""
    removed, result = _removed(layout, kept), table.copy()
    for field in layout.owners:
        own = table[field.offset : field.offset + field.rows]
        gone = removed[field.offset : field.offset + field.rows]
        if gone.any():
            result[field.oov_row] = own[gone].mean(axis=0, dtype=np.float64)
    return result


def _stored_rows(layout: FeatureLayout, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[V] stored row of each id; that of its field's out-of-vocabulary row where it has none."""
    rows = np.empty(layout.table_rows, np.int64)
    rows[kept] = np.arange(len(kept))
    removed = _removed(layout, kept)
    for field in layout.owners:
        own = slice(field.offset, field.offset + field.rows)
        rows[own][removed[own]] = rows[field.oov_row]
    return rows
