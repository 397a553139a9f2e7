"""Chosen settings as TFX hands them to Trainer: JSON in the form of KerasTuner's `get_config`."""

from __future__ import annotations

import json
import os
from typing import Any

from ranklite.models.search_space import Point

FILE = "best_hyperparameters.txt"  # as TFX's Tuner calls it


def write(point: Point, folder: str) -> None:
    """Writes an artifact of type HyperParameters.

    Args:
      point: The settings by key, such as `model.dropout`.
      folder: Of the artifact.
    """
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, FILE), "w", encoding="utf-8") as file:
        json.dump({"space": [], "values": point}, file)


def values(hyperparameters: dict[str, Any] | None) -> Point:
    """The settings by key; none where no search ran.

    Args:
      hyperparameters: What Trainer read: `fn_args.hyperparameters`.

    Example:
        >>> values({"space": [], "values": {"model.dropout": 0.1}})
        {'model.dropout': 0.1}
        >>> values(None)
        {}
    """
    result: Point = (hyperparameters or {}).get("values", {})
    return result
