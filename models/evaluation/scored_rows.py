"""The scores of a split row by row, kept so that another run's can be compared with them."""

from __future__ import annotations

import dataclasses
import io
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.files import write

Array = npt.NDArray[Any]
MOST_ROWS = 200_000  # 1 to 5 MB
_SCORE, _SLICE = "score.", "slice."


@dataclasses.dataclass(frozen=True)
class ScoredRows:
    """Scores of every stage on the rows of a split, or on those of a sample of its users.

    Attributes:
      labels: uint8 [R].
      users: int32 [R], numbers instead of names; None where the log names no user.
      scores: float32 [R] by stage.
      slices: Values [R] by column that the evaluation is sliced by.
      identity: Digest of each column that tells which rows these are, over the whole split.
      total: Rows of the whole split.
    """

    labels: Array
    users: Array | None
    scores: dict[str, Array]
    slices: dict[str, Array]
    identity: dict[str, str]
    total: int

    @classmethod
    def of(
        cls,
        labels: Array,
        users: Array | None,
        scores: Mapping[str, Array],
        slices: Mapping[str, Array],
        identity: dict[str, str],
        most: int = MOST_ROWS,
    ) -> ScoredRows:
        """Keeps all rows, or if they are too many all rows of as many users as fit.

        Which users depends on a hash of their names alone, so that two runs on the same rows keep
        the same ones. Without users, rows are chosen by their number.

        Args:
          labels: [R] of 0 and 1.
          users: Names [R], or None.
          scores: Probabilities [R] by stage.
          slices: Strings [R] by column.
          identity: What `row_identity` makes of the rows; empty where that is not known.
          most: Rows to keep at most.
        """
        kept = whole_units(np.arange(len(labels)) if users is None else users, most)
        return cls(
            labels=np.asarray(labels)[kept].astype(np.uint8),
            users=None
            if users is None
            else np.unique(users[kept], return_inverse=True)[1].astype(np.int32),
            scores={stage: values[kept].astype(np.float32) for stage, values in scores.items()},
            slices={column: values[kept] for column, values in slices.items()},
            identity=identity,
            total=len(labels),
        )

    def same_rows(self, other: ScoredRows) -> bool:
        """Whether both scored the same rows in the same order: what both know of them agrees."""
        shared = set(self.identity) & set(other.identity)
        return (
            self.total == other.total
            and np.array_equal(self.labels, other.labels)
            and len(shared - {"label"}) > 0
            and all(self.identity[name] == other.identity[name] for name in shared)
        )

    def save(self, path: str) -> None:
        """Writes one compressed `.npz` file; a reader sees all of it or nothing."""
        arrays: dict[str, Any] = {_SCORE + name: values for name, values in self.scores.items()}
        arrays |= {_SLICE + name: values.astype(str) for name, values in self.slices.items()}
        if self.users is not None:
            arrays["users"] = self.users
        about = json.dumps({"identity": self.identity, "total": self.total})
        content = io.BytesIO()
        np.savez_compressed(content, labels=self.labels, about=np.array(about), **arrays)
        write(path, content.getvalue())

    @classmethod
    def load(cls, path: str) -> ScoredRows:
        """Reads what `save` wrote."""
        with np.load(path) as arrays:

            def named(prefix: str) -> dict[str, Array]:
                result = [name for name in arrays.files if name.startswith(prefix)]
                return {name.removeprefix(prefix): arrays[name] for name in result}

            return cls(
                labels=arrays["labels"],
                users=arrays.get("users"),
                scores=named(_SCORE),
                slices=named(_SLICE),
                **json.loads(str(arrays["about"])),
            )


def whole_units(units: Array, most: int) -> Array:
    """Mask of some rows: all of as many units as fit, in the order of a hash of their names.

    Args:
      units: What each row belongs to [R], such as its user.
      most: Rows to keep at most; one unit is kept even if it alone has more.

    Example:
        >>> whole_units(np.array(["a", "b", "a", "c"]), 2)
        array([False,  True, False,  True])
    """
    if len(units) <= most:
        return np.ones(len(units), bool)
    names, unit = np.unique(units, return_inverse=True)
    order = np.argsort([zlib.crc32(str(name).encode()) for name in names], kind="stable")
    fits = np.cumsum(np.bincount(unit)[order]) <= most
    fits[0] = True  # one user alone may be too many
    kept = np.zeros(len(names), bool)
    kept[order[fits]] = True
    return kept[unit]
