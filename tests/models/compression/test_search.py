"""The search under a budget, on tiny data with real files."""

from __future__ import annotations

import dataclasses
import glob
import itertools
import math
import os
import pathlib
from typing import Any

import numpy as np
import pytest

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import Budget, Search
from ranklite.models.compression.recipe import weight_bytes
from ranklite.models.compression.search import hparams, trials
from ranklite.models.compression.search import search as module
from ranklite.models.compression.search.search import NothingFits, search
from ranklite.models.compression.search.space import recipe_at, space, starts
from ranklite.models.compression.search.trials import Trial
from ranklite.models.compression.technique import Setting
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

pytestmark = pytest.mark.slow

CONFIG = DeepFMConfig(embedding_dim=4, hidden_units=(32, 16), dropout=0.0, embedding_stddev=0.1)
TRAINING = TrainingConfig(batch_size=128, epochs=2, learning_rate=0.02, oov_rate=0.0)
FEATURES = FeatureSet.model_validate({"features": [{"kind": "categorical", "name": "user"}]})
RECIPES = {
    "int8": [{"technique": "quantize", "epochs": 0}],
    "narrow": [
        {"technique": "prune_units", "keep": 0.25, "epochs": 1},
        {"technique": "quantize", "epochs": 0},
    ],
    "impossible": [
        {
            "technique": "prune",
            "tower": {"sparsity": 0.5, "pattern": "block", "block_size": [7, 1]},
        },
        {"technique": "quantize", "epochs": 0},
    ],
}


@pytest.fixture(scope="module")
def base(clicks: Any) -> Checkpoint:
    model = training.build(clicks.layout, CONFIG, TRAINING)
    metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    return Checkpoint(model, clicks.layout, CONFIG, metrics)


def run(
    base: Checkpoint,
    clicks: Any,
    folder: pathlib.Path,
    budget: dict[str, Any],
    gates: dict[str, Any] | None = None,
    users: Any = None,
    **changes: Any,
) -> module.SearchResult:
    config = Search.model_validate({"budget": budget, "recipes": RECIPES, **changes})
    inputs, labels, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    setting = Setting(FEATURES, Splits(clicks.train, clicks.eval), TRAINING)
    return search(
        config,
        base,
        setting,
        lambda checkpoint: LiteModel(to_tflite(checkpoint)),
        inputs,
        labels,
        str(folder),
        gates=GatesConfig.model_validate(gates or {}),
        users=users,
        log_dir=f"{folder}/logs",
    )


