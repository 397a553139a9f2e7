"""Settings of a training that follow the data where the configuration leaves them open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranklite.models.features.layout import IDS, FeatureLayout
from ranklite.models.training import data
from ranklite.models.training.config import TrainingConfig

STEPS = 64  # of an epoch, where the log is neither tiny nor huge
LEAST_BATCH, MOST_BATCH = 64, 4096
LEARNING_RATE, BATCH = 1e-3, 512  # what it is for a batch of so many rows or fewer
LEAST_OOV, MOST_OOV = 0.01, 0.3
_ROWS = 8192  # read at a time


def settled(
    training: TrainingConfig,
    layout: FeatureLayout,
    rows: int,
    eval_files: Sequence[str],
) -> TrainingConfig:
    """The settings with everything decided.

    The batch size is the power of two that is nearest to a 64th of the rows, from 64 to 4096: an
    epoch has steps enough to move the weights, and each is large enough for the gradient of rare
    ids. The learning rate grows with batches of more than 512 rows, as `learning_rate` says. An id
    is dropped as often as the validation split has one that training never saw, field by field,
    from 1 to 30 %: the out-of-vocabulary rows are trained as much as they are needed.

    Args:
      training: As configured.
      layout: Of the features.
      rows: Of the train split.
      eval_files: Gzipped TFRecord files of the validation split.
    """
    chosen: dict[str, Any] = {}
    if training.batch_size is None:
        chosen["batch_size"] = batch_size(training, rows)
    if training.learning_rate is None:
        chosen["learning_rate"] = learning_rate(training, rows)
    if training.oov_rate is None:
        unseen = unseen_shares(layout, eval_files)
        chosen["oov_rate"] = {
            name: round(min(MOST_OOV, max(LEAST_OOV, share)), 3) for name, share in unseen.items()
        }
    return training.model_copy(update=chosen) if chosen else training


def batch_size(training: TrainingConfig, rows: int) -> int:
    """Rows a step, for a train split of so many rows.

    Example:
        >>> [batch_size(TrainingConfig(), rows) for rows in (500, 6_500, 32_000, 1_000_000)]
        [64, 128, 512, 4096]
        >>> batch_size(TrainingConfig(batch_size=100), 32_000)
        100
    """
    if training.batch_size is not None:
        return training.batch_size
    exact = math.log2(max(1, rows) / STEPS)
    return int(min(MOST_BATCH, max(LEAST_BATCH, 2 ** round(exact))))


def learning_rate(training: TrainingConfig, rows: int) -> float:
    """The learning rate, for a train split of so many rows.

    Twice the rows a step give half the steps an epoch, and as many epochs until ids that have few
    rows are learned by heart: so the rate grows with the batch (Goyal et al. 2017,
    https://arxiv.org/abs/1706.02677). A log small enough for batches of 512 rows has 0.001.

    Example:
        >>> [learning_rate(TrainingConfig(), rows) for rows in (6_500, 32_000, 1_000_000)]
        [0.001, 0.001, 0.008]
        >>> learning_rate(TrainingConfig(learning_rate=0.002), 1_000_000)
        0.002
    """
    if training.learning_rate is not None:
        return training.learning_rate
    return LEARNING_RATE * max(1.0, batch_size(training, rows) / BATCH)


def unseen_shares(layout: FeatureLayout, files: Sequence[str]) -> dict[str, float]:
    """Share of out-of-vocabulary values by field, among those that are there."""
    unseen = np.zeros(len(layout.fields))
    present = np.zeros(len(layout.fields))
    for features, _ in data.in_order(files, layout, _ROWS):
        ids = features[IDS].numpy()
        for k, field in enumerate(layout.fields):
            column = ids[:, field.start : field.start + field.length]
            unseen[k] += (column == field.oov_row).sum()
            # Padding is row 0, below every field.
            present[k] += ((column > 0) & (column != field.missing_row)).sum()
    shares = unseen / np.maximum(present, 1)
    return {field.name: float(s) for field, s in zip(layout.fields, shares, strict=True)}
