"""How well one column alone separates the labels, against figures worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.models.evaluation import leaks
from ranklite.models.features.layout import MISSING_INT64
from ranklite.models.features.raw_column import RawColumn

NAN = float("nan")
NUMBER = RawColumn("x", "float32", categories=False)
ID = RawColumn("x", "int64")
TEXT = RawColumn("x", "string")
LIST = RawColumn("x", "string", length=3)


def alone(column: RawColumn, values: Any, labels: Any) -> float:
    return leaks.separations([column], {"x": values}, np.asarray(labels, np.float32))["x"]


def numbers(*pattern: float, times: int = 20) -> Any:
    return np.array(pattern * times, np.float32)


def test_a_number_by_hand() -> None:
    """Pairs of (positive, negative): .9 > .8, .9 > .1, .7 < .8, .7 > .1: three of four."""
    labels, values = numbers(1, 0, 1, 0), numbers(0.9, 0.8, 0.7, 0.1)
    assert alone(NUMBER, values, labels) == 0.75
    assert alone(NUMBER, -values, labels) == 0.75  # the sign of a feature is the model's business


def test_only_present_numbers_count_and_their_presence_does_too() -> None:
    labels = numbers(1, 0, 1, 0, 1, 0)
    values = numbers(0.9, 0.8, 0.7, 0.1, NAN, np.inf)
    assert alone(NUMBER, values, labels) == 0.75
    # Present in each positive and in one of three negatives: 1 * 2/3 + 1/2 * 1/3.
    values = numbers(3, 3, 3, NAN, 3, NAN)
    assert alone(NUMBER, values, labels) == pytest.approx(2 / 3 + 1 / 6)


def test_a_constant_says_nothing_and_what_is_missing_is_skipped() -> None:
    labels = numbers(1, 0, 1, 0, times=50)
    assert alone(NUMBER, np.full(200, 3.0), labels) == 0.5
    assert alone(ID, np.full(200, 3), labels) == 0.5
    assert alone(TEXT, np.array([b"a"] * 200, np.object_), labels) == 0.5
    for column, missing in ((NUMBER, NAN), (ID, MISSING_INT64)):
        assert math.isnan(alone(column, np.full(200, missing), labels))
    assert math.isnan(alone(TEXT, np.array([b""] * 200, np.object_), labels))
    assert math.isnan(alone(LIST, np.full((200, 3), b"", np.object_), labels))


def test_a_few_rows_prove_nothing() -> None:
    few = leaks.LEAST_LABELS - 1
    labels = np.array([1] * few + [0] * 500)
    assert math.isnan(alone(NUMBER, labels * 2.0, labels))
    assert math.isnan(alone(ID, labels * 2, labels))
    labels[few] = 1
    assert alone(NUMBER, labels * 2.0, labels) == 1.0


def test_a_category_by_hand() -> None:
    """Three of four rows of "a" are positive and one of four of "b".

    Of 16 (positive, negative) pairs in 8 rows of the judged half, 9 have "a" above "b" and 6 tie.
    """
    pairs = [(b"a", 1)] * 3 + [(b"a", 0), (b"b", 1)] + [(b"b", 0)] * 3
    learned = (leaks.row_hash(0, 1000) & np.uint64(1)).astype(bool)
    whole = np.concatenate([np.flatnonzero(half)[:400] for half in (learned, ~learned)])
    values, labels = np.full(1000, b"", np.object_), np.zeros(1000)
    values[whole], labels[whole] = zip(*pairs * 100, strict=True)
    end = int(np.sort(whole)[-1]) + 1
    assert end < 1000
    renamed = np.where(values == b"a", 7, np.where(values == b"b", 5, MISSING_INT64))
    assert alone(ID, renamed, labels) == alone(TEXT, values, labels)
    assert alone(LIST, values[:, None], labels) == alone(TEXT, values, labels)


def test_ids_that_are_seen_once_or_rarely_separate_nothing() -> None:
    labels = np.array([1, 0] * 500)
    assert alone(ID, np.arange(1000), labels) == 0.5
    pairs = np.repeat(np.arange(500), 2)
    assert alone(ID, pairs, np.repeat([1, 0] * 250, 2)) == 0.5  # though each id has one label


def test_an_id_that_has_one_label_in_many_rows_does() -> None:
    random = np.random.default_rng(0)
    users = random.integers(0, 20, 2000)
    assert alone(ID, users, users % 2) == 1.0
    assert abs(alone(ID, users, random.integers(0, 2, 2000)) - 0.5) < 0.05


def test_a_value_in_a_list_gives_the_label_away() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 2000)
    tags = np.array([b"%d" % tag for tag in range(30)], np.object_)
    lists = tags[random.integers(0, 30, (2000, 3))]
    lists[random.random((2000, 3)) < 0.3] = b""
    assert abs(alone(LIST, lists, labels) - 0.5) < 0.06
    lists[labels == 1, 2] = b"bought"
    assert alone(LIST, lists, labels) > 0.99


def test_an_empty_list_is_a_value_too() -> None:
    labels = np.array([1, 0] * 500)
    lists = np.full((1000, 3), b"", np.object_)
    lists[labels == 1, 0] = b"seen"
    assert alone(LIST, lists, labels) == 1.0


rows = st.lists(  # each row four times: enough of either label in both halves
    st.tuples(st.integers(0, 1), st.one_of(st.none(), st.integers(-50, 50))),
    min_size=60,
    max_size=120,
).map(lambda drawn: 4 * drawn)


@given(
    rows,
    st.sampled_from([np.arctan, np.exp, np.cbrt, lambda x: 3 * x - 7, lambda x: -x, np.negative]),
)
def test_monotone_transforms_of_a_number_change_nothing(
    drawn: list[tuple[int, int | None]], transform: Callable[[Any], Any]
) -> None:
    labels = [label for label, _ in drawn]
    values = np.array([NAN if value is None else value / 10 for _, value in drawn])
    before, after = alone(NUMBER, values, labels), alone(NUMBER, transform(values), labels)
    assert before == pytest.approx(after, nan_ok=True)
    assert math.isnan(before) or before >= 0.5


@given(rows, st.permutations(range(101)))
def test_names_of_categories_do_not_matter(
    drawn: list[tuple[int, int | None]], names: list[int]
) -> None:
    labels = [label for label, _ in drawn]
    values = np.array([MISSING_INT64 if value is None else value for _, value in drawn])
    renamed = np.array([MISSING_INT64 if v is None else names[v + 50] for _, v in drawn])
    assert alone(ID, values, labels) == pytest.approx(alone(ID, renamed, labels), nan_ok=True)


def test_the_verdict_names_what_is_beyond_the_limit() -> None:
    measured = {"price": 0.6, "watched": 0.99912, "sold": 0.991, "gone": NAN}
    [verdict] = leaks.verdicts(0.99, measured)
    assert not verdict.passed
    assert (verdict.name, verdict.value) == ("AUC of one feature alone", 0.99912)
    assert verdict.detail == "watched, sold"
    watched, sold = leaks.warnings(0.99, measured, measured, "eval")
    assert watched.startswith(
        "watched alone separates the labels of the eval split with AUC 0.9991"
    )
    assert "Take it out, or compute it from earlier rows" in sold
    assert leaks.warnings(None, measured, measured, "eval") == []
    [verdict] = leaks.verdicts(0.99, {"price": 0.6, "gone": NAN})
    assert (verdict.passed, verdict.value, verdict.detail) == (True, 0.6, "")
    assert leaks.verdicts(None, {"watched": 1.0}) == []
    assert leaks.verdicts(0.99, {"gone": NAN}) == []


@pytest.mark.parametrize(
    ("train", "judged", "warned"),
    [
        (0.95, 0.6, True),
        (0.81, 0.70, True),
        (0.95, 0.86, False),
        (0.79, 0.5, False),
        (NAN, 0.5, False),
        (0.95, NAN, False),
    ],
)
def test_a_fall_from_train_is_a_warning(train: float, judged: float, warned: bool) -> None:
    before, later = {"price": 0.6, "plays": train}, {"price": 0.6, "plays": judged}
    result = leaks.warnings(0.99, before, later, "test")
    assert len(result) == warned
    for sentence in result:
        assert sentence.startswith(
            f"plays alone has AUC {train:.3f} on the train split and {judged:.3f} on the test split"
        )
