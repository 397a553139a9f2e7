"""Splits that were parsed once and stay in memory, where they fit into it."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ranklite.models.training import streams

MOST_BYTES = 1 << 28  # of all splits that a process holds at a time

Columns = dict[str, tf.Tensor]
Arrays = dict[str, npt.NDArray[np.generic]]
Key = tuple[object, ...]

_held: collections.OrderedDict[Key, Columns | None] = collections.OrderedDict()
_lock = threading.Lock()


def columns(
    files: Sequence[str], what: Key, parsed: Callable[[], Iterator[Arrays]]
) -> Columns | None:
    """The columns of some files, parsed the first time that they are asked for.

    A file that was written anew is read anew. Where all splits together would be larger than
    `MOST_BYTES`, those that were used longest ago are forgotten; a split that alone is larger is
    not held, and is not tried again.

    Args:
      files: The files that are read.
      what: What is read of them; part of what is remembered.
      parsed: Batches of columns, in the order of the rows, each of the same dtypes.

    Returns:
      A tensor of R rows by column; None where they do not fit.

    Example:
        >>> made = columns([], ("doc",), lambda: iter([{"x": np.arange(2)}, {"x": np.arange(3)}]))
        >>> made["x"].numpy().tolist()
        [0, 1, 0, 1, 2]
    """
    key = (*what, *streams.states(files))
    with _lock:
        if key not in _held:
            _held[key] = _read(parsed())
        _held.move_to_end(key)
        made = _held[key]
        while _bytes() > MOST_BYTES:
            oldest = next(other for other, kept in _held.items() if kept is not None)
            del _held[oldest]
    return made


def clear() -> None:
    """Gives the memory back."""
    with _lock:
        _held.clear()


def _bytes() -> int:
    return sum(map(_size, _held.values()))


def _size(held: Columns | None) -> int:
    return sum(c.shape.num_elements() * c.dtype.size for c in held.values()) if held else 0


def _read(batches: Iterator[Arrays]) -> Columns | None:
    """All rows in one tensor a column; None as soon as they are too many."""
    parts: dict[str, list[npt.NDArray[np.generic]]] = {}
    size = 0
    for batch in batches:
        size += sum(column.nbytes for column in batch.values())
        if size > MOST_BYTES:
            return None
        for name, column in batch.items():
            parts.setdefault(name, []).append(column)
    with tf.device("/CPU:0"):
        # Popped, so that no more than one column is there twice at a time.
        return {name: tf.constant(np.concatenate(parts.pop(name))) for name in list(parts)}
