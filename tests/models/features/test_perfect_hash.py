"""Many keys are placed at once as one bucket after the other would be."""

from __future__ import annotations

import numpy as np
import pytest

from ranklite.models.features.layout import MISSING_INT32, RESERVED_ROWS, FeatureLayout
from ranklite.models.features.perfect_hash import PerfectHash, rows_of
from ranklite.models.features.raw_column import RawColumn

COLUMN = RawColumn("user", "string")
SCATTER = 2_654_435_761


def one_by_one(keys: np.ndarray, buckets: int, size: int) -> np.ndarray:
    """Displacements as the paper's loop finds them: larger buckets first, each for itself."""
    groups: dict[int, list[int]] = {}
    for key in keys.tolist():
        groups.setdefault(key % buckets, []).append(key % size)
    taken: set[int] = set()
    result = np.zeros(buckets, np.int64)
    order = sorted(sorted(groups), key=lambda bucket: -len(groups[bucket]))
    for bucket in order:
        if len(groups[bucket]) > 1:
            result[bucket] = next(
                moved
                for step in range(size)
                for moved in [(bucket * SCATTER + step) % size]
                if not taken & {(start + moved) % size for start in groups[bucket]}
            )
            taken |= {(start + result[bucket]) % size for start in groups[bucket]}
    free = iter(sorted(set(range(size)) - taken))
    for bucket in order:
        if len(groups[bucket]) == 1:
            result[bucket] = (next(free) - groups[bucket][0]) % size
    return result


@pytest.mark.parametrize("count", [1, 2, 7, 100, 3_000])
def test_displacements_are_those_of_one_bucket_after_the_other(count: int) -> None:
    some = np.random.default_rng(count).integers(-(2**31) + 1, 2**31, 2 * count)
    keys = list(dict.fromkeys(some.tolist()))[:count]
    (field,) = FeatureLayout.build([("user", 1, count)]).fields
    made = PerfectHash(COLUMN, keys, field, field.missing_row)
    numbers = np.array([*keys, MISSING_INT32])
    expected = one_by_one(numbers, made.buckets, made.size)
    assert made.displacement.tolist() == expected.tolist()
    places = (numbers % made.size + expected[numbers % made.buckets]) % made.size
    assert made.keys[places].tolist() == numbers.tolist()
    first = field.offset + RESERVED_ROWS
    assert made.rows[places].tolist() == [*range(first, first + count), field.missing_row]


def test_of_equal_keys_the_first_counts() -> None:
    (field,) = FeatureLayout.build([("user", 1, 5)]).fields
    keys, rows = rows_of([9, None, 4, 9, -2], field)
    assert keys.tolist() == [9, 4, -2]
    assert (rows - rows[0]).tolist() == [0, 2, 4]
