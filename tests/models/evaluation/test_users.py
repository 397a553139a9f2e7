"""Whose rows a split holds, by hand."""

from __future__ import annotations

import numpy as np

from ranklite.models.evaluation import users

LABELS = np.array([0, 0, 0, 1, 1, 1, 0, 1, 1, 0], np.float32)
SCORES = np.array([0.1, 0.2, 0.1, 0.4, 0.6, 0.5, 0.7, 0.8, 0.9, 0.3], np.float32)
NAMES = np.array(["ann"] * 4 + ["bob", "bob", "cy", "cy", "di", "ed"])


def test_users_with_both_labels_and_their_rows() -> None:
    assert users.spread(LABELS, NAMES) == {
        "users": 5,
        "largest_share": 0.4,
        "both_labels": 2,  # ann and cy
        "both_labels_share": 0.6,
    }


def test_a_user_with_many_rows_is_told_with_what_it_does_to_the_auc() -> None:
    """Pairs in order, without ann: .6 > .3, .5 > .3, .8 and .9 > .7 and .3: 6 of 8.

    With her: .6 .5 .8 .9 are above her three negatives (12 pairs), and her .4 above these three and
    .3 (4): 22 of 25.
    """
    [sentence] = users.warnings(LABELS, NAMES, SCORES, "test")
    assert sentence == (
        "One user has 4 of the 10 rows of the test split (40.0%), 25.0% of them positive against "
        "66.7% of the others. AUC over all rows, 0.8800, also rewards knowing whose row it is; "
        "without these rows it is 0.7500. 3 users have more than 10% each. Look at GAUC."
    )
    assert "ann" not in sentence.split()


def test_a_tenth_each_is_no_warning() -> None:
    assert users.warnings(LABELS, np.arange(10).astype(str), SCORES, "test") == []
    assert users.warnings(LABELS, None, SCORES, "test") == []
    nobody = LABELS[:0]
    assert users.warnings(nobody, NAMES[:0], nobody, "test") == []


def test_rows_of_nobody_are_not_called_a_user() -> None:
    names = np.where(NAMES == "ann", "", NAMES)
    [sentence] = users.warnings(LABELS, names, SCORES, "test")
    assert sentence.startswith("No user is named in 4 of the 10 rows")


def test_one_user_alone_is_compared_with_nobody() -> None:
    [sentence] = users.warnings(LABELS, np.array(["ann"] * 10), SCORES, "eval")
    assert sentence == "One user has 10 of the 10 rows of the eval split (100.0%). Look at GAUC."
