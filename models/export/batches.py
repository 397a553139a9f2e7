"""How a runtime scores many rows: in batches of one size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def in_batches(
    run: Callable[[dict[str, Array], Collection[str]], Array],
    inputs: Mapping[str, Array],
    batch: int,
) -> npt.NDArray[np.float32]:
    """Scores [R] of R rows, some at a time.

    All batches have as many rows, so that a runtime sets its memory up once: the last one begins
    early enough, and gives some rows the same scores again.

    Args:
      run: Gives scores [B, 1] of the inputs of B rows; it is told which of them are others than in
        the batch before.
      inputs: R rows each; one row of what many candidates share goes with each batch of them, and
        so does one that `np.broadcast_to` repeats.
      batch: Most rows at a time.
    """
    rows = max(map(len, inputs.values()))
    if rows <= batch:
        return run(dict(inputs), inputs)[:, 0] if rows else np.zeros(0, np.float32)
    size = -(-rows // -(-rows // batch))
    shared = {n: x[:size] for n, x in inputs.items() if len(x) == 1 or not x.strides[0]}
    own = {name: values for name, values in inputs.items() if name not in shared}
    scores = np.empty(rows, np.float32)
    changed: Collection[str] = inputs
    for first in range(0, rows, size):
        start = min(first, rows - size)
        part = {name: values[start : start + size] for name, values in own.items()}
        scores[start : start + size] = run({**shared, **part}, changed)[:, 0]
        changed = own
    return scores
