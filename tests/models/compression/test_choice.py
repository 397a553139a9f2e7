"""The choice between models that differ by noise, or by more."""

from __future__ import annotations

import numpy as np
import pytest

from ranklite.models.compression.choice import first_as_good

LABELS = np.tile([1.0, 0.0], 50)


def better_on(rows: int) -> np.ndarray:
    """Scores that are right by 0.6 on some rows and 0.5 on all others."""
    scores = np.full(100, 0.5)
    scores[:rows] = np.where(LABELS[:rows] == 1, 0.6, 0.4)
    return scores


def test_what_is_as_good_goes_by_the_order() -> None:
    flat = np.full(100, 0.5)
    assert first_as_good(LABELS, [flat, flat]) == 0
    # One row of 100: the mean gain is g/100, its standard error g sqrt(0.0099) / 10 ~ g/100.5.
    assert first_as_good(LABELS, [flat, better_on(1)]) == 1
    noisy = better_on(1)
    noisy[1] = 0.55  # and a row that is worse by half as much
    assert first_as_good(LABELS, [flat, noisy]) == 0
    assert first_as_good(LABELS, [flat, better_on(50)]) == 1
    assert first_as_good(LABELS, [better_on(50), flat]) == 0


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_scores_that_are_no_numbers_choose_nothing(broken: float) -> None:
    scores = np.full(100, 0.5)
    scores[3] = broken
    assert first_as_good(LABELS, [scores, scores]) in (0, 1)
