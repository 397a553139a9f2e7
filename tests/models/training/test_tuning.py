"""The search for settings: what it proposes, keeps, survives, and what it takes for noise."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from ranklite.models import progress
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.search_space import Choice, Point, Range, Space
from ranklite.models.training import fit as training
from ranklite.models.training import tuning, tuning_trials
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from ranklite.models.training.tuning import NothingTrained, Tuned, choose, search
from ranklite.models.training.tuning_config import Tune
from ranklite.models.training.tuning_trials import Trial, Trials

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(8,), dropout=0.0)
TRAINING = TrainingConfig(batch_size=256, epochs=2, learning_rate=0.012345, oov_rate=0.0)
SPACE: Space = {
    "model.hidden_units": Choice(values=([8], [16, 8])),
    "training.learning_rate": Range(low=1e-3, high=0.1, log=True),
}
START = {"model.hidden_units": [8], "training.learning_rate": 0.012345}


class Pretended(Trials):
    """Trials that train nothing: `curve` says what a training would have measured."""

    def __init__(self, curve: Callable[[Point], list[float]], seconds: float = 1.0) -> None:
        self.folder = "."
        self.asked: list[Point] = []
        self.kept: dict[str, Trial] = {}
        self._curve, self._seconds = curve, seconds

    def known(self, point: Point) -> Trial | None:
        return self.kept.get(str(point))

    def run(self, point: Point, watch: tuning_trials.Watch) -> Trial:
        self.asked.append(point)
        seen: list[float] = []
        state, error = "finished", ""
        try:
            for epoch, auc in enumerate(self._curve(point)):
                seen.append(auc)
                watch(epoch, auc)
        except optuna.TrialPruned:
            state = "pruned"
        except training.TrainingFailed as reason:
            state, error = "failed", str(reason)
        figures = {"auc": max(seen)} if state == "finished" else {}
        self.kept[str(point)] = Trial(point, state, seen, figures, self._seconds, error)
        return self.kept[str(point)]

    def scores(self, point: Point) -> Any:
        return np.array([0.1, 0.9, 0.2, 0.8])


LABELS = np.array([0.0, 1.0, 0.0, 1.0])


def sought(bench: Trials, space: Space = SPACE, labels: Any = LABELS, **length: Any) -> Tuned:
    return search(Tune(**length), space, MODEL, TRAINING, bench, labels)


def near_a_twentieth(point: Point) -> list[float]:
    """The nearer the rate is to .05, the better."""
    return [0.9 - 0.1 * abs(math.log(point["training.learning_rate"] / 0.05))] * 4


def test_the_configured_settings_come_first_and_better_ones_are_found() -> None:
    trials = Pretended(near_a_twentieth)
    result = sought(trials, trials=40)
    assert trials.asked[0] == START  # as it was given: 0.012345, not three digits of it
    assert len(result.trials) == len({str(t.settings) for t in result.trials}) == 40
    assert result.best == max(range(40), key=lambda k: result.trials[k].figures.get("auc", 0.0))
    rate = result.trials[result.best].settings["training.learning_rate"]
    assert 0.04 < rate < 0.0625
    later = [t.settings["training.learning_rate"] for t in result.trials[1:]]
    assert all(1e-3 <= rate <= 0.1 and rate == float(f"{rate:.3g}") for rate in later)
    near = [abs(math.log(rate / 0.05)) < 0.5 for rate in later]
    assert np.mean(near[20:]) > 0.4  # at random it would be 0.22


def test_a_trial_that_is_worse_than_most_is_pruned_but_not_the_first() -> None:
    calls = iter(range(100))

    def later(point: Point) -> list[float]:
        return [0.4] * 9 if next(calls) in (3, 8) else [0.7] * 9

    trials = Pretended(later)
    result = sought(trials, trials=10)
    states = [trial.state for trial in result.trials]
    assert states == ["finished"] * 8 + ["pruned", "finished"]  # among the first 4 none is
    assert len(result.trials[8].curve) == tuning.EPOCHS + 1


def test_a_trial_that_fails_counts_and_the_search_goes_on() -> None:
    def fails(point: Point) -> list[float]:
        if point["model.hidden_units"] == [16, 8]:
            raise training.TrainingFailed("the loss became nan")
        return near_a_twentieth(point)

    result = sought(Pretended(fails), trials=12)
    assert len(result.trials) == 12
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert failed
    assert {trial.error for trial in failed} == {"the loss became nan"}
    assert all(trial.settings["model.hidden_units"] == [16, 8] for trial in failed)
    assert result.trials[result.chosen].state == "finished"


def test_where_all_fail_it_ends_early_and_says_why() -> None:
    def fails(point: Point) -> list[float]:
        raise training.TrainingFailed("AUC is not defined")

    trials = Pretended(fails)
    with pytest.raises(NothingTrained, match=r"came to its end: AUC is not defined$"):
        sought(trials, trials=50)
    assert len(trials.asked) == tuning.RANDOM


@pytest.mark.fault("a search for settings is killed", "resumed; the same trials")
def test_a_killed_search_proposes_the_same_again_and_trains_only_what_is_new() -> None:
    whole = Pretended(near_a_twentieth)
    expected = sought(whole, trials=20)
    killed = Pretended(near_a_twentieth)
    sought(killed, trials=9)  # as far as it came
    assert killed.asked == whole.asked[:9]
    killed.asked.clear()
    assert sought(killed, trials=20) == expected
    assert killed.asked == whole.asked[9:]


def test_minutes_count_what_earlier_processes_spent() -> None:
    trials = Pretended(near_a_twentieth, seconds=50.0)
    assert len(sought(trials, minutes=2.0).trials) == 3  # 150 s; after 100 one more begins
    trials.asked.clear()
    assert len(sought(trials, minutes=2.0).trials) == 3
    assert not trials.asked
    assert len(sought(trials, minutes=4.0, trials=4).trials) == 4
    assert len(trials.asked) == 1


def test_what_is_under_way_when_time_is_over_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(tuning.time, "monotonic", lambda: now[0])

    def slow(point: Point) -> list[float]:
        now[0] += 70.0
        return near_a_twentieth(point)

    trials = Pretended(slow, seconds=70.0)
    result = sought(trials, minutes=1.0)
    assert [t.settings for t in result.trials] == [START]  # it ends, for it is the first
    trials = Pretended(slow, seconds=50.0)
    result = sought(trials, minutes=1.5)
    assert [t.settings for t in result.trials] == [START]
    assert len(trials.asked) == 2
    assert len(trials.kept) == 1


def test_few_values_are_all_tried_and_then_it_ends() -> None:
    space: Space = {"model.batch_norm": Choice(values=(False, True))}
    trials = Pretended(lambda point: [0.7 + 0.1 * point["model.batch_norm"]])
    result = sought(trials, space, minutes=5.0)
    assert trials.asked == [{"model.batch_norm": False}, {"model.batch_norm": True}]
    assert result.best == 1


def test_it_says_which_trial_it_is_at() -> None:
    def reporting(point: Point) -> list[float]:
        progress.report("epoch 1/2", 0.5)
        return near_a_twentieth(point)

    for length, expected in (
        ({"trials": 4}, [("trial 1/4: epoch 1/2", 0.0), ("trial 2/4: epoch 1/2", 0.25)]),
        ({"minutes": 2.0}, [("trial 1: epoch 1/2", 0.0), ("trial 2: epoch 1/2", 0.25)]),
        ({"minutes": 2.0, "trials": 4}, [("trial 1/4: epoch 1/2", 0.0)]),
        ({"minutes": 0.75, "trials": 4}, [("trial 1/4: epoch 1/2", 0.0)]),
    ):
        said: list[progress.Report] = []
        with progress.listening(said.append):
            sought(Pretended(reporting, seconds=30.0), **length)
        reports = [(r.where, r.share) for r in said if "epoch" in r.where]
        assert reports[: len(expected)] == expected
    assert reports[1] == ("trial 2/4: epoch 1/2", pytest.approx(30 / 45))


def trial(auc: float | None, number: int = 0) -> Trial:
    settings = {"training.learning_rate": 0.01 * (number + 1)}
    if auc is None:
        return Trial(settings, "failed", [], {}, 1.0, "the loss became nan")
    return Trial(settings, "finished", [auc], {"auc": auc}, 1.0)


class Scored:
    """Scores by the number of the trial."""

    def __init__(self, *scores: Any) -> None:
        self._scores = scores

    def scores(self, point: Point) -> Any:
        return self._scores[round(100 * point["training.learning_rate"]) - 1]


def test_the_best_is_taken_where_it_gains_more_than_a_standard_error() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(2000) < 0.5).astype(float)
    worse = labels + random.normal(0, 2.0, 2000)
    better = labels + random.normal(0, 1.0, 2000)
    alike = worse + random.normal(0, 0.5, 2000)

    def auc(scores: Any) -> float:
        order = np.argsort(np.argsort(scores)) + 1.0
        n1 = labels.sum()
        return float((order[labels == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * (2000 - n1)))

    scored: Any = Scored(worse, better)
    result = choose([trial(auc(worse)), trial(auc(better), 1)], scored, labels, None)
    assert (result.best, result.chosen) == (1, 1)
    assert result.gain == pytest.approx(auc(better) - auc(worse))
    # The standard error of the difference between two AUCs of about .64 and .76, apart from each
    # other, is sqrt(.0123^2 + .0107^2) = .0163 (Hanley & McNeil 1982); here they share labels only.
    assert result.noise == pytest.approx(0.0163, rel=0.15)
    # One that differs by less than noise: the AUCs are set a hair apart.
    scored = Scored(worse, alike)
    tried = [trial(0.7), trial(0.7001, 1)]
    result = choose(tried, scored, labels, None)
    assert (result.best, result.chosen) == (1, 0)
    assert result.noise is not None
    assert result.noise > 0.0001
    # Every row twice tells no more, where two rows belong to a user; without users it seems to.
    scored = Scored(np.repeat(worse, 2), np.repeat(better, 2))
    twice = [trial(auc(worse)), trial(auc(better), 1)]
    by_user = choose(twice, scored, np.repeat(labels, 2), np.repeat(np.arange(2000), 2))
    by_row = choose(twice, scored, np.repeat(labels, 2), None)
    assert by_user.noise == pytest.approx(0.0163, rel=0.15)
    assert by_row.noise == pytest.approx(0.0163 / math.sqrt(2), rel=0.15)


def test_where_the_configured_settings_fail_or_are_the_best() -> None:
    nothing: Any = None
    failed = choose([trial(None), trial(0.6, 1), trial(0.7, 2)], nothing, LABELS, None)
    assert (failed.best, failed.chosen, failed.gain) == (2, 2, None)
    best = choose([trial(0.7), trial(0.6, 1)], nothing, LABELS, None)
    assert (best.best, best.chosen, best.gain, best.noise) == (0, 0, 0.0, 0.0)


def test_real_trials_are_kept_and_measured_as_the_trainer_does(
    clicks: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = Splits(clicks.train, clicks.eval)
    labels = training.predict(
        training.build(clicks.layout, MODEL, TRAINING), clicks.layout, clicks.eval
    )[1]
    trials = Trials(clicks.layout, MODEL, TRAINING, splits, str(tmp_path / "kept"))
    result = sought(trials, labels=labels, trials=3)
    first = result.trials[0]
    model = training.build(clicks.layout, MODEL, TRAINING)
    again = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    assert first.figures["auc"] == again["auc"] == max(first.curve)
    scores, _ = training.predict(model, clicks.layout, clicks.eval)
    np.testing.assert_array_equal(trials.scores(START), scores)

    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(tuning_trials.training, "fit", never)
    assert sought(trials, labels=labels, trials=3) == result
    with pytest.raises(AssertionError, match="trained again"):
        sought(trials, labels=labels, trials=4)
    assert len(list((tmp_path / "kept").glob("trial-*"))) == 3  # no half of one


@pytest.mark.fault("a trial's loss is no number", "counted as failed; the search goes on")
def test_a_loss_that_is_not_finite_is_a_failed_trial(clicks: Any, tmp_path: pathlib.Path) -> None:
    splits = Splits(clicks.train, clicks.eval)
    trials = Trials(clicks.layout, MODEL, TRAINING, splits, str(tmp_path))
    tmp_path.mkdir(exist_ok=True)
    done = trials.run({"model.embedding_stddev": 1e30}, lambda epoch, auc: None)
    assert done.state == "failed"
    assert "the loss became" in done.error
    assert trials.known({"model.embedding_stddev": 1e30}) == done
    pruned = trials.run({"model.dropout": 0.1}, _prune)
    assert (pruned.state, len(pruned.curve), pruned.figures) == ("pruned", 1, {})


def _prune(epoch: int, auc: float) -> None:
    raise optuna.TrialPruned
