"""What the float training tells a person: settings that the data chose, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

FEW_STEPS = 200
_CHOSEN = ("batch_size", "oov_rate")  # what may follow the data


def chosen(metrics: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The settings that followed the data, as they can be pasted into a configuration; "" if none.

    Args:
      metrics: Of the float training.
      config: Of the run.

    Example:
        >>> chosen({"batch_size": 512, "oov_rate": {"user": 0.1}}, {"training": {"oov_rate": 0.0}})
        'training: {batch_size: 512}'
    """
    given = config.get("training") or {}
    open_ones = {key: metrics[key] for key in _CHOSEN if key in metrics and given.get(key) is None}
    if not open_ones:
        return ""
    text = yaml.safe_dump(open_ones, default_flow_style=True, sort_keys=False, width=10**6)
    return f"training: {text.strip()}"


def warnings(metrics: Mapping[str, Any]) -> list[str]:
    """What is wrong with the length of the training.

    Example:
        >>> warnings({"steps": 12, "epochs": 6, "still_improving": 0.0})
        ['training took 12 steps in 6 epochs: few to learn from; lower training.batch_size']
    """
    result = []
    if metrics.get("steps", FEW_STEPS) < FEW_STEPS:
        result.append(
            f"training took {metrics['steps']:.0f} steps in {metrics['epochs']:.0f} epochs: few to "
            "learn from; lower training.batch_size"
        )
    if metrics.get("still_improving"):
        result.append(
            f"validation AUC still rose when training stopped after {metrics['epochs']:.0f} "
            "epochs: raise training.epochs"
        )
    return result
