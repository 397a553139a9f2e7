"""The runs and the trials of a search in TensorBoard's HParams tab."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

if TYPE_CHECKING:
    from ranklite.models.compression.search.trials import Trial

FIGURES_TAG = "trial"  # of what the HParams tab shows
NAMED_BY_RUN = ""  # a trial without a name of its own goes by that of its run in TensorBoard

HParams = dict[str, int | float | str | bool]


def run_settings(sections: Mapping[str, Mapping[str, Any]]) -> HParams:
    """What a run is configured to do, such as `model.dropout`, as TensorBoard's hyperparameters.

    A run and the trials of its search have all of them: TensorBoard shows five at first, in the
    order of their names, and draws parallel coordinates only of those that have what is shown.
    """
    flat: HParams = {}
    for section, values in sections.items():
        for key, value in values.items():
            if isinstance(value, (bool, int, float, str)):
                flat[f"{section}.{key}"] = value
            elif isinstance(value, list):
                flat[f"{section}.{key}"] = "-".join(map(str, value))
    return flat


def flattened(data: Mapping[str, Any], prefix: str) -> HParams:
    """Nested settings as `prune.tower.sparsity`."""
    flat: dict[str, int | float | str | bool] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}.{key}")
        else:
            plain = value if isinstance(value, (int, float, str, bool)) else json.dumps(value)
            flat[f"{prefix}.{key}"] = plain
    return flat


def trial_settings(trial: Trial, common: HParams) -> HParams:
    """What a trial chose, as TensorBoard's hyperparameters, beside what all share."""
    recipe = " -> ".join(step["technique"] for step in trial.steps) or "float"
    values: HParams = {**common, "recipe": recipe}
    for step in trial.steps:
        chosen = {key: value for key, value in step.items() if key != "technique"}
        values |= flattened(chosen, f"step.{step['technique']}")
    return values


def log_trial(log_dir: str, trial: Trial, common: HParams) -> None:
    """A run in TensorBoard's HParams tab: what was chosen against what came of it."""
    log_run(os.path.join(log_dir, trial.name), trial_settings(trial, common), trial.figures)


def log_run(folder: str, settings: HParams, figures: Mapping[str, float]) -> None:
    """The same of any settings and figures.

    Args:
      folder: Of the run, by whose name it goes.
      settings: What was chosen, and what all runs share.
      figures: What came of it.
    """
    with tf.summary.create_file_writer(folder).as_default(step=0):
        hparams.hparams(settings, trial_id=NAMED_BY_RUN)
        for name, value in figures.items():
            tf.summary.scalar(f"{FIGURES_TAG}/{name}", value)


def log_columns(log_dir: str, trials: Iterable[Trial], common: HParams) -> None:
    """Tells the HParams tab which settings and figures are its columns."""
    measured = [trial for trial in trials if trial.figures]
    show_columns(
        log_dir,
        dict.fromkeys(key for trial in measured for key in trial_settings(trial, common)),
        dict.fromkeys(name for trial in measured for name in trial.figures),
    )


def show_columns(log_dir: str, settings: Iterable[str], figures: Iterable[str]) -> None:
    """The same of any settings and figures, by their names.

    Args:
      log_dir: Folder of the runs' folders.
      settings: Keys of `log_run`'s settings.
      figures: Keys of its figures.
    """
    with tf.summary.create_file_writer(log_dir).as_default(step=0):
        hparams.hparams_config(
            hparams=[hparams.HParam(key) for key in settings],
            metrics=[
                hparams.Metric(f"{FIGURES_TAG}/{name}", display_name=name) for name in figures
            ],
        )
