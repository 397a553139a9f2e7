"""Tries recipes and finds the most accurate file within a budget (Optuna does the searching)."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import tensorflow as tf
from optuna.study import StudyDirection
from tensorboard.plugins.hparams import api as hparams

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import Budget, Recipe, Search, parse_step
from ranklite.models.compression.recipe import Setting, apply
from ranklite.models.compression.rules import NotCompressible
from ranklite.models.compression.technique import PostConditionFailed
from ranklite.models.evaluation import metrics
from ranklite.models.evaluation.gates import GatesConfig, file_verdicts
from ranklite.models.export.tflite import NotExportable
from ranklite.models.export.tflite_runtime import LiteModel, UnreadableModel
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.reporting.metric_names import verdict_cells

_log = logging.getLogger(__name__)

FIGURES_TAG = "trial"  # of what the HParams tab shows
NAMED_BY_RUN = ""  # a trial without a name of its own goes by that of its run in TensorBoard

FORMS = ("calibrated_auc", "calibrated_log_loss", "trained_auc", "trained_log_loss")

Array = npt.NDArray[Any]
HParams = dict[str, int | float | str | bool]
TRIAL_FILE = "trial.json"

# What the default search varies, and where it starts: from the gentlest recipe to the harshest.
ROUNDING: dict[str, dict[str, Any]] = {
    "int8": {},
    "int8_rows": {"table": "int8_per_row"},
    "int4_rows": {"table": "int4_per_row"},
    "int4": {"table": "int4_per_row", "bits": 4},
}
SPACE: dict[str, list[Any]] = {
    "units": [1.0, 0.5, 0.25],
    "rows": [1.0, 0.7, 0.4],
    "sparsity": [0.0, 0.5, 0.8],
    "clusters": [0, 16],
    "rounding": list(ROUNDING),
}
STARTS: list[dict[str, Any]] = [
    {"units": 1.0, "rows": 1.0, "sparsity": 0.0, "clusters": 0, "rounding": "int8"},
    {"units": 1.0, "rows": 1.0, "sparsity": 0.8, "clusters": 0, "rounding": "int8"},
    {"units": 0.5, "rows": 1.0, "sparsity": 0.0, "clusters": 0, "rounding": "int8"},
    {"units": 0.5, "rows": 1.0, "sparsity": 0.0, "clusters": 0, "rounding": "int4_rows"},
    {"units": 0.25, "rows": 0.7, "sparsity": 0.0, "clusters": 0, "rounding": "int4_rows"},
]


class NothingFits(ValueError):
    """No recipe can be applied to the model at all."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One recipe and what came of it.

    Attributes:
      name: Of the recipe.
      steps: Its steps, as data.
      figures: `auc`, `log_loss`, `calibration` on the validation split, `bytes`, `gzip_bytes`,
        `latency_1_us`, `latency_512_us` of the file; of what was quantized, `calibrated_auc`,
        `trained_auc` and so on of the Keras models, of which the better one was exported.
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


@dataclasses.dataclass(frozen=True)
class Found:
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


def default_recipe(
    units: float, rows: float, sparsity: float, clusters: int, rounding: str
) -> Recipe:
    """The recipe at a point of the default search space."""
    steps: list[dict[str, Any]] = []
    if rows < 1.0:
        steps.append({"technique": "prune_rows", "by": "norm", "keep": rows, "epochs": 2})
    if units < 1.0:
        steps.append({"technique": "prune_units", "keep": units, "epochs": 3})
    if sparsity > 0.0:
        steps.append({"technique": "prune", "tower": {"sparsity": sparsity}, "epochs": 3})
    if clusters:
        steps.append({"technique": "cluster", "clusters": clusters, "epochs": 1})
    steps.append({"technique": "quantize", "epochs": 1, **ROUNDING[rounding]})
    return tuple(parse_step(json.dumps(step)) for step in steps)


