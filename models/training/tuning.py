"""Searches settings of the float model and its training (Optuna does the proposing).

Trials are judged on the validation split alone. The first one has the settings as configured, and
they stay unless another trial is better by more than noise.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from ranklite.models import progress
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.evaluation import bootstrap
from ranklite.models.search_space import Point, Range, Space, Values
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.tuning_config import Tune, configured
from ranklite.models.training.tuning_trials import FAILED, FINISHED, PRUNED, Trial, Trials

_log = logging.getLogger(__name__)

RANDOM = 4  # trials before TPE proposes and the median prunes, the configured one among them
EPOCHS = 3  # that no trial is pruned before
REPEATS = 100  # proposals in a row that were tried already: few values are open, and all tried

Array = npt.NDArray[Any]


class NothingTrained(ValueError):
    """No trial came to its end; the message has their errors."""


class _OutOfTime(Exception):
    """The minutes are over in the middle of a trial."""


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
      trials: All trials, the configured settings first.
      best: Number of the one with the best AUC.
      chosen: Number of the one whose settings are taken.
      gain: AUC of the best less that of the configured settings; None where these failed.
      noise: Its standard error.
    """

    trials: list[Trial]
    best: int
    chosen: int
    gain: float | None
    noise: float | None


def search(
    tune: Tune,
    space: Space,
    model: FamilySettings,
    training: TrainingConfig,
    trials: Trials,
    labels: Array,
    users: Array | None = None,
) -> Tuned:
    """Tries settings until the trials or the minutes are over, and chooses.

    The proposals follow from the seed and the results alone. A search that was killed, or that gets
    more trials or minutes, so proposes the same again; what `trials` has kept is not trained again,
    and its time counts as it was.

    Args:
      tune: How many trials, how long.
      space: What is varied.
      model: Family and sizes as configured.
      training: The training as configured.
      trials: Trains.
      labels: [R] of the validation split.
      users: [R], whose row it is; None where the log does not say.

    Raises:
      NothingTrained: No trial came to its end.
    """
    os.makedirs(trials.folder, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=training.seed, n_startup_trials=RANDOM),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=RANDOM, n_warmup_steps=EPOCHS),
    )
    start = configured(model, training, space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of what is enqueued only the order counts
        study.enqueue_trial({key: _proposal(values, start[key]) for key, values in space.items()})
    done: dict[str, Trial] = {}
    repeated = 0
    while not _over(tune, done) and repeated < REPEATS:
        asked = study.ask()
        proposed = {key: _suggested(asked, key, values) for key, values in space.items()}
        point = proposed if done else start
        name = json.dumps(point)
        repeated = repeated + 1 if name in done else 0
        try:
            trial = done.get(name) or _try(trials, point, asked, tune, done)
        except _OutOfTime:
            break
        done[name] = trial
        _tell(study, asked, trial)
        if len(done) == RANDOM and all(t.state == FAILED for t in done.values()):
            break
    return choose(list(done.values()), trials, labels, users)


def _proposal(values: Values, value: Any) -> Any:
    """A value as the sampler knows it."""
    return values.nearest(value) if isinstance(values, Range) else json.dumps(value)


def _suggested(asked: optuna.Trial, key: str, values: Values) -> Any:
    if isinstance(values, Range):
        number = asked.suggest_float(key, values.low, values.high, log=values.log)
        return float(f"{number:.3g}")  # as it is shown, so that what is pasted is what was tried
    return json.loads(asked.suggest_categorical(key, [json.dumps(v) for v in values.values]))


def _spent(done: dict[str, Trial]) -> float:
    return sum(trial.seconds for trial in done.values())


def _over(tune: Tune, done: dict[str, Trial]) -> bool:
    late = tune.minutes is not None and _spent(done) >= 60 * tune.minutes
    return bool(done) and (late or len(done) >= (tune.trials or math.inf))


def _try(
    trials: Trials, point: Point, asked: optuna.Trial, tune: Tune, done: dict[str, Trial]
) -> Trial:
    """The trial of some settings, kept or trained now."""
    if kept := trials.known(point):
        return kept
    seconds = math.inf
    if tune.minutes is not None and done:  # without the first one there is nothing to choose
        seconds = 60 * tune.minutes - _spent(done)
    began = time.monotonic()

    def watch(epoch: int, auc: float) -> None:
        if time.monotonic() - began > seconds:
            raise _OutOfTime
        asked.report(auc, epoch)
        if asked.should_prune():
            raise optuna.TrialPruned

    number, count = len(done), tune.trials or 0
    label = f"trial {number + 1}" + (f"/{count}" if count else "")
    share = (number, count) if count else (0, 1)
    if tune.minutes is not None and _spent(done) / (60 * tune.minutes) > share[0] / share[1]:
        share = (round(_spent(done)), round(60 * tune.minutes))
    with progress.part(label, *share, whole=True):
        trial = trials.run(point, watch)
    outcome = f"AUC {trial.figures['auc']:.5f}" if trial.figures else trial.state
    _log.info("%s, %s: %s %s", label, json.dumps(point), outcome, trial.error)
    return trial


def _tell(study: optuna.Study, asked: optuna.Trial, trial: Trial) -> None:
    """Tells the sampler and the pruner what came of a trial, now or in an earlier process."""
    if trial.state == FAILED:
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # epochs that `watch` has reported
        for epoch, auc in enumerate(trial.curve):
            asked.report(auc, epoch)
    if trial.state == PRUNED:
        study.tell(asked, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(asked, trial.figures["auc"])


def choose(tried: list[Trial], trials: Trials, labels: Array, users: Array | None) -> Tuned:
    """The best trial, where it is better than the configured settings by more than noise.

    Noise is one standard error of the difference, from a paired bootstrap of the users (the
    one-standard-error rule of Breiman et al. 1984, "Classification and Regression Trees"): the
    best of many trials owes some of its AUC to luck, and settings that change from night to night
    for nothing are worth less than those that stay.

    Args:
      tried: The configured settings first.
      trials: Has their scores.
      labels: [R] of the validation split.
      users: [R], whose row it is; None draws rows.

    Raises:
      NothingTrained: None is finished.
    """
    finished = [number for number, trial in enumerate(tried) if trial.state == FINISHED]
    if not finished:
        raise NothingTrained(
            "no trial of the search for settings came to its end: "
            + "; ".join(dict.fromkeys(trial.error or trial.state for trial in tried))
        )
    best = max(finished, key=lambda number: tried[number].figures["auc"])
    if 0 not in finished:
        return Tuned(tried, best, best, None, None)
    if best == 0:
        return Tuned(tried, 0, 0, 0.0, 0.0)
    progress.report("comparing the best trial with the configured settings")
    drawn = bootstrap.draws(
        labels,
        {name: trials.scores(tried[n].settings) for name, n in (("configured", 0), ("best", best))},
        users,
        replicates=bootstrap.replicates(len(labels)),
    )
    gain = tried[best].figures["auc"] - tried[0].figures["auc"]
    noise = float(np.nanstd(drawn["best"]["auc"] - drawn["configured"]["auc"], ddof=1))
    return Tuned(tried, best, best if gain > noise else 0, gain, noise)
