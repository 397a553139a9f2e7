"""Float models of other seeds, compressed alike: how much of a figure is the seed's doing."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import (
    NotCompressible,
    PostConditionFailed,
    Setting,
    Technique,
)
from ranklite.models.evaluation import metrics
from ranklite.models.evaluation.score_calibration import Method
from ranklite.models.export.target import LoadedModel, NotExportable, UnreadableModel
from ranklite.models.folders import atomic_folder
from ranklite.models.training import float_model
from ranklite.models.training.calibrated import calibrated, calibrated_scores
from ranklite.models.training.fit import TrainingFailed

APART = 1000  # between seeds: teachers have those that follow the run's own, up to MAX_TEACHERS
SEED_FILE = "seed.json"

Array = npt.NDArray[Any]


def further_seeds(first: int, repeat: int) -> list[int]:
    """The seeds of a run but its own.

    Args:
      first: The run's own seed.
      repeat: How many there are with it.

    Example:
        >>> further_seeds(42, 3)
        [1042, 2042]
    """
    return [(first + APART * k) % 2**31 for k in range(1, repeat)]


@dataclasses.dataclass(frozen=True)
class Judged:
    """The rows that models are measured on.

    Attributes:
      files: Files of their transformed Examples.
      inputs: The same rows by input of `serving_default`.
      labels: [R] of 0 and 1.
      users: [R], whose row it is, or None.
    """

    files: Sequence[str]
    inputs: Mapping[str, Array]
    labels: Array
    users: Array | None

    def figures(self, scores: Array) -> dict[str, float]:
        """Of probabilities [R]."""
        return metrics.ranking_metrics(self.labels, scores, self.users)


class SeedRepeats:
    """Trains, compresses and measures models of other seeds, and keeps what came of each.

    Figures of a seed are written in full and then renamed, so that a stage that was killed goes on
    with the seeds that are left.

    Args:
      base: A float model with its settings; its weights are not used.
      steps: The techniques of the recipe, with their settings.
      setting: What the steps share; `training` is that of the float model.
      export: Makes the file that ships of a model.
      calibration: How the scores of files are calibrated.
      judged: What is measured on.
      folder: Keeps the figures.
    """

    def __init__(
        self,
        base: Checkpoint,
        steps: Sequence[Technique[Any]],
        setting: Setting,
        export: Callable[[Checkpoint], LoadedModel],
        calibration: Method,
        judged: Judged,
        folder: str,
    ) -> None:
        self._base, self._steps, self._setting = base, steps, setting
        self._export, self._calibration = export, calibration
        self._judged, self._folder = judged, folder

    def run(self, seed: int) -> dict[str, Any]:
        """What came of a seed.

        Returns:
          `seed`; `figures` of `float`, `control` (where the last step has one) and `shipped`, as
          the pipeline measures them; and the `error` of one that does not come to its end, which
          has no figures.
        """
        path = os.path.join(self._folder, f"seed-{seed}")
        if not os.path.isdir(path):
            figures: dict[str, dict[str, float]] = {}
            error = ""
            try:
                figures = self._figures(seed)
            except (
                TrainingFailed,
                NotCompressible,
                PostConditionFailed,
                NotExportable,
                UnreadableModel,
            ) as reason:
                error = str(reason)
            with (
                atomic_folder(path) as folder,
                open(os.path.join(folder, SEED_FILE), "w", encoding="utf-8") as file,
            ):
                json.dump({"seed": seed, "figures": figures, "error": error}, file)
        with open(os.path.join(path, SEED_FILE), encoding="utf-8") as file:
            result: dict[str, Any] = json.load(file)
        return result

    def _figures(self, seed: int) -> dict[str, dict[str, float]]:
        training = self._setting.training.model_copy(update={"seed": seed})
        setting = dataclasses.replace(self._setting, training=training)
        number, of = 0, len(self._steps) + 1
        with progress.part("float", number, of):
            model = float_model.trained(
                self._base.layout, self._base.config, training, setting.splits
            )
        parent, control = self._calibrated(model), None
        for number, step in enumerate(self._steps, 1):
            asked = dataclasses.replace(setting, control=number == len(self._steps))
            with progress.part(step.config.technique, number, of):
                made = apply(step, model, asked)
            model, control = made.model, made.control
        shipped = self._calibrated(model)
        progress.report("measuring the files")
        result = {"float": self._measured(parent)}
        if control is not None:
            method = shipped.calibration.method  # which `auto` may choose anew for another model
            alike = calibrated(control, setting.splits.eval, method)
            scores = calibrated_scores(alike, self._judged.files)
            result["control"] = self._judged.figures(scores)
        return {**result, "shipped": self._measured(shipped)}

    def _calibrated(self, model: Checkpoint) -> Checkpoint:
        return calibrated(model, self._setting.splits.eval, self._calibration)

    def _measured(self, model: Checkpoint) -> dict[str, float]:
        """Figures of the file that a model becomes."""
        return self._judged.figures(self._export(model).score(self._judged.inputs))
