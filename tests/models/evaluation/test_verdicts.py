"""Three outcomes, by hand and for any interval; an exact figure has two, and NaN passes none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.models.evaluation.verdicts import at_least, at_most, decide

FINITE = st.floats(-2, 2)
INTERVALS = st.tuples(FINITE, FINITE).map(lambda pair: (min(pair), max(pair)))
ORDER = ("failed", "undecided", "passed")


@pytest.mark.parametrize(
    ("interval", "bound", "outcome"),
    [
        ((0.0001, 0.0004), 0.0005, "passed"),
        ((0.0001, 0.0005), 0.0005, "passed"),  # the bound itself is within
        ((0.0001, 0.0006), 0.0005, "undecided"),
        ((0.0005, 0.0006), 0.0005, "undecided"),
        ((0.0006, 0.0009), 0.0005, "failed"),
        ((0.0, 0.0), 0.0, "passed"),
        ((math.nan, math.nan), 0.5, "undecided"),
    ],
)
def test_an_upper_bound(interval: tuple[float, float], bound: float, outcome: str) -> None:
    assert decide(interval, bound, at_least=False) == outcome


@pytest.mark.parametrize(
    ("interval", "bound", "outcome"),
    [
        ((0.66, 0.70), 0.65, "passed"),
        ((0.65, 0.70), 0.65, "passed"),
        ((0.64, 0.70), 0.65, "undecided"),
        ((0.60, 0.65), 0.65, "undecided"),
        ((0.60, 0.64), 0.65, "failed"),
        ((0.60, math.nan), 0.65, "undecided"),
    ],
)
def test_a_lower_bound(interval: tuple[float, float], bound: float, outcome: str) -> None:
    assert decide(interval, bound, at_least=True) == outcome


@given(INTERVALS, FINITE, FINITE, st.booleans())
def test_a_wider_bound_never_makes_it_worse(
    interval: tuple[float, float], one: float, other: float, lower: bool
) -> None:
    strict, wide = (max, min)[not lower](one, other), (min, max)[not lower](one, other)
    outcomes = [decide(interval, bound, at_least=lower) for bound in (strict, wide)]
    assert ORDER.index(outcomes[0]) <= ORDER.index(outcomes[1])


@given(INTERVALS, INTERVALS, FINITE, st.booleans())
def test_what_is_decided_stays_so_with_more_data(
    interval: tuple[float, float], other: tuple[float, float], bound: float, lower: bool
) -> None:
    """An interval within a decided one has its outcome."""
    inner = (max(interval[0], other[0]), min(interval[1], other[1]))
    outcome = decide(interval, bound, at_least=lower)
    if inner[0] <= inner[1] and outcome != "undecided":
        assert decide(inner, bound, at_least=lower) == outcome


@given(INTERVALS, FINITE)
def test_both_kinds_of_bound_mirror_each_other(interval: tuple[float, float], bound: float) -> None:
    low, high = interval
    assert decide(interval, bound, at_least=True) == decide((-high, -low), -bound, at_least=False)


@given(FINITE, FINITE, st.booleans())
def test_without_width_nothing_is_undecided(value: float, bound: float, lower: bool) -> None:
    (exact,) = (at_least if lower else at_most)("x", value, bound)
    outcome = decide((value, value), bound, at_least=lower)
    assert outcome == ("passed" if exact.passed else "failed")


def test_exact_bounds() -> None:
    (low,) = at_least("distinct scores", 0.7, 0.7, "gates.min_distinct_scores")
    assert (low.passed, low.at_least, low.key) == (True, True, "gates.min_distinct_scores")
    assert not at_least("distinct scores", 0.69, 0.7)[0].passed
    assert at_most("bytes", 10, 10)[0].passed
    assert not at_most("bytes", 11, 10)[0].passed
    assert at_most("bytes", 11, None) == at_least("distinct scores", 0.0, None) == []


def test_nan_never_passes() -> None:
    assert not at_least("distinct scores", math.nan, 0.0)[0].passed
    assert not at_most("bytes", math.nan, 1e9)[0].passed
