"""Structured pruning: removes whole units of the tower, so that the model gets narrower."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ranklite.models.compression.sizes import WeightSize, check_hidden, check_widths, kept_units
from ranklite.models.compression.technique import (
    Dimension,
    FineTuned,
    PostConditionFailed,
    Splits,
    Step,
)

if TYPE_CHECKING:
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.training.config import TrainingConfig


UNITS = "prune_units removes units of hidden layers"


class PruneUnits(Step):
    """Removes whole units of the hidden layers, then fine-tunes the narrower model.

    Attributes:
      keep: Share of each hidden layer's units that stays. A layer of 8 units or more keeps the next
        multiple of 8, which vector kernels fill whole registers with.
      hidden_units: In place of `keep`, the width of each hidden layer afterwards.
      importance: What a unit is judged by: the `norm` of its weights, or `taylor`, the first-order
        estimate of what the loss gains without it (Molchanov et al. 2017).
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["prune_units"]
    keep: float | None = Field(None, gt=0.0, le=1.0)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] | None = Field(
        None, min_length=1
    )
    importance: Literal["norm", "taylor"] = "norm"
    epochs: int = Field(2, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _one_target(self) -> PruneUnits:
        if (self.keep is None) == (self.hidden_units is None):
            raise ValueError(
                f"prune_units with keep {self.keep} and hidden_units {self.hidden_units}: give "
                "exactly one of them"
            )
        return self


class RemoveUnits(FineTuned[PruneUnits]):
    """Removes the least important units of each hidden layer at once, then fine-tunes the rest.

    What stays keeps its weights. The checkpoint that comes out is one of a narrower model; zeros
    that pruning left before stay zeros.
    """

    settings = PruneUnits
    stage = "units_pruned"
    place = 300
    component = "Pruner.units"
    keeps = frozenset({"zeros"})
    dimensions = (Dimension("units", (1.0, 0.5, 0.25), "units{:g}", (1.0, 1.0, 0.5, 0.5, 0.25)),)
    example = {"keep": 0.5, "epochs": 1}

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        return {"keep": point["units"], "epochs": 3} if point["units"] < 1.0 else None

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        check_hidden(model, UNITS)
        if self.config.hidden_units is not None:
            check_widths(self.config.hidden_units, model.hidden_units)
        return model.model_copy(update={"hidden_units": self.widths(model.hidden_units)})

    def weights_after(self, size: WeightSize) -> WeightSize:
        widths = self.config.hidden_units or tuple(
            round(width * (self.config.keep or 1)) for width in size.model.hidden_units
        )
        model = size.model.model_copy(update={"hidden_units": widths})
        return dataclasses.replace(size, model=model)

    def check(self, checkpoint: Checkpoint) -> None:
        check_hidden(checkpoint.config, UNITS)
        if self.config.hidden_units is not None:
            check_widths(self.config.hidden_units, checkpoint.config.hidden_units)

    def widths(self, units: Sequence[int]) -> tuple[int, ...]:
        """How many units of each hidden layer stay.

        Args:
          units: How many each has.
        """
        if self.config.hidden_units is not None:
            return self.config.hidden_units
        assert self.config.keep is not None  # the configuration has exactly one of the two
        return tuple(kept_units(count, self.config.keep) for count in units)

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        from ranklite.models.compression.units import (
            keep_units,
            norm_importance,
            taylor_importance,
        )

        if self.config.importance == "norm":
            importance = norm_importance(checkpoint)
        else:
            importance = taylor_importance(checkpoint, splits, training.seed)
        widths = self.widths(checkpoint.config.hidden_units)
        # Stable, so that of equally important units the first ones stay; sorted, to keep the order.
        kept = [
            np.sort(np.argsort(-scores, kind="stable")[:width])
            for scores, width in zip(importance, widths, strict=True)
        ]
        return keep_units(checkpoint, kept)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        from ranklite.models.compression.fine_tuning import copy

        return copy(checkpoint)

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        from ranklite.models.compression.invariants import KeepZeros, masks

        return [KeepZeros(model, masks(model))]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        from ranklite.models.compression.invariants import lost_zeros, masks

        widths = [model.get_layer(hidden.dense).units for hidden in before.parts.hidden]
        if lost := lost_zeros(masks(before.model), model):
            raise PostConditionFailed(f"pruned weights are no longer zero: {lost}")
        return {"hidden_units": widths, "weights": model.count_params()}
