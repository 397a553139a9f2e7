"""Candidates whose features are encoded once, to be ranked for many users."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranklite.models.serving.inputs import Inputs
from ranklite.models.serving.tables import Table

if TYPE_CHECKING:
    from ranklite.models.export.halves import Prepared

Array = npt.NDArray[Any]
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class PreparedItems:
    """What `Scorer.prepare` makes of candidates; nothing of it changes any more.

    Attributes:
      inputs: Encoded values [R] or [R, length] by feature, of what the candidates hold.
      keys: A mapping a candidate with the values that a user's history is looked up by; without
        such columns there is none.
      rows: R.
      made_for: The scorer's path: another model encodes otherwise.
      parts: What the file computes of them alone; None where it is not known before.
    """

    inputs: Mapping[str, Array]
    keys: Sequence[Row]
    rows: int
    made_for: str
    parts: Prepared | None = None

    def __len__(self) -> int:
        return self.rows


def prepared(inputs: Inputs, items: Any, keys: Collection[str], made_for: str) -> PreparedItems:
    """Encodes candidates.

    Args:
      inputs: Of the model.
      items: A sequence with a mapping for each candidate, all of them with the same features, or a
        table as `Table` takes it.
      keys: Columns that the user's history is looked up by.
      made_for: The scorer's path.

    Raises:
      KeyError: A candidate lacks a feature that another one has.
      TypeError: It is neither.
      ValueError: A value is not of its feature's type.
    """
    if isinstance(items, Sequence) and not isinstance(items, (str, bytes)):
        own = {name for item in items for name in item}
        made = inputs.of_rows(items, names=own)
        for number, item in enumerate(items):  # of what may be left out, such as a history
            absent = made.keys() - item.keys()
            if absent:
                raise KeyError(
                    f"row {number} has no feature {min(absent)!r}, which others have: prepared "
                    "items have the same features"
                )
        rows = len(items)
        known = [{name: item.get(name) for name in keys if name in item} for item in items]
    else:
        table = Table(items)
        rows = table.rows
        made = {
            name: table.encoded(encoder, name, 0, rows, "row {}".format)
            for name, encoder in inputs.encoders.items()
            if name in table.names
        }
        columns = [name for name in keys if name in table.names]
        values = (table.values(name) for name in columns)
        known = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
    for array in made.values():
        array.flags.writeable = False
    return PreparedItems(made, tuple(known) if keys else (), rows, made_for)


def best(scores: npt.NDArray[np.float32], k: int) -> Array:
    """Places of the k highest scores, the highest first; of equal ones the first come first.

    Example:
        >>> best(np.array([0.5, 0.9, 0.5, 0.5], np.float32), 3).tolist()
        [1, 0, 2]
    """
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    if k == 0:
        return np.zeros(0, np.intp)
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    # All that are as high as the last one of them: which of these it is, their places decide.
    places = np.flatnonzero(scores >= least)
    ordered: Array = places[np.argsort(-scores[places], kind="stable")][:k]
    return ordered
