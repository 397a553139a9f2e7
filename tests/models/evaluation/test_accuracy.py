"""Gates on accuracy: intervals by hand, few rows, files that are no numbers, slices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ranklite.models.evaluation.accuracy import (
    GATES,
    Evidence,
    accuracy_verdicts,
    fall_verdicts,
    slice_verdicts,
    too_few,
)
from ranklite.models.evaluation.gates import AccuracyGates, GatesConfig
from ranklite.models.evaluation.verdicts import Verdict
from ranklite.models.reporting.metric_names import METRICS, gate_title

# 40 users with a click and a pass each. A file that is sure of all, one that is unsure of every
# other user, one that has the order wrong, one without an opinion.
USERS = np.repeat(np.arange(40), 2)
LABELS = np.tile([1.0, 0.0], 40)
SURE = np.where(LABELS == 1, 0.8, 0.2)
UNSURE = np.where(USERS % 2, SURE, 0.5)
WRONG = 1 - SURE
OFF = dict.fromkeys(AccuracyGates.model_fields)
LOSS = math.log(1.6)  # what 0.5 costs more than 0.8


def judged(
    gates: dict[str, Any], shipped: Any, users: Any = USERS, rows: Any = slice(None), **files: Any
) -> dict[str, Verdict]:
    """Verdicts by the end of their key."""
    config = GatesConfig.model_validate({**OFF, **gates})
    scores = {"shipped": shipped, "float": SURE, **files}
    evidence = Evidence.of(
        LABELS[rows],
        {name: values[rows] for name, values in scores.items()},
        None if users is None else users[rows],
    )
    verdicts = accuracy_verdicts(config, evidence, config)
    return {verdict.key.rpartition(".")[2]: verdict for verdict in verdicts}


def outcome(verdict: Verdict) -> str:
    return "undecided" if verdict.undecided else "passed" if verdict.passed else "failed"


def test_every_field_has_one_gate_and_a_title_of_its_own() -> None:
    assert [gate.key for gate in GATES] == list(AccuracyGates.model_fields)
    for gate in GATES:
        assert METRICS[gate.metric].name in gate.key or "_gain_over_" in gate.key
        assert ("from_blessed" in gate.key) == (gate.against == "blessed")
        compared = any(word in gate.key for word in ("_drop", "_rise", "_gain_over_"))
        assert compared == bool(gate.against)
        assert METRICS[gate.metric].better == 1 or "_drop" not in gate.key
    titles = {gate_title(gate.key) for gate in GATES}
    assert len(titles) == len(GATES) - 1  # two bounds on one calibration


@pytest.mark.parametrize(("bound", "expected"), [(0.3, "failed"), (0.5, "passed")])
def test_a_log_loss_without_noise_is_decided(bound: float, expected: str) -> None:
    """Every user loses ln 1.6 more: so does every sample of them."""
    flat = np.full(80, 0.5)
    verdict = judged({"max_log_loss_rise": bound}, flat)["max_log_loss_rise"]
    assert verdict.value == pytest.approx(LOSS)
    assert verdict.interval == pytest.approx((LOSS, LOSS))
    assert outcome(verdict) == expected
    assert verdict.passed == (expected == "passed")


@pytest.mark.parametrize(
    ("shipped", "bound", "expected"),
    [
        (SURE, 0.0, "passed"),
        (SURE, LOSS + 0.01, "failed"),
        (np.full(80, 0.5), 0.0, "passed"),  # no worse
        (WRONG, 0.0, "failed"),
        (WRONG, -0.95, "passed"),
    ],
)
def test_what_is_gained_over_the_constant(shipped: Any, bound: float, expected: str) -> None:
    gates = {"min_gain_over_constant": bound}
    verdict = judged(gates, shipped, constant=np.full(80, 0.5))["min_gain_over_constant"]
    lost = {True: math.log(2.5), False: 0.0}[shipped is WRONG]  # 0.2 costs ln 2.5 more than 0.5
    assert verdict.value == pytest.approx(LOSS if shipped is SURE else -lost)
    assert outcome(verdict) == expected


def test_what_is_gained_over_the_better_baseline_is_auc() -> None:
    gates = {"min_gain_over_baselines": 0.3}
    verdict = judged(gates, SURE, baseline=UNSURE)["min_gain_over_baselines"]
    # 20 of 40 pairs of a user are ordered; of the other users' pairs half of those with an unsure
    # one count: 1 - (1/4 * 1/2) = 0.875.
    assert verdict.value == pytest.approx(0.125)
    assert outcome(verdict) == "failed"
    assert not judged(gates, SURE)  # nothing was learned to compare with


def test_a_bound_amid_the_interval_is_undecided() -> None:
    """Of 40 users drawn, 20 +- 3.16 lose ln 1.6: 0.235 +- 0.073 at 95 %."""
    rise = judged({"max_log_loss_rise": 0.25}, UNSURE)["max_log_loss_rise"]
    assert rise.value == pytest.approx(LOSS / 2)
    assert rise.interval is not None
    assert rise.interval == pytest.approx((LOSS / 2 - 0.073, LOSS / 2 + 0.073), abs=0.012)
    assert outcome(rise) == "undecided"
    assert outcome(judged({"max_log_loss_rise": 0.4}, UNSURE)["max_log_loss_rise"]) == "passed"
    assert outcome(judged({"max_log_loss_rise": 0.1}, UNSURE)["max_log_loss_rise"]) == "failed"


@pytest.mark.parametrize(
    ("key", "better", "worse"),
    [
        ("min_auc", SURE, WRONG),
        ("min_gauc", SURE, WRONG),
        ("min_ndcg_at_10", SURE, WRONG),
        ("max_log_loss", SURE, WRONG),
        ("min_calibration", SURE, SURE / 9),
        ("max_calibration", SURE / 9, SURE),
        ("max_auc_drop", SURE, WRONG),
        ("max_gauc_drop", SURE, WRONG),
        ("max_ndcg_at_10_drop", SURE, WRONG),
        ("max_log_loss_rise", SURE, WRONG),
        ("max_auc_drop_from_blessed", SURE, WRONG),
        ("max_gauc_drop_from_blessed", SURE, WRONG),
        ("max_ndcg_at_10_drop_from_blessed", SURE, WRONG),
        ("max_log_loss_rise_from_blessed", SURE, WRONG),
    ],
)
def test_each_gate_can_pass_and_fail(key: str, better: Any, worse: Any) -> None:
    bounds = {"min_ndcg_at_10": 0.9, "max_log_loss": 0.5}
    bound = bounds.get(key, 0.9 if key.startswith("min_") else 0.3)
    assert outcome(judged({key: bound}, better, blessed=SURE)[key]) == "passed"
    assert outcome(judged({key: bound}, worse, blessed=SURE)[key]) == "failed"


def test_without_a_pushed_model_its_gates_have_no_verdict() -> None:
    assert judged({"max_auc_drop_from_blessed": 0.0}, WRONG) == {}


@pytest.mark.parametrize("users", [None, USERS])
def test_five_rows_decide_nothing_however_good_or_bad(users: Any) -> None:
    by_user = ("gauc", "ndcg_at_10") if users is None else ()
    gates = {
        gate.key: 0.5
        for gate in GATES
        if gate.metric not in by_user and gate.against in ("", "float", "blessed")
    }
    for scores in (SURE, WRONG):
        verdicts = judged(gates, scores, users, slice(0, 5), blessed=SURE)
        assert set(verdicts) == set(gates)
        for verdict in verdicts.values():
            assert outcome(verdict) == "undecided"
            assert verdict.interval is None
            assert "20" in verdict.detail
            assert verdict.passed == ("from_blessed" not in verdict.key)  # these were asked for


def test_reasons_by_hand() -> None:
    assert too_few(LABELS[:5], None)["auc"] == (
        "3 positive and 2 negative rows, 20 of each are needed"
    )
    assert too_few(LABELS[:5], USERS[:5]) == {
        **dict.fromkeys(
            ("auc", "log_loss", "calibration"),
            "3 users with a positive row and 2 with a negative one, 20 of each are needed",
        ),
        "gauc": "2 users with both labels, 20 are needed",
        "ndcg_at_10": "3 users with a positive row, 20 are needed",
    }
    assert not any(too_few(LABELS[:40], USERS[:40]).values())
    assert all(too_few(LABELS[:39], USERS[:39])[name] for name in ("auc", "gauc"))
    # Of one row a user AUC can be told, and GAUC is about nobody.
    apart = too_few(LABELS, np.arange(80))
    assert apart["auc"] == "" != apart["gauc"]
    assert all(too_few(np.zeros(0), np.zeros(0, np.str_)).values())


@pytest.mark.parametrize("rows", [5, 80])
def test_a_file_that_gives_no_numbers_fails_on_however_few_rows(rows: int) -> None:
    """NaN sorts last, and an AUC of it would look like a figure."""
    broken = SURE.copy()
    broken[3] = math.nan
    gates = {"min_auc": 0.1, "max_auc_drop": 0.9, "max_auc_drop_from_blessed": 0.9}
    for files, failing in (
        ({"shipped": broken, "blessed": SURE}, set(gates)),
        ({"shipped": SURE, "blessed": broken}, {"max_auc_drop_from_blessed"}),
    ):
        verdicts = judged(gates, rows=slice(0, rows), **files)
        assert {key for key, verdict in verdicts.items() if outcome(verdict) == "failed"} == failing
        for key in failing:
            assert verdicts[key].detail.endswith("file are no numbers")
            assert not verdicts[key].passed


@pytest.mark.parametrize(
    ("gates", "passes"),
    [
        ({}, {"max_log_loss_rise": True, "max_log_loss_rise_from_blessed": False}),
        ({"undecided": "refuse"}, dict.fromkeys(("max_log_loss_rise",), False)),
        ({"undecided_from_blessed": "pass"}, {"max_log_loss_rise_from_blessed": True}),
    ],
)
def test_policies(gates: dict[str, str], passes: dict[str, bool]) -> None:
    bounds = {"max_log_loss_rise": 0.25, "max_log_loss_rise_from_blessed": 0.25}
    verdicts = judged({**bounds, **gates}, UNSURE, blessed=SURE)
    assert all(verdict.undecided for verdict in verdicts.values())
    assert {key: verdicts[key].passed for key in passes} == passes


SLICES = {"slice_user": np.where(USERS < 30, "seen", "new")}


def by_slice(slices: dict[str, Any], shipped: Any) -> dict[str, Verdict]:
    config = GatesConfig.model_validate({"slices": slices})
    scores = {"shipped": shipped, "float": SURE}
    verdicts = slice_verdicts(config, SLICES, LABELS, scores, USERS)
    return {verdict.name: verdict for verdict in verdicts}


def test_slices_have_their_own_bounds_and_small_ones_are_undecided() -> None:
    verdicts = by_slice({"user": {"min_gauc": 0.9, "max_auc_drop": 0.01}}, WRONG)
    assert {name: outcome(verdict) for name, verdict in verdicts.items()} == {
        "GAUC, user = new": "undecided",
        "AUC lost to float, user = new": "undecided",
        "GAUC, user = seen": "failed",
        "AUC lost to float, user = seen": "failed",
    }
    assert verdicts["GAUC, user = new"].detail == "10 users with both labels, 20 are needed"
    assert verdicts["GAUC, user = seen"].key == "gates.slices.user.min_gauc"


def test_one_value_alone_also_one_that_no_row_has() -> None:
    slices = {"user = seen": {"min_auc": 0.9}, "user = gone": {"min_auc": 0.9, "min_gauc": 0.9}}
    verdicts = by_slice(slices, SURE)
    assert {name: outcome(verdict) for name, verdict in verdicts.items()} == {
        "AUC, user = seen": "passed",
        "AUC, user = gone": "undecided",
        "GAUC, user = gone": "undecided",
    }
    assert verdicts["AUC, user = gone"].detail.startswith("0 users with a positive row")


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        # Lost 0.30, give or take sqrt(2) * 0.02; 0.02; 0.10.
        (0.85, 0.55, "failed"),
        (0.80, 0.78, "passed"),
        (0.80, 0.70, "undecided"),
        (0.70, 0.80, "passed"),
    ],
)
def test_a_model_is_held_to_what_the_last_one_had_on_its_own_rows(
    before: float, now: float, outcome: str
) -> None:
    def figures(auc: float) -> dict[str, Any]:
        return {"auc": auc, "interval": {"auc": [auc - 0.02, auc + 0.02]}}

    last = {"stages": {"shipped": figures(before)}}
    [verdict] = fall_verdicts(GatesConfig(), figures(now), last)
    assert verdict.value == pytest.approx(before - now)
    assert verdict.interval == pytest.approx(
        (before - now - math.hypot(0.02, 0.02), before - now + math.hypot(0.02, 0.02))
    )
    assert verdict.undecided is (outcome == "undecided")
    assert verdict.passed is (outcome != "failed")
    [refused] = fall_verdicts(GatesConfig(undecided="refuse"), figures(now), last)
    assert refused.passed is (outcome == "passed")
    assert fall_verdicts(GatesConfig(max_auc_fall=None), figures(now), last) == []
    assert fall_verdicts(GatesConfig(), figures(now), {}) == []
