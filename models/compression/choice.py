"""Chooses between models that were measured on the same rows, with their noise in mind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation.metrics import losses

Array = npt.NDArray[Any]


def first_as_good(labels: Array, scores: Sequence[Array]) -> int:
    r"""The first model that is as good as the best one, by the one-standard-error rule.

    With the losses l_i of model i, row by row, and b the model of least mean loss, i is as good if

        mean(l_i - l_b)  <=  sd(l_i - l_b) / sqrt(R)

    A difference that a few other rows would have turned decides nothing; then the order does
    (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3).

    Args:
      labels: [R] of 0 and 1.
      scores: Probabilities [R] of each model, the one to be preferred first.

    Example:
        >>> labels = np.array([1, 0] * 50)
        >>> fair, sure = np.full(100, 0.5), np.where(labels == 1, 0.9, 0.1)
        >>> first_as_good(labels, [fair, sure]), first_as_good(labels, [sure, sure])
        (1, 0)
    """
    by_model = [losses(labels, values) for values in scores]
    best = min(by_model, key=lambda values: float(values.mean()))
    for number, values in enumerate(by_model):
        difference = values - best
        if difference.mean() <= difference.std() / np.sqrt(len(difference)):
            return number
    return 0  # NaN among the scores: gates refuse such a file
