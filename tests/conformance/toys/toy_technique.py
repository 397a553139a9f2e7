"""A compression technique from outside of RankLite, in one file: it prunes inputs of the kernels.

[project.entry-points."ranklite.techniques"]
prune_inputs = "toy_technique:PruneInputs"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from ranklite.models.compression.technique import (
    Dimension,
    FineTuned,
    Invariant,
    PostConditionFailed,
    Splits,
    Step,
)

if TYPE_CHECKING:
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.training.config import TrainingConfig


class InputPruning(Step):
    """Zeros what a kernel makes of its weakest inputs, then fine-tunes the others.

    Attributes:
      drop: Share of each kernel's inputs.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["prune_inputs"]
    drop: float = Field(gt=0.0, lt=1.0)
    epochs: int = Field(1, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)


class DeadInputs(Invariant):
    """A kernel that makes nothing of an input goes on so."""

    def callback(self, model: keras.Model) -> keras.callbacks.Callback:
        import tf_keras as keras

        from ranklite.models.compression.sparsity import prunable_weights

        masks = [
            (w, w.numpy().any(axis=1, keepdims=True)) for w in prunable_weights(model).values()
        ]

        def put_back(batch: int, logs: Any = None) -> None:
            for weight, alive in masks:
                weight.assign(weight * alive)

        return keras.callbacks.LambdaCallback(on_batch_end=put_back)

    def broken(self, before: keras.Model, after: keras.Model) -> str:
        lost = {name: dead - dead_inputs(after)[name] for name, dead in dead_inputs(before).items()}
        return f"dead inputs are alive: {lost}" if any(lost.values()) else ""


def dead_inputs(model: keras.Model) -> dict[str, set[int]]:
    """Inputs of each kernel, rows of the table among them, that have no weight but zero."""
    from ranklite.models.compression.sparsity import prunable_weights

    weights = prunable_weights(model).items()
    return {name: set(np.flatnonzero(~w.numpy().any(axis=1)).tolist()) for name, w in weights}


class PruneInputs(FineTuned[InputPruning]):
    """Judges an input by the norm of its weights, kernel by kernel."""

    settings = InputPruning
    stage = "inputs_pruned"
    place = 350  # after whole units, before single weights
    component = "Pruner.inputs"
    leaves = {"dead_inputs": "toy_technique:DeadInputs"}
    dimensions = (Dimension("inputs", (1.0, 0.75), "inputs{:g}", (1.0, 0.75)),)
    example = {"drop": 0.25, "epochs": 1}

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        return {"drop": 1.0 - point["inputs"]} if point["inputs"] < 1.0 else None

    def check(self, checkpoint: Checkpoint) -> None:
        pass  # it fits every model

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        from ranklite.models.compression.fine_tuning import copy

        model = copy(checkpoint)
        for name, (inputs, _) in checkpoint.parts.kernels.items():
            kernel, *rest = model.get_layer(name).get_weights()
            order = np.argsort(np.linalg.norm(kernel, axis=1), kind="stable")
            kernel[order[: round(self.config.drop * inputs)]] = 0.0
            model.get_layer(name).set_weights([kernel, *rest])
        return dataclasses.replace(checkpoint, model=model)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        from ranklite.models.compression.fine_tuning import copy

        return copy(checkpoint)

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        return [DeadInputs().callback(model)]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        dead = dead_inputs(model)
        for name, (inputs, _) in before.parts.kernels.items():
            if len(dead[name]) < round(self.config.drop * inputs):
                raise PostConditionFailed(f"{name} has {len(dead[name])} dead inputs")
        return {"dead_inputs": sum(map(len, dead.values()))}
