"""A trained or compressed model whose scores mean probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.evaluation.score_calibration import Method, learn
from ranklite.models.training import fit


def calibrated(checkpoint: Checkpoint, files: Sequence[str], method: Method) -> Checkpoint:
    """The model with the calibration that the file which it becomes is to end with.

    Args:
      checkpoint: The model; its weights stay as they are.
      files: Files of transformed Examples of the validation split.
      method: How the calibration is learned; see `score_calibration.learn`.
    """
    if method == "none":
        return checkpoint
    scores, labels = fit.predict(checkpoint.model, checkpoint.layout, files)
    return dataclasses.replace(checkpoint, calibration=learn(labels, scores, method))


def calibrated_scores(checkpoint: Checkpoint, files: Sequence[str]) -> npt.NDArray[np.float32]:
    """Probabilities [R] of the rows of some files, calibrated as those of its file are."""
    scores, _ = fit.predict(checkpoint.model, checkpoint.layout, files)
    return checkpoint.calibration.scores(scores)