def weight_bytes(layout: FeatureLayout, config: DeepFMConfig, steps: Recipe) -> int:
    """About how many bytes the weights take after a recipe: what decides which is tried first."""
    rows, dim, widths = layout.table_rows, config.embedding_dim, list(config.hidden_units)
    per_weight, per_value, per_row = 4.0, 4.0, 0.0
    for step in steps:
        if step.technique == "distill" and step.student is not None:
            dim, widths = step.student.embedding_dim, list(step.student.hidden_units)
        elif step.technique == "prune_rows":
            rows = round(rows * step.keep)
        elif step.technique == "prune_units":
            widths = list(step.hidden_units or [round(w * (step.keep or 1)) for w in widths])
        elif step.technique == "quantize":
            per_weight = per_value = 2.0 if step.format == "float16" else 1.0
            if step.bits == 4:
                per_weight = 0.5
            if step.table.endswith("per_row"):
                per_value, per_row = (0.5 if step.table.startswith("int4") else 1.0), 1.0
    inputs = [len(layout.fields) * dim + layout.num_numeric, *widths]
    tower = sum(a * b for a, b in zip(inputs, [*widths, 1], strict=True))
    return round(rows * ((dim + 1) * per_value + per_row) + tower * per_weight)


class _Bench:
    """Applies recipes, keeps what they made in a folder, and measures the files.

    Each result is written in full and then renamed, so that a search that was killed goes on from
    the steps that it had finished.
    """

    def __init__(
        self,
        base: Checkpoint,
        setting: Setting,
        export: Callable[[Checkpoint], bytes],
        inputs: Mapping[str, Array],
        labels: Array,
        folder: str,
        budget: Budget,
        log_dir: str | None,
    ) -> None:
        self._base, self._setting, self._export = base, setting, export
        self._inputs, self._labels = dict(inputs), labels
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
            technique = steps[-1].technique
            logs = log_dir and os.path.join(log_dir, technique)
            with _atomic_folder(path) as folder, progress.part(technique):
                progress.report()
                apply(steps[-1], before, self._setting, logs).save(folder)
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
            with _atomic_folder(path) as folder:
                os.makedirs(folder)
                with open(os.path.join(folder, TRIAL_FILE), "w", encoding="utf-8") as file:
                    json.dump({"figures": figures, "error": error}, file)
        with open(os.path.join(path, TRIAL_FILE), encoding="utf-8") as file:
            return Trial(name, data, **json.load(file))

    def measure(self, checkpoint: Checkpoint) -> dict[str, float]:
        """Figures of the file that a model becomes."""
        progress.report("measuring the file")
        lite = LiteModel(self._export(checkpoint))
        forms = {name: value for name, value in checkpoint.metrics.items() if name in FORMS}
        return {
            **metrics.binary_metrics(self._labels, lite.score(self._inputs)),
            "bytes": len(lite.content),
            "gzip_bytes": lite.gzip_bytes,
            "latency_1_us": lite.latency(self._inputs, 1, self._budget.latency_1_us),
            "latency_512_us": lite.latency(self._inputs, 512, self._budget.latency_512_us),
            **forms,
        }


@contextlib.contextmanager
def _atomic_folder(path: str) -> Iterator[str]:
    """A folder to write to, which takes its name once it is whole."""
    unfinished = f"{path}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    yield unfinished
    os.rename(unfinished, path)


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


def _flat(data: Mapping[str, Any], prefix: str) -> HParams:
    """Nested settings as `prune.tower.sparsity`."""
    flat: dict[str, int | float | str | bool] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}.{key}")
        else:
            plain = value if isinstance(value, (int, float, str, bool)) else json.dumps(value)
            flat[f"{prefix}.{key}"] = plain
    return flat


def _settings(trial: Trial, common: HParams) -> HParams:
    """What a trial chose, as TensorBoard's hyperparameters, beside what all share."""
    recipe = " -> ".join(step["technique"] for step in trial.steps) or "float"
    values: HParams = {**common, "recipe": recipe}
    for step in trial.steps:
        chosen = {key: value for key, value in step.items() if key != "technique"}
        values |= _flat(chosen, f"step.{step['technique']}")
    return values


def _log_trial(log_dir: str, trial: Trial, common: HParams) -> None:
    """A run in TensorBoard's HParams tab: what was chosen against what came of it."""
    with tf.summary.create_file_writer(os.path.join(log_dir, trial.name)).as_default(step=0):
        hparams.hparams(_settings(trial, common), trial_id=NAMED_BY_RUN)
        for name, value in trial.figures.items():
            tf.summary.scalar(f"{FIGURES_TAG}/{name}", value)


def _log_columns(log_dir: str, trials: Iterable[Trial], common: HParams) -> None:
    """Tells the HParams tab which settings and figures are its columns."""
    measured = [trial for trial in trials if trial.figures]
    settings = dict.fromkeys(key for trial in measured for key in _settings(trial, common))
    figures = dict.fromkeys(name for trial in measured for name in trial.figures)
    with tf.summary.create_file_writer(log_dir).as_default(step=0):
        hparams.hparams_config(
            hparams=[hparams.HParam(key) for key in settings],
            metrics=[
                hparams.Metric(f"{FIGURES_TAG}/{name}", display_name=name) for name in figures
            ],
        )


