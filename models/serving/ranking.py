"""Ranks candidates for a user: what they share is computed once, and what was prepared never."""

from __future__ import annotations

import dataclasses
import math
import time as clock
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranklite.models.export.target import SERVING_RAW, LoadedModel
from ranklite.models.serving.inputs import Array, Inputs, Row
from ranklite.models.serving.prepared import PreparedItems, best, prepared

if TYPE_CHECKING:
    from ranklite.models.serving.state import History


class Ranking:
    """The candidates' side of a scorer.

    Args:
      model: The file in its runtime.
      inputs: Encodes what it takes.
      user: The user's column, by which the past is his own.
      file: Its path.
    """

    def __init__(self, model: LoadedModel, inputs: Inputs, user: str | None, file: str) -> None:
        self._model, self._inputs, self._file = model, inputs, file
        columns = (encoder.column for encoder in inputs.encoders.values())
        pasts = {column.name: column.past for column in columns if column.past is not None}
        # The file takes one row of these for all candidates of a user.
        self._once = {name for name, past in pasts.items() if past.is_only_of(user)}
        # What nobody sends the file has stored, mostly of the candidate.
        self._stored = {name for name, past in pasts.items() if user not in past.by}

    def scores(self, inputs: Mapping[str, Array]) -> npt.NDArray[np.float32]:
        """The scores of a batch of what the file takes.

        Raises:
          ValueError: One is no number.
        """
        return _checked(self._model.score(inputs, SERVING_RAW), inputs)

    def prepare(self, items: Sequence[Row] | Any, keys: Collection[str]) -> PreparedItems:
        """As `Scorer.prepare`; `keys` are the columns that a user's history is looked up by."""
        made = prepared(self._inputs, items, keys, self._file)
        own = made.inputs.keys() | self._stored
        halves = self._model.halves(own, self._once) if len(made) else None
        if halves is None:
            return made
        missing = self._missing(self._inputs.encoders.keys() - made.inputs.keys(), len(made))
        parts = halves.prepared({**made.inputs, **missing})
        for array in parts.values():
            array.flags.writeable = False
        return dataclasses.replace(made, parts=parts)

    def top_k(
        self,
        user: Row,
        items: Sequence[Row] | PreparedItems,
        k: int,
        history: History | None,
        time: float | None,
    ) -> list[tuple[int, float]]:
        """As `Scorer.top_k`."""
        if k < 0:
            raise ValueError(f"k = {k}; it is a number of items, 0 or more")
        moment = clock.time() if time is None else time
        if history is not None:
            user = {**user, **history.shared(moment)}
        if isinstance(items, PreparedItems):
            scores = self._of_prepared(user, items, history, moment)
        else:
            rows = items if history is None else history.with_past(items, moment)
            scores = self._of_inputs(user, self._inputs.of_items(user, rows), len(rows))
        return [(int(index), float(scores[index])) for index in best(scores, k)]

    def _of_prepared(
        self, user: Row, items: PreparedItems, history: History | None, moment: float
    ) -> npt.NDArray[np.float32]:
        if items.made_for != self._file:
            raise ValueError(
                f"the items were prepared for {items.made_for}; prepare them by the scorer that "
                f"ranks them, of {self._file}"
            )
        own = items.inputs
        if history is not None and history.row_columns:
            rows = history.with_past(items.keys, moment)
            # Columns of what the candidates hold and of what is the user's: computed anew for each.
            of_past = self._inputs.of_rows(rows, names=history.row_columns)
            return self._of_inputs(user, {**own, **of_past}, len(items))
        names = own.keys() | self._stored
        is_sent = any(user.get(name) is not None for name in self._stored - own.keys())
        halves = None if items.parts is None else self._model.halves(names, self._once)
        if halves is None or items.parts is None or is_sent:
            return self._of_inputs(user, own, len(items))
        shared = self._inputs.of_shared(user, names, 1, self._once)
        inputs = {**shared, **self._missing(names, 1)}
        return _checked(halves.score(items.parts, inputs, len(items)), inputs)

    def _of_inputs(
        self, user: Row, own: Mapping[str, Array], count: int
    ) -> npt.NDArray[np.float32]:
        if not count:
            return np.zeros(0, np.float32)
        return self.scores({**own, **self._inputs.of_shared(user, own, count, self._once)})

    def _missing(self, names: Collection[str], count: int) -> dict[str, Array]:
        """Columns without values, of as many rows as the file takes of what candidates share."""
        made = {name: self._inputs.missing(name, 1) for name in names}
        return {
            name: one
            if count == 1 or name in self._once
            else np.broadcast_to(one, (count, *one.shape[1:]))
            for name, one in made.items()
        }


def _checked(scores: npt.NDArray[np.float32], inputs: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Scores as they are.

    Raises:
      ValueError: One is no number; it would rank above all others.
    """
    if not (math.isfinite(scores.item()) if scores.size == 1 else np.isfinite(scores).all()):
        raise ValueError(f"the model gives no number for {dict(inputs)}")
    return scores
