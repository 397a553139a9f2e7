"""How the rows of a split are spread over users: whether its AUC and its GAUC can be relied on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation.metrics import auc

Array = npt.NDArray[Any]
LARGE = 0.1  # share of the rows beyond which one user bends an AUC over all rows


def spread(labels: Array, users: Array) -> dict[str, Any]:
    """How many users there are, and how many of them GAUC is about.

    Args:
      labels: [R] of 0 and 1.
      users: Names [R].

    Returns:
      `users`, how many; `largest_share`, of the rows, of the user who has most; `both_labels`, how
      many users have a positive and a negative; `both_labels_share`, of the rows, of these: the
      rows that GAUC weighs by. Shares are NaN where there are no rows.

    Example:
        >>> spread(np.array([1, 0, 1, 1]), np.array(["a", "a", "b", "c"]))
        {'users': 3, 'largest_share': 0.5, 'both_labels': 1, 'both_labels_share': 0.5}
    """
    names, user = np.unique(users, return_inverse=True)
    rows = np.bincount(user, minlength=len(names))
    positives = np.bincount(user, labels, len(names))
    both = (positives > 0) & (positives < rows)
    total = len(labels) or float("nan")
    return {
        "users": len(names),
        "largest_share": float(rows.max(initial=0) / total),
        "both_labels": int(both.sum()),
        "both_labels_share": float(rows[both].sum() / total),
    }


def warnings(labels: Array, users: Array | None, scores: Array, split: str) -> list[str]:
    """A sentence where one user has more than a tenth of the rows; it does not name the user.

    AUC over all rows compares rows of different users. Where one user has many of them and likes
    little, a score that only tells this user from the others raises it.

    Args:
      labels: [R] of 0 and 1.
      users: Names [R], "" where a row has none; None where the log names no users.
      scores: Of the shipped file [R].
      split: Name of the split.
    """
    if users is None or not len(labels):
        return []
    names, user = np.unique(users, return_inverse=True)
    rows = np.bincount(user)
    if rows.max() <= LARGE * len(labels):
        return []
    largest = int(np.argmax(rows))
    theirs = user == largest
    who = "One user has" if names[largest] else "No user is named in"
    of = f"{rows[largest]:,} of the {len(labels):,} rows of the {split} split"
    sentences = [f"{who} {of} ({theirs.mean():.1%})"]
    if not theirs.all():
        mine, others = labels[theirs].mean(), labels[~theirs].mean()
        sentences[0] += f", {mine:.1%} of them positive against {others:.1%} of the others"
        whole, rest = auc(labels, scores), auc(labels[~theirs], scores[~theirs])
        effect = f"AUC over all rows, {whole:.4f}, also rewards knowing whose row it is"
        sentences += [f"{effect}; without these rows it is {rest:.4f}"]
    large = int(np.count_nonzero(rows > LARGE * len(labels)))
    if large > 1:
        sentences += [f"{large} users have more than {LARGE:.0%} each"]
    return [". ".join([*sentences, "Look at GAUC."])]
