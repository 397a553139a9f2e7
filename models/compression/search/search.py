"""Tries recipes and finds the most accurate file within a budget."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.config import Budget, Recipe, Search
from ranklite.models.compression.recipe import check_recipe, weight_bytes
from ranklite.models.compression.search.hparams import log_columns, log_trial, run_settings
from ranklite.models.compression.search.space import name_of, recipe_at, space, starts
from ranklite.models.compression.search.trials import Array, Bench, Trial
from ranklite.models.compression.technique import NotCompressible, Setting
from ranklite.models.evaluation.accuracy import file_verdicts
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export.target import LoadedModel
from ranklite.models.reporting.gate_words import brief

_log = logging.getLogger(__package__)


class NothingFits(ValueError):
    """No recipe can be applied to the model at all."""


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
      trials: All trials, in the order in which they were tried.
      front: Names of those that no other one beats in AUC, bytes and latency at once.
      chosen: The most accurate one within the budget, or the nearest miss.
      miss: What the nearest miss misses; empty where a trial stayed within the budget.
      model: The chosen one's model.
      before_last: The model that its last step started from.
    """

    trials: list[Trial]
    front: list[str]
    chosen: Trial
    miss: str
    model: Checkpoint
    before_last: Checkpoint


def search(
    config: Search,
    base: Checkpoint,
    setting: Setting,
    export: Callable[[Checkpoint], LoadedModel],
    inputs: Mapping[str, Array],
    labels: Array,
    folder: str,
    *,
    gates: GatesConfig,
    users: Array | None = None,
    log_dir: str | None = None,
) -> SearchResult:
    """Tries recipes and chooses the most accurate file within the budget, or the nearest miss.

    Given recipes are all tried, those first that are likely to fit and keep the most. Without any,
    Optuna's TPE sampler chooses points of `space()` whose values fit the model, after `starts()`:
    for more AUC, less of what the budget limits (bytes and time, where it limits nothing), within
    its limits if it can. Files that pass the gates on the validation split are preferred to others.

    Args:
      config: Budget and recipes.
      base: The float model; it is not changed.
      setting: What the recipes share.
      export: From a model to the file that would ship, loaded.
      inputs: Rows of the validation split, by input of `serving_default`.
      labels: [R] of 0 and 1.
      folder: Keeps what finished trials made; the same search goes on from there.
      gates: What the file has to be.
      users: [R], whose row it is, for GAUC and NDCG; None where the log does not say.
      log_dir: Folder for TensorBoard; None logs nothing.

    Raises:
      NothingFits: No recipe fits the model.
    """
    bench = Bench(base, setting, export, inputs, labels, users, folder, config.budget, log_dir)
    os.makedirs(folder, exist_ok=True)
    progress.report("converting the float model")
    parent = bench.measure(base)
    goals = list(config.budget.limits) or ["bytes", "latency_512_us"]
    shared = {"model": base.config, "training": setting.training}
    common = run_settings({key: part.model_dump(mode="json") for key, part in shared.items()})
    trials: dict[str, Trial] = {}
    recipes: dict[str, Recipe] = {}

    def try_out(name: str, steps: Recipe) -> Trial:
        label = f"trial {len(trials) + 1}/{count}, {name}"
        with progress.part(label, len(trials), count, whole=True):
            done = bench.run(name, steps)
        _log.info("%s: %s", label, done.error or _brief(done.figures))
        if done.error:
            return done
        if log_dir:
            log_trial(log_dir, done, common)
        failed = [v for v in file_verdicts(gates, done.figures, parent) if not v.passed]
        fails = tuple(brief(verdict.to_dict()) for verdict in failed)
        return dataclasses.replace(done, fails=fails)

    def attempt(trial: optuna.Trial) -> tuple[float, ...]:
        name, steps = _choose(config, trial, varied)
        trial.set_user_attr("known", name in trials)
        if name not in trials:
            trials[name], recipes[name] = try_out(name, steps), steps
        done = trials[name]
        if done.error:
            trial.set_user_attr("over", [1.0] * len(config.budget.limits))
            raise optuna.TrialPruned(done.error)
        trial.set_user_attr("over", [factor - 1 for factor in done.load(config.budget).values()])
        return done.figures["auc"], *(done.figures[goal] for goal in goals)

    def go_on(study: optuna.Study, last: optuna.trial.FrozenTrial) -> None:
        if len(trials) >= count:
            study.stop()
        elif last.user_attrs["known"]:
            untried = [point for point in points if name_of(point) not in trials]
            study.enqueue_trial(untried[random.integers(len(untried))])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    overhead = round(parent["bytes"]) - weight_bytes(base.layout, base.config, ())
    varied = space(lambda recipe: _fits(recipe, base, setting))
    begin = starting_points(config, base, overhead, varied)
    points = [
        dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())
    ]
    random = np.random.default_rng(setting.training.seed)
    count = len(begin) if config.recipes else min(config.trials, len(points))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=setting.training.seed,
            n_startup_trials=len(begin),  # they take the place of random ones
            constraints_func=lambda trial: trial.user_attrs["over"],
        )
    study = optuna.create_study(
        directions=[StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * len(goals)],
        sampler=sampler,
    )
    for start in begin:
        study.enqueue_trial(start)
    # A point that is proposed again costs nothing, and one that was not tried follows it.
    study.optimize(attempt, n_trials=2 * count, callbacks=[go_on])

    if log_dir:
        log_columns(log_dir, trials.values(), common)
    chosen, miss = _best(list(trials.values()), config.budget)
    steps = recipes[chosen.name]
    return SearchResult(
        list(trials.values()),
        _front(list(trials.values())),
        chosen,
        miss,
        bench.model(steps),
        bench.model(steps[:-1]),
    )


