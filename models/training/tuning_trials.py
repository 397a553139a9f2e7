"""Trials of a search for settings: trained, measured, and kept in a folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.family import FamilySettings
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.folders import atomic_folder
from ranklite.models.search_space import Point
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from ranklite.models.training.tuning_config import merged

TRIAL_FILE = "trial.json"
SCORES_FILE = "scores.npy"

FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"

Scores = npt.NDArray[np.float32]
Watch = Callable[[int, float], None]  # is told an epoch, from 0, and its validation AUC


@dataclasses.dataclass(frozen=True)
class Trial:
    """Some settings and what came of them.

    Attributes:
      settings: What was searched, by key.
      state: `finished`, `pruned` by its first epochs, or `failed`.
      curve: AUC on the validation split after each epoch.
      figures: `auc`, `log_loss`, `calibration` on the validation split, `epochs` and so on of a
        finished training.
      seconds: It took.
      error: Why it failed.
    """

    settings: Point
    state: str
    curve: list[float]
    figures: dict[str, Any]
    seconds: float
    error: str = ""


class _Watched(keras.callbacks.Callback):
    """Tells of every epoch once it is measured."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch
        self.curve: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.curve.append(logs["val_auc"])
        self._watch(epoch, logs["val_auc"])


class Trials:
    """Trains float models, each with its settings, and keeps what came of them.

    Args:
      layout: Of the features.
      model: Family and sizes as configured.
      training: The training as configured.
      splits: Data to train and validate on.
      folder: Keeps trials that ended: the same settings are not trained twice.
    """

    def __init__(
        self,
        layout: FeatureLayout,
        model: FamilySettings,
        training: TrainingConfig,
        splits: Splits,
        folder: str,
    ) -> None:
        self._layout, self._model, self._training = layout, model, training
        self._splits, self.folder = splits, folder

    def _path(self, point: Point) -> str:
        model, training = merged(self._model, self._training, point)
        text = json.dumps([part.model_dump(mode="json") for part in (model, training)])
        return os.path.join(self.folder, f"trial-{hashlib.sha256(text.encode()).hexdigest()[:16]}")

    def known(self, point: Point) -> Trial | None:
        """The trial of some settings; None where none has ended."""
        path = os.path.join(self._path(point), TRIAL_FILE)
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            kept = Trial(**json.load(file))
        return dataclasses.replace(kept, settings=point)  # another search may vary other keys

    def run(self, point: Point, watch: Watch) -> Trial:
        """Trains with some settings.

        Args:
          point: The settings.
          watch: Raises `optuna.TrialPruned` to end the trial early; any other error passes, and
            the trial is not kept.
        """
        model, settings = merged(self._model, self._training, point)
        watched = _Watched(watch)
        started = time.monotonic()
        scores: Scores | None = None
        figures: dict[str, Any] = {}
        state, error = FINISHED, ""
        try:
            figures, scores = self._train(model, settings, watched)
        except optuna.TrialPruned:
            state = PRUNED
        except (training.TrainingFailed, tf.errors.ResourceExhaustedError) as reason:
            state, error = FAILED, str(reason)
        seconds = time.monotonic() - started
        trial = Trial(point, state, watched.curve, figures, seconds, error)
        with atomic_folder(self._path(point)) as folder:
            if scores is not None:
                np.save(os.path.join(folder, SCORES_FILE), scores)
            with open(os.path.join(folder, TRIAL_FILE), "w", encoding="utf-8") as file:
                json.dump(dataclasses.asdict(trial), file)
        return trial

    def _train(
        self, model: FamilySettings, settings: TrainingConfig, watched: _Watched
    ) -> tuple[dict[str, Any], Scores]:
        logits = training.build(self._layout, model, settings)
        figures = training.fit(
            logits,
            self._layout,
            self._splits.train,
            self._splits.eval,
            settings,
            watchers=[watched],
        )
        return figures, training.predict(logits, self._layout, self._splits.eval)[0]

    def scores(self, point: Point) -> Scores:
        """Probabilities [R] of the rows of the validation split, of a finished trial."""
        scores: Scores = np.load(os.path.join(self._path(point), SCORES_FILE))
        return scores
