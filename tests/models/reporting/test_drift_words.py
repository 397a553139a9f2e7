"""Whether the label's rate drifts between splits, by numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ranklite.models.reporting.drift_words import warnings


def split(rows: int, positives: int, first: float | None = 0, last: float | None = 9) -> Any:
    return {"rows": rows, "positives": positives, "first_time": first, "last_time": last}


def told(train: Any, test: Any) -> bool:
    return bool(warnings({"splits": {"train": train, "test": test}}))


@pytest.mark.parametrize(
    ("positives", "expected"),
    [
        # 1,000 rows each: p = .135, z = .03 / sqrt(.135 * .865 * 2 / 1000) = 1.96.
        (150, False),
        # p = .165, z = .09 / sqrt(.165 * .835 * 2 / 1000) = 5.42, ratio 1.75.
        (210, True),
        # p = .1525, z = .065 / .01608 = 4.04; p = .152, z = .064 / .01606 = 3.99.
        (185, True),
        (184, False),
    ],
)
def test_more_than_noise(positives: int, expected: bool) -> None:
    assert told(split(1000, 120), split(1000, positives)) == expected
    assert told(split(1000, positives), split(1000, 120)) == expected


def test_what_is_certain_and_small_is_not_told() -> None:
    many = 10**7  # z is 37 and 75
    assert not told(split(many, many // 10), split(many, int(many * 0.105)))
    assert told(split(many, many // 10), split(many, int(many * 0.1101)))


def test_the_rarer_label_counts() -> None:
    assert told(split(10_000, 9000), split(10_000, 9500))  # negatives halve
    assert told(split(10_000, 1000), split(10_000, 500))
    assert not told(split(10_000, 5000), split(10_000, 5400))  # z is 5.7, the ratio 1.087


def test_splits_that_say_nothing() -> None:
    assert warnings({}) == []
    assert warnings({"splits": {"test": split(1000, 500)}}) == []
    assert not told(split(1000, 0), split(1000, 0))
    assert not told(split(1000, 1000), split(1000, 1000))
    assert not told(split(1000, 500), split(0, 0))


def test_the_sentence_has_every_rate_and_what_follows() -> None:
    splits = {
        "train": split(10_000, 1200, 0, 80),
        "eval": split(1000, 110, 80, 90),
        "test": split(1000, 60, 90, 99),
    }
    (sentence,) = warnings({"splits": splits})
    assert sentence == (
        "the share of positives drifts: train 12.0 %, eval 11.0 %, test 6.0 %; scores keep the "
        "rate of the rows that they were learned from, and calibration on later ones is off by as "
        "much; train more often, or on a shorter window"
    )


@pytest.mark.parametrize("times", [(5, 20), (None, None)])
def test_splits_that_time_does_not_cut(times: Any) -> None:
    splits = {"train": split(10_000, 1200, 0, 80), "test": split(1000, 60, *times)}
    (sentence,) = warnings({"splits": splits})
    assert sentence.endswith(
        "train 12.0 %, test 6.0 %; the splits are not cut by time, so what they are drawn by tells "
        "of the label, or few users have many of the rows"
    )
