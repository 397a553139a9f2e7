"""What a model has to beat: the mean, a logistic regression, boosted trees; seconds each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models import progress
from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout

Array = npt.NDArray[Any]
Inputs = Mapping[str, Array]

CONSTANT = "constant"
MOST_ROWS = 100_000  # that a baseline of a run learns from, the newest: about ten seconds
_LEAST_HELD_OUT = 1000  # rows
_COLUMNS = 500  # that a split of a tree looks at
_CATEGORIES = 255  # of a column that trees take as categories; codes of others are numbers


def constant(layout: FeatureLayout, train: Inputs, labels: Array, judged: Inputs) -> Array:
    """The share of positives in the train split, for every row.

    Args:
      layout: Of the features.
      train: `ids` [R, S] and `numeric` [R, N] of the train split.
      labels: [R] of 0 and 1.
      judged: The rows to score.

    Returns:
      Probabilities [J].
    """
    return np.full(len(judged[IDS]), labels.mean(), np.float32)


def logistic_regression(
    layout: FeatureLayout, train: Inputs, labels: Array, judged: Inputs
) -> Array:
    """A logistic regression on the ids, one-hot (lists as a mean), and the numbers.

    Arguments and result are those of `constant`.
    """
    from scipy import sparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    def columns(rows: Inputs) -> Any:
        ids = rows[IDS]
        present = ids > 0  # padding is row 0
        weights = np.concatenate(
            [
                here / np.maximum(here.sum(axis=1, keepdims=True), 1)
                for here in (present[:, f.start : f.start + f.length] for f in layout.fields)
            ],
            axis=1,
        )
        where = np.repeat(np.arange(len(ids)), ids.shape[1])
        one_hot = sparse.csr_matrix(
            (weights.ravel().astype(np.float32), (where, ids.ravel())),
            shape=(len(ids), layout.table_rows),
        )
        return sparse.hstack([one_hot, sparse.csr_matrix(_numbers(layout, rows))]).tocsr()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nobody needs its last digits
        model = LogisticRegression(max_iter=200).fit(columns(train), labels)
    return np.asarray(model.predict_proba(columns(judged))[:, 1], np.float32)


def boosted_trees(layout: FeatureLayout, train: Inputs, labels: Array, judged: Inputs) -> Array:
    """Gradient boosting on the numbers and the ids, those with few values as categories.

    Of many columns a node's split looks at some that are drawn for it: the time grows no further.

    Arguments and result are those of `constant`.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    single = [field for field in layout.fields if field.length == 1]
    start = [field.start for field in single]
    codes = np.array([field.offset for field in single])

    def columns(rows: Inputs) -> Array:
        return np.concatenate([rows[IDS][:, start] - codes, _numbers(layout, rows)], axis=1)

    few = [k for k, field in enumerate(single) if field.rows <= _CATEGORIES]
    learned = columns(train)
    model = HistGradientBoostingClassifier(
        max_features=min(1.0, _COLUMNS / max(1, learned.shape[1])),
        # It holds a tenth of the rows out, which of few rows may be of one label.
        early_stopping=len(labels) >= _LEAST_HELD_OUT,
        random_state=0,
        categorical_features=few,
    )
    model.fit(learned, labels)
    return np.asarray(model.predict_proba(columns(judged))[:, 1], np.float32)


BASELINES: dict[str, Callable[[FeatureLayout, Inputs, Array, Inputs], Array]] = {
    CONSTANT: constant,
    "logistic regression": logistic_regression,
    "boosted trees": boosted_trees,
}


def scores(
    layout: FeatureLayout,
    train: Inputs,
    labels: Array,
    judged: Inputs,
    most: int = MOST_ROWS,
) -> dict[str, Array]:
    """Probabilities [J] of each baseline.

    Args:
      layout: Of the features.
      train: `ids` [R, S] and `numeric` [R, N] of the train split.
      labels: [R] of 0 and 1.
      judged: The rows to score.
      most: Rows to learn from, the last ones.

    Example:
        >>> layout = FeatureLayout.build([("shop", 1, 2)])
        >>> ids = np.array([[3], [4]] * 50)
        >>> labels = np.array([0, 1] * 50)
        >>> made = scores(layout, {"ids": ids}, labels, {"ids": np.array([[3], [4]])})
        >>> made["constant"].tolist()
        [0.5, 0.5]
        >>> bool(made["logistic regression"][1] > 0.9 > 0.1 > made["logistic regression"][0])
        True
    """
    newest = {name: column[-most:] for name, column in train.items()}
    labels = np.asarray(labels[-most:])
    # Of a single label there is nothing else to learn.
    learned = BASELINES if len(np.unique(labels)) > 1 else {CONSTANT: constant}
    made = {}
    for name, learn in learned.items():
        progress.report(f"the baseline: {name}")
        made[name] = learn(layout, newest, labels, judged)
    return made


def _numbers(layout: FeatureLayout, rows: Inputs) -> Array:
    """The standardized numbers, without the weights of pools."""
    if NUMERIC not in rows:
        return np.zeros((len(rows[IDS]), 0), np.float32)
    return rows[NUMERIC][:, : layout.num_numbers]
