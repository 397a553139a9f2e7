"""Recipes: compression steps in order, their sizes, and how one step is applied to a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranklite.models.compression.sizes import NotCompressible, WeightSize
from ranklite.models.compression.technique import Compressed, Setting, Step, Technique
from ranklite.models.compression.techniques import technique

if TYPE_CHECKING:
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.features.layout import FeatureLayout


def check_recipe(steps: Sequence[Step], model: FamilySettings, features: FeatureSet) -> None:
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
            model = technique(step).after(model, features)
        except NotCompressible as error:
            raise NotCompressible(f"step {number}, {step.technique}: {error}") from None


def weight_bytes(layout: FeatureLayout, config: FamilySettings, steps: Sequence[Step]) -> int:
    """About how many bytes the weights take after a recipe: what decides which is tried first."""
    size = WeightSize.of(layout, config)
    for step in steps:
        size = technique(step).weights_after(size)
    return size.bytes


def apply(
    technique: Technique[Any],
    checkpoint: Checkpoint | None,
    setting: Setting,
    log_dir: str | None = None,
) -> Compressed:
    """Applies a technique to a model, whose checkpoint then names it among its `techniques`.

    Args:
      technique: With its settings.
      checkpoint: The model of the stage before, which is not changed; a technique that needs none
        may be given one.
      setting: What the steps of a recipe share.
      log_dir: Folder for TensorBoard; None logs nothing.

    Raises:
      NotCompressible: The technique does not fit the model; nothing was trained.
      PostConditionFailed: The result is not what was asked for.
    """
    base = checkpoint if technique.needs_base else None
    made = technique.apply(base, setting, log_dir)
    applied = (*(base.techniques if base else ()), technique.config.technique)
    return dataclasses.replace(made, model=dataclasses.replace(made.model, techniques=applied))