def _fits(recipe: Recipe, base: Checkpoint, setting: Setting) -> bool:
    """Whether the sizes of a model allow a recipe."""
    assert setting.features is not None  # a component's setting has them
    try:
        check_recipe(recipe, base.config, setting.features)
    except NotCompressible:
        return False
    return True


def _choose(
    config: Search, trial: optuna.Trial, varied: Mapping[str, list[Any]]
) -> tuple[str, Recipe]:
    """The recipe that Optuna wants to try next, with its name."""
    if config.recipes:
        name = trial.suggest_categorical("recipe", list(config.recipes))
        return name, config.recipes[name]
    point = {key: trial.suggest_categorical(key, values) for key, values in varied.items()}
    return name_of(point), recipe_at(point)


def starting_points(
    config: Search, base: Checkpoint, overhead: int, varied: Mapping[str, list[Any]]
) -> list[dict[str, Any]]:
    """Points to begin with: likely to fit first, the larger before the smaller of those.

    Args:
      config: Recipes and budget.
      base: The float model.
      overhead: Bytes of its file that are no weights: the raw signature's tables, the graph.
      varied: The values that fit the model, from `space`.
    """
    points: list[dict[str, Any]] = (
        [{"recipe": name} for name in config.recipes] if config.recipes else starts(varied)
    )

    def promise(point: dict[str, Any]) -> tuple[bool, int]:
        steps = config.recipes[point["recipe"]] if config.recipes else recipe_at(point)
        size = overhead + weight_bytes(base.layout, base.config, steps)
        too_large = config.budget.bytes is not None and size > config.budget.bytes
        return too_large, size if too_large else -size

    return sorted(points, key=promise)


def _front(trials: list[Trial]) -> list[str]:
    """Names of the trials that no other one beats in AUC, bytes and latency at once."""
    costs = {
        trial.name: (-figures["auc"], figures["bytes"], figures["latency_512_us"])
        for trial in trials
        if (figures := trial.figures)
    }

    def beats(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
        return one != two and all(a <= b for a, b in zip(one, two, strict=True))

    return [name for name, cost in costs.items() if not any(beats(c, cost) for c in costs.values())]


def _best(trials: list[Trial], budget: Budget) -> tuple[Trial, str]:
    """The best trial within the budget; else the one that breaks it least, and how."""
    measured = [trial for trial in trials if not trial.error]
    inside = [trial for trial in measured if not trial.excess(budget)]
    if inside:
        passing = [trial for trial in inside if not trial.fails] or inside
        best = max(passing, key=lambda trial: (trial.figures["auc"], -trial.figures["log_loss"]))
        return best, ""
    if not measured:
        raise NothingFits(
            "no recipe fits the model: " + "; ".join(f"{t.name}: {t.error}" for t in trials)
        )
    nearest = min(measured, key=lambda trial: max(trial.excess(budget).values()))
    misses = ", ".join(
        f"{name} {nearest.figures[name]:,.6g} ({factor:.2f} times the budget)"
        for name, factor in nearest.excess(budget).items()
    )
    return nearest, (
        f"none of {len(measured)} recipes stays within the budget; the nearest miss is "
        f"{nearest.name!r} with {misses} and AUC {nearest.figures['auc']:.4f}. Raise "
        "compression.budget, give harsher recipes, or choose a smaller model"
    )


def _brief(figures: Mapping[str, float]) -> str:
    return (
        f"AUC {figures['auc']:.5f}, log loss {figures['log_loss']:.4f}, "
        f"{figures['bytes']:,.0f} bytes, {figures['latency_1_us']:.2f} us a row, "
        f"{figures['latency_512_us']:.2f} in batches"
    )
