"""What a person reads of the baselines: the cells of a table, and what to do where one wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranklite.models.evaluation.baselines import CONSTANT
from ranklite.models.reporting.metric_names import METRICS
from ranklite.models.reporting.tables import interval

Measured = Mapping[str, Mapping[str, Any]]  # figures by baseline
_SHOWN = ("auc", "log_loss", "calibration")
HEAD = (
    "baseline",
    *(METRICS[name].title for name in _SHOWN),
    "AUC of the file against it",
    "log loss",
)
ADVICE = (
    "try tune: {minutes: 10}, model: {hidden_units: []} (fewer weights), a larger training.ridge, "
    "or features that say more, such as the past"
)


def rows(measured: Measured) -> list[list[str]]:
    """Figures of each baseline, and how far the shipped file is from it, below `HEAD`."""
    return [
        [
            name,
            *(METRICS[key].text(figures.get(key)) for key in _SHOWN),
            *(_change(figures["change"][key]) for key in ("auc", "log_loss")),
        ]
        for name, figures in measured.items()
    ]


def _change(values: Sequence[float]) -> str:
    return f"{values[0]:+.4f}{interval(values[1:], '{:+.4f}')}"


def warnings(measured: Measured) -> list[str]:
    """A sentence where a baseline is better than the shipped file, and one where it may be.

    Example:
        >>> change = {"auc": [-0.02, -0.03, -0.01], "log_loss": [0.01, 0.0, 0.02]}
        >>> [sentence] = warnings({"logistic regression": {"auc": 0.74, "change": change}})
        >>> sentence.split(":")[0]
        'a logistic regression is better than the shipped file (AUC 0.7400 against 0.7200)'
    """
    told = []
    for name, figures in measured.items():
        change, _, high = figures["change"]["auc"]
        if change >= 0 or name == CONSTANT:
            continue
        one = name.endswith("regression")
        sure = "may be" if high >= 0 else "is" if one else "are"
        article = "a " if one else ""
        auc = METRICS["auc"]
        told.append(
            f"{article}{name} {sure} better than the shipped file ({auc.title} "
            f"{auc.text(figures['auc'])} against {auc.text(figures['auc'] + change)}): {ADVICE}"
        )
    return told
