"""Judged rows as the log has them, beside what Transform makes of them, for any file's signatures.

Transform's tables and the vocabularies as texts are large where ids are many: they are read once
for all files, and are gone when the rows are made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.components.file_validator import validation
from ranklite.models.export.target import LoadedModel
from ranklite.models.features.raw_column import RawColumn

Array = npt.NDArray[Any]
Rows = dict[str, Array]


class BothSignatures:
    """Compares a file's signatures on the judged rows, and on some with gaps.

    Args:
      raw: Raw columns [R] or [R, length] of the judged rows.
      columns: What they are.
      transform: Makes inputs of `serving_default` of each of some rows as the log has them.
      words: Reads the values that are looked up, by raw column; called once for each encoder that
        the files have, and what it gives is not kept.
    """

    def __init__(
        self,
        raw: Rows,
        columns: Sequence[RawColumn],
        transform: Callable[[Sequence[Rows]], list[Rows]],
        words: Callable[[], Mapping[str, Sequence[str]]],
    ) -> None:
        self._given = [raw, validation.raw_rows_with_gaps(raw, columns)]
        self._transform, self._words = transform, words
        self._made: list[Rows] = []
        self._right: dict[str, list[Array]] = {}  # by encoder, which rows stand for themselves

    def difference(self, model: LoadedModel) -> float:
        """The largest of a score, on rows whose values the file takes for no other ones."""
        if not self._made:
            self._made = self._transform(self._given)
        encoder = json.dumps(model.encoder.entry(), sort_keys=True) if model.encoder else ""
        if encoder not in self._right:
            words = self._words() if model.encoder else {}
            self._right[encoder] = [
                ~validation.taken_for_others(model, words, given) for given in self._given
            ]
        worst = 0.0
        for given, ids, right in zip(self._given, self._made, self._right[encoder], strict=True):
            pair = [_chosen(rows, right) for rows in (given, ids)]
            worst = max(worst, validation.raw_against_ids(model, *pair))
        return worst


def _chosen(rows: Rows, which: Array) -> Rows:
    return rows if np.all(which) else {name: values[which] for name, values in rows.items()}