def search(
    config: Search,
    base: Checkpoint,
    setting: Setting,
    export: Callable[[Checkpoint], bytes],
    inputs: Mapping[str, Array],
    labels: Array,
    folder: str,
    *,
    gates: GatesConfig,
    log_dir: str | None = None,
) -> Found:
    """Tries recipes and chooses the most accurate file within the budget, or the nearest miss.

    Given recipes are all tried, those first that are likely to fit and keep the most. Without any,
    Optuna's TPE sampler chooses points of `SPACE`, after `STARTS`: for more AUC, less of what the
    budget limits (bytes and time, where it limits nothing), within its limits if it can. Files that
    pass the gates on the validation split are preferred to others.

    Args:
      config: Budget and recipes.
      base: The float model; it is not changed.
      setting: What the recipes share.
      export: From a model to the file that would ship.
      inputs: Rows of the validation split, by input of `serving_default`.
      labels: [R] of 0 and 1.
      folder: Keeps what finished trials made; the same search goes on from there.
      gates: What the file has to be.
      log_dir: Folder for TensorBoard; None logs nothing.

    Raises:
      NothingFits: No recipe fits the model.
    """
    bench = _Bench(base, setting, export, inputs, labels, folder, config.budget, log_dir)
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
            _log_trial(log_dir, done, common)
        failed = [v for v in file_verdicts(gates, done.figures, parent) if not v.passed]
        fails = tuple(" ".join(verdict_cells(verdict.to_dict())) for verdict in failed)
        return dataclasses.replace(done, fails=fails)

    def attempt(trial: optuna.Trial) -> tuple[float, ...]:
        name, steps = _choose(config, trial)
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
            untried = [point for point in points if _name_of(point) not in trials]
            study.enqueue_trial(untried[random.integers(len(untried))])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    overhead = round(parent["bytes"]) - weight_bytes(base.layout, base.config, ())
    starts = _starts(config, base, overhead)
    points = [
        dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())
    ]
    random = np.random.default_rng(setting.training.seed)
    count = len(starts) if config.recipes else min(config.trials, len(points))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=setting.training.seed,
            n_startup_trials=len(starts),  # they take the place of random ones
            constraints_func=lambda trial: trial.user_attrs["over"],
        )
    study = optuna.create_study(
        directions=[StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * len(goals)],
        sampler=sampler,
    )
    for start in starts:
        study.enqueue_trial(start)
    # A point that is proposed again costs nothing, and one that was not tried follows it.
    study.optimize(attempt, n_trials=2 * count, callbacks=[go_on])

    if log_dir:
        _log_columns(log_dir, trials.values(), common)
    chosen, miss = _best(list(trials.values()), config.budget)
    steps = recipes[chosen.name]
    return Found(
        list(trials.values()),
        _front(list(trials.values())),
        chosen,
        miss,
        bench.model(steps),
        bench.model(steps[:-1]),
    )


def _choose(config: Search, trial: optuna.Trial) -> tuple[str, Recipe]:
    """The recipe that Optuna wants to try next, with its name."""
    if config.recipes:
        name = trial.suggest_categorical("recipe", list(config.recipes))
        return name, config.recipes[name]
    point = {key: trial.suggest_categorical(key, values) for key, values in SPACE.items()}
    return _name_of(point), default_recipe(**point)


def _name_of(point: Mapping[str, Any]) -> str:
    name = "units{units:g}_rows{rows:g}_zeros{sparsity:g}_clusters{clusters}_{rounding}"
    return name.format(**point)


def _starts(config: Search, base: Checkpoint, overhead: int) -> list[dict[str, Any]]:
    """Points to begin with: likely to fit first, the larger before the smaller of those.

    Args:
      config: Recipes and budget.
      base: The float model.
      overhead: Bytes of its file that are no weights: the raw signature's tables, the graph.
    """
    points: list[dict[str, Any]] = (
        [{"recipe": name} for name in config.recipes] if config.recipes else STARTS
    )

    def promise(point: dict[str, Any]) -> tuple[bool, int]:
        steps = config.recipes[point["recipe"]] if config.recipes else default_recipe(**point)
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
