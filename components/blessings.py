"""The verdicts that a model needs before it is pushed."""

from __future__ import annotations

from typing import Any

BLESSINGS = {
    "model_blessing": "Evaluator",
    "baseline_blessing": "Evaluator.against_blessed",
    "infra_blessing": "LiteValidator",
}


def refused_by(input_dict: dict[str, list[Any]]) -> list[str]:
    """Nodes whose blessing is not one, by the inputs of an executor."""
    return [
        node
        for key, node in BLESSINGS.items()
        if input_dict[key][0].get_int_custom_property("blessed") != 1
    ]
