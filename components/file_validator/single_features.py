"""Measures what each column alone says of the labels, on the train split and the judged one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ranklite.models.evaluation.leaks import row_hash, separations
from ranklite.models.features import tfrecords
from ranklite.models.features.examples import counted_batches, raw_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.raw_column import RawColumn

MOST_ROWS = 100_000  # of a split: a second or so a column, three where rows hold 20 texts
_BATCH = 4096


def measure(
    features: FeatureSet, train_files: Sequence[str], judged: Sequence[bytes]
) -> dict[str, dict[str, float]]:
    """How well each column alone separates the labels of both splits.

    Both are measured on as many rows: rates of values that are learned from more rows say more, and
    the train split would seem to leak.

    Args:
      features: What is read.
      train_files: Files of raw Examples of the train split; they are read once, in bounded memory.
      judged: Raw Examples of the judged split.

    Returns:
      `train` and `judged`, as `separations` gives them.
    """
    rows = min(MOST_ROWS, len(judged))
    train = counted_batches(tfrecords.in_order(train_files), _BATCH)
    return {
        "train": _separations(features, sample(train, rows)),
        "judged": _separations(features, sample([judged], rows)),
    }


def sample(batches: Iterable[Sequence[bytes]], most: int) -> list[bytes]:
    """The rows whose numbers have the least hashes, in their order; all where they are few.

    Args:
      batches: The rows, in order.
      most: How many to keep; not more than twice as many and a batch are held at a time.
    """
    kept: list[bytes] = []
    hashes = np.empty(0, np.uint64)
    first, limit = 0, np.uint64(2**64 - 1)
    for batch in batches:
        new = row_hash(first, len(batch))
        first += len(batch)
        below = np.flatnonzero(new <= limit)
        kept += [batch[k] for k in below]
        hashes = np.concatenate([hashes, new[below]])
        if len(kept) > 2 * most:
            kept, hashes, limit = _least(kept, hashes, most)
    return _least(kept, hashes, most)[0] if len(kept) > most else kept


def _least(kept: list[bytes], hashes: Any, most: int) -> tuple[list[bytes], Any, np.uint64]:
    limit = np.partition(hashes, most - 1)[most - 1]
    chosen = np.flatnonzero(hashes <= limit)
    return [kept[k] for k in chosen], hashes[chosen], limit


def _separations(features: FeatureSet, records: Sequence[bytes]) -> dict[str, float]:
    label = RawColumn(features.label, "float32")
    raw = raw_inputs(records, [*features.raw_columns, label])
    return separations(features.raw_columns, raw, raw[label.name])