@pytest.fixture(scope="module")
def first(base: Checkpoint, clicks: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("search")
    reported: list[progress.Report] = []
    with progress.listening(reported.append):
        return run(base, clicks, folder, {}), folder, reported


def test_it_says_which_trial_it_is_at(first: Any) -> None:
    result, _, reported = first
    for number, trial in enumerate(result.trials):
        name = f"trial {number + 1}/3, {trial.name}: "
        reports = [report for report in reported if report.where.startswith(name)]
        assert reports
        assert {report.share for report in reports} == {number / 3}
        words = {report.where.removeprefix(name) for report in reports}
        if trial.name == "narrow":
            assert "prune_units: epoch 1/1, step 1/15" in words
        assert ("measuring the file" in words) == bool(trial.figures)


def test_all_recipes_are_measured_on_their_files(first: Any, base: Checkpoint) -> None:
    result, folder, _ = first
    trials = {trial.name: trial for trial in result.trials}
    assert set(trials) == set(RECIPES)
    assert "which blocks of 7 x 1 do not divide" in trials["impossible"].error
    assert trials["narrow"].figures["bytes"] < trials["int8"].figures["bytes"]
    for name in ("int8", "narrow"):
        assert trials[name].figures["auc"] > 0.6
        assert trials[name].figures["latency_512_us"] > 0
        assert glob.glob(f"{folder}/logs/{name}/events.out*")
    assert result.model.config.hidden_units in ((32, 16), (8, 8))
    assert not any(layer.name.startswith("quant_") for layer in result.before_last.model.layers)
    assert result.miss == ""
    assert result.chosen.name == max(
        ("int8", "narrow"), key=lambda name: trials[name].figures["auc"]
    )
    assert set(result.front) <= {"int8", "narrow"}


def test_finished_trials_are_taken_up_and_the_budget_chooses(
    first: Any, base: Checkpoint, clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, folder, _ = first
    sizes = {t.name: t.figures["bytes"] for t in result.trials if t.figures}

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a finished step was applied again")

    monkeypatch.setattr(trials, "apply", never)
    tight = run(base, clicks, folder, {"bytes": (sizes["int8"] + sizes["narrow"]) // 2})
    assert (tight.chosen.name, tight.miss) == ("narrow", "")
    missed = run(base, clicks, folder, {"bytes": sizes["narrow"] // 2})
    assert missed.chosen.name == "narrow"
    assert "none of 2 recipes stays within the budget" in missed.miss
    assert f"{sizes['narrow']:,.6g}" in missed.miss


def test_a_step_that_was_killed_leaves_nothing_behind(
    base: Checkpoint, clicks: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **kwargs: Any) -> Checkpoint:
        raise KeyboardInterrupt

    real = trials.apply
    recipes = {"int8": RECIPES["int8"]}
    monkeypatch.setattr(trials, "apply", killed)
    with pytest.raises(KeyboardInterrupt):
        run(base, clicks, tmp_path, {}, recipes=recipes)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(("model-", "trial-"))]
    monkeypatch.setattr(trials, "apply", real)
    assert run(base, clicks, tmp_path, {}, recipes=recipes).chosen.name == "int8"


def test_nothing_fits_the_model(base: Checkpoint, clicks: Any, tmp_path: pathlib.Path) -> None:
    recipes = {"impossible": RECIPES["impossible"]}
    with pytest.raises(NothingFits, match="no recipe fits the model: impossible: tower_0 is"):
        run(base, clicks, tmp_path, {}, recipes=recipes)


def test_the_default_space_is_searched(
    base: Checkpoint, clicks: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def measured(self: Any, name: str, steps: Any) -> Trial:
        calls.append(name)
        size = weight_bytes(base.layout, base.config, steps)
        latency = {"latency_1_us": 1.0, "latency_512_us": size / 1e4}
        accuracy = {"auc": 0.7, "log_loss": 0.5, "calibration": 1.0}
        return Trial(name, (), {**accuracy, "bytes": size, "gzip_bytes": size, **latency})

    monkeypatch.setattr(trials.Bench, "run", measured)
    monkeypatch.setattr(trials.Bench, "model", lambda self, steps, log_dir=None: base)
    result = run(base, clicks, tmp_path, {"bytes": 10**6}, recipes=None, trials=9)
    assert len(result.trials) == len(set(calls)) == 9
    assert calls[: len(starts())] == [t.name for t in result.trials[: len(starts())]]
    points = math.prod(map(len, space().values()))  # what is proposed twice does not count
    every = run(base, clicks, tmp_path / "all", {"bytes": 10**4}, recipes=None, trials=1000)
    assert len({trial.name for trial in every.trials}) == len(every.trials) == points
    least = min(trial.figures["bytes"] for trial in result.trials)  # AUC and latency are the same
    assert result.front == [t.name for t in result.trials if t.figures["bytes"] == least]


def test_a_model_without_hidden_layers_is_searched_by_its_table(
    clicks: Any, tmp_path: pathlib.Path
) -> None:
    config = DeepFMConfig(embedding_dim=32, hidden_units=(), embedding_stddev=0.1)
    model = training.build(clicks.layout, config, TRAINING)
    metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    machine = Checkpoint(model, clicks.layout, config, metrics)
    result = run(machine, clicks, tmp_path, {}, recipes=None, trials=5)
    # Of units, sparsity, clusters and 4-bit kernels nothing is proposed.
    tried = {step["technique"] for trial in result.trials for step in trial.steps}
    assert tried == {"prune_rows", "quantize"}
    assert len(result.trials) == 5
    assert not [trial.error for trial in result.trials if trial.error]
    assert result.chosen.figures["bytes"] < len(to_tflite(machine))


def test_what_is_likely_to_fit_comes_first(base: Checkpoint) -> None:
    size = {
        name: 1000 + weight_bytes(base.layout, base.config, steps)
        for name, steps in Search.model_validate({"recipes": RECIPES}).recipes.items()  # type: ignore[union-attr]
    }
    assert size["narrow"] < size["int8"] == size["impossible"]

    def order(limit: int) -> list[str]:
        config = Search.model_validate({"budget": {"bytes": limit}, "recipes": RECIPES})
        return [point["recipe"] for point in module.starting_points(config, base, 1000, space())]

    assert order(size["int8"]) == ["int8", "impossible", "narrow"]  # the largest of what fits
    assert order(size["int8"] - 1)[0] == "narrow"
    assert order(size["narrow"] - 1)[0] == "narrow"  # nothing fits: the smallest


def test_weight_bytes_by_hand() -> None:
    layout = FeatureLayout.build([("user", 1, 7), ("item", 1, 8)])  # 1 + 9 + 10 rows
    config = DeepFMConfig(embedding_dim=4, hidden_units=(8,))
    assert weight_bytes(layout, config, ()) == 4 * (20 * 5 + 8 * 8 + 8)
    point = {"units": 0.5, "rows": 0.5, "sparsity": 0.8, "clusters": 16, "rounding": "int4_rows"}
    steps = recipe_at(point)
    order = ["prune_rows", "prune_units", "prune", "cluster", "quantize"]
    assert [s.technique for s in steps] == order
    assert weight_bytes(layout, config, steps) == round(10 * (5 * 0.5 + 1) + 8 * 4 + 4)
    steps = recipe_at({**starts()[0], "rounding": "int4"})
    assert weight_bytes(layout, config, steps) == round(20 * (5 * 0.5 + 1) + (8 * 8 + 8) / 2)


def test_excess_by_hand() -> None:
    figures = {"bytes": 300, "gzip_bytes": 100, "latency_1_us": 2.0, "latency_512_us": 0.5}
    trial = Trial("x", (), figures)
    budget = Budget(bytes=200, gzip_bytes=100, latency_1_us=1.0)
    assert trial.excess(budget) == {"bytes": 1.5, "latency_1_us": 2.0}
    assert trial.excess(Budget()) == {}
    assert (
        dataclasses.replace(trial, figures={**figures, "bytes": np.int64(200)}).excess(
            Budget(bytes=200)
        )
        == {}
    )


def test_a_trial_shares_its_first_columns_with_the_runs() -> None:
    sections = {"model": {"dropout": 0.2, "hidden_units": [8, 4], "table": {}, "crosses": None}}
    common = hparams.run_settings(sections)
    assert common == {"model.dropout": 0.2, "model.hidden_units": "8-4"}
    trial = Trial("half", ({"technique": "cluster", "clusters": 16},), {}, "")
    result = hparams.trial_settings(trial, common)
    assert result == {**common, "recipe": "cluster", "step.cluster.clusters": 16}
    assert sorted(result)[:2] == list(common)


def test_nested_settings_become_flat_hparams() -> None:
    step = {"tower": {"sparsity": 0.8, "block_size": [4, 1]}, "epochs": 2}
    assert hparams.flattened(step, "prune") == {
        "prune.tower.sparsity": 0.8,
        "prune.tower.block_size": "[4, 1]",
        "prune.epochs": 2,
    }


def test_it_searches_where_the_budget_is(
    base: Checkpoint, clicks: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [
        recipe_at(dict(zip(space(), values, strict=True)))
        for values in itertools.product(*space().values())
    ]

    def size(steps: Any) -> int:
        return weight_bytes(base.layout, base.config, steps)

    budget = sorted(map(size, points))[len(points) // 5]

    def measured(self: Any, name: str, steps: Any) -> Trial:
        accuracy = {"auc": 0.7 + size(steps) / 1e6, "log_loss": 0.5, "calibration": 1.0}
        cost = {"bytes": size(steps), "gzip_bytes": 1, "latency_1_us": 1.0, "latency_512_us": 1.0}
        return Trial(name, (), {**accuracy, **cost})

    monkeypatch.setattr(trials.Bench, "run", measured)
    monkeypatch.setattr(trials.Bench, "model", lambda self, steps, log_dir=None: base)
    result = run(base, clicks, tmp_path, {"bytes": budget}, recipes=None, trials=40)
    proposed = result.trials[len(starts()) :]
    inside = [trial for trial in proposed if not trial.excess(Budget(bytes=budget))]
    assert len(inside) > 0.4 * len(proposed)  # of all points it is a fifth


def test_what_would_not_pass_the_gates_is_not_chosen(
    first: Any, base: Checkpoint, clicks: Any
) -> None:
    result, folder, _ = first
    best = result.chosen
    (other,) = [t for t in result.trials if t.figures and t.name != best.name]
    between = (best.figures["calibration"] + other.figures["calibration"]) / 2
    too_high = best.figures["calibration"] > other.figures["calibration"]
    key = "max_calibration" if too_high else "min_calibration"
    held = run(base, clicks, folder, {}, gates={key: between})
    assert held.chosen.name == other.name
    (fails,) = [t.fails for t in held.trials if t.name == best.name]
    assert fails[0].startswith("calibration ")
    assert fails[0].endswith(f"= {between:g} FAILED")
    none = run(base, clicks, folder, {}, gates={"min_auc": 0.999})
    assert none.chosen.name == best.name  # nothing passes: the gates will say so
    assert all(trial.fails for trial in none.trials if trial.figures)


def test_trials_are_measured_by_user_where_there_is_one(
    base: Checkpoint, clicks: Any, tmp_path: pathlib.Path
) -> None:
    inputs, _, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    users = inputs["ids"][:, 0].astype(str)
    recipes = {"int8": RECIPES["int8"]}
    gates = {"min_gauc": 0.999, "max_ndcg_at_10_drop": 1.0}
    (trial,) = run(base, clicks, tmp_path, {}, gates, recipes=recipes, users=users).trials
    assert 0.5 < trial.figures["gauc"] < 0.999
    assert 0 < trial.figures["ndcg_at_10"] <= 1
    (fails,) = trial.fails
    assert fails.startswith("GAUC 0.")
    assert fails.endswith(">= 0.999 FAILED")


@pytest.mark.fault("a recipe's file cannot be run", "counted as failed; the search goes on")
def test_a_file_that_cannot_be_run_is_a_failed_trial(
    first: Any, base: Checkpoint, clicks: Any, tmp_path: pathlib.Path
) -> None:
    calls = []

    def broken(checkpoint: Checkpoint) -> LiteModel:
        calls.append(checkpoint)
        return LiteModel(b"no model" if len(calls) == 2 else to_tflite(checkpoint))

    config = Search.model_validate({"recipes": {k: RECIPES[k] for k in ("int8", "narrow")}})
    inputs, labels, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    setting = Setting(FEATURES, Splits(clicks.train, clicks.eval), TRAINING)
    result = search(
        config, base, setting, broken, inputs, labels, str(tmp_path), gates=GatesConfig()
    )
    assert [bool(trial.error) for trial in result.trials] == [True, False]
    assert "cannot load the file" in result.trials[0].error


def test_latency_is_measured_anew_where_it_is_limited(
    first: Any, base: Checkpoint, clicks: Any
) -> None:
    result, folder, _ = first
    slow = max(t.figures["latency_1_us"] for t in result.trials if t.figures)
    limited = run(base, clicks, folder, {"latency_1_us": 1000 * slow})
    again = {t.name: t.figures for t in limited.trials if t.figures}
    for trial in result.trials:
        if trial.figures:
            assert again[trial.name]["auc"] == trial.figures["auc"]
            assert again[trial.name]["latency_1_us"] != trial.figures["latency_1_us"]
