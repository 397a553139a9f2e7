"""Trials of a search: recipes applied, kept in a folder, and measured as files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.config import Budget, Recipe
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import NotCompressible, PostConditionFailed, Setting
from ranklite.models.compression.techniques import technique
from ranklite.models.evaluation import metrics
from ranklite.models.export.target import LoadedModel, NotExportable, UnreadableModel
from ranklite.models.folders import atomic_folder

FORMS = ("calibrated_auc", "calibrated_log_loss", "trained_auc", "trained_log_loss")
TRIAL_FILE = "trial.json"

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One recipe and what came of it.

    Attributes:
      name: Of the recipe.
      steps: Its steps, as data.
      figures: `auc`, `log_loss`, `calibration` on the validation split, where the log names a user
        `gauc` and `ndcg_at_10`, `bytes`, `gzip_bytes`, `latency_1_us`, `latency_512_us` of the
        file; of what was quantized, `calibrated_auc`, `trained_auc` and so on of the Keras models,
        of which the better one was exported.
      error: Why there are none, where the recipe does not fit the model.
      fails: Gates that the file would not pass on the validation split, with their figures.
    """

    name: str
    steps: tuple[dict[str, Any], ...]
    figures: dict[str, float]
    error: str = ""
    fails: tuple[str, ...] = ()

    def load(self, budget: Budget) -> dict[str, float]:
        """Each limited figure as a multiple of its limit."""
        return {name: self.figures[name] / limit for name, limit in budget.limits.items()}

    def excess(self, budget: Budget) -> dict[str, float]:
        """By which factor each limit that the file breaks is broken."""
        return {name: factor for name, factor in self.load(budget).items() if factor > 1}


class Bench:
    """Applies recipes, keeps what they made in a folder, and measures the files.

    Each result is written in full and then renamed, so that a search that was killed goes on from
    the steps that it had finished.
    """

    def __init__(
        self,
        base: Checkpoint,
        setting: Setting,
        export: Callable[[Checkpoint], LoadedModel],
        inputs: Mapping[str, Array],
        labels: Array,
        users: Array | None,
        folder: str,
        budget: Budget,
        log_dir: str | None,
    ) -> None:
        self._base, self._export = base, export
        self._setting = dataclasses.replace(setting, control=False)  # only the chosen one gets it
        self._inputs, self._labels, self._users = dict(inputs), labels, users
        self._folder, self._budget, self._log_dir = folder, budget, log_dir

    def _path(self, kind: str, steps: Recipe, **measured: float) -> str:
        text = json.dumps([step.model_dump(mode="json") for step in steps], sort_keys=True)
        text += json.dumps(measured, sort_keys=True)
        return os.path.join(
            self._folder, f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        )

    def model(self, steps: Recipe, log_dir: str | None = None) -> Checkpoint:
        """The model that some steps make of the float one."""
        if not steps:
            return self._base
        path = self._path("model", steps)
        if not os.path.isdir(path):
            before = self.model(steps[:-1], log_dir)
            name = steps[-1].technique
            logs = log_dir and os.path.join(log_dir, name)
            with atomic_folder(path) as folder, progress.part(name):
                progress.report()
                apply(technique(steps[-1]), before, self._setting, logs).model.save(folder)
        return Checkpoint.load(path)

    def run(self, name: str, steps: Recipe) -> Trial:
        """Applies a recipe and measures its file."""
        # How patiently latency is measured depends on what it may be.
        limits = self._budget.limits
        path = self._path(
            "trial", steps, **{key: limits[key] for key in limits if "latency" in key}
        )
        data = tuple(step.model_dump(mode="json", exclude_defaults=True) for step in steps)
        if not os.path.isdir(path):
            logs = self._log_dir and os.path.join(self._log_dir, name)
            try:
                figures, error = self.measure(self.model(steps, logs)), ""
            except (
                NotCompressible,
                PostConditionFailed,
                NotExportable,
                UnreadableModel,
            ) as refusal:
                figures, error = {}, str(refusal)
            with (
                atomic_folder(path) as folder,
                open(os.path.join(folder, TRIAL_FILE), "w", encoding="utf-8") as file,
            ):
                json.dump({"figures": figures, "error": error}, file)
        with open(os.path.join(path, TRIAL_FILE), encoding="utf-8") as file:
            return Trial(name, data, **json.load(file))

    def measure(self, checkpoint: Checkpoint) -> dict[str, float]:
        """Figures of the file that a model becomes."""
        progress.report("measuring the file")
        file = self._export(checkpoint)
        scores = file.score(self._inputs)
        forms = {name: value for name, value in checkpoint.metrics.items() if name in FORMS}
        return {
            **metrics.ranking_metrics(self._labels, scores, self._users),
            "bytes": len(file.content),
            "gzip_bytes": file.gzip_bytes,
            "latency_1_us": file.latency(self._inputs, 1, self._budget.latency_1_us),
            "latency_512_us": file.latency(self._inputs, 512, self._budget.latency_512_us),
            **forms,
        }
