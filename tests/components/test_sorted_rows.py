"""The search for what came before, against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.components.log_example_gen.point_in_time import sorted_rows
from ranklite.components.log_example_gen.point_in_time.sorted_rows import SortedRows

_TIMES = st.one_of(st.integers(-3, 3), st.integers(-(10**15), 10**15).map(lambda t: t * 1000))


@given(
    st.lists(st.tuples(st.integers(0, 3), _TIMES, st.booleans()), min_size=1, max_size=30),
    st.lists(_TIMES, min_size=1, max_size=10),
    st.booleans(),
)
def test_counts_of_events_before_a_time(
    rows: list[tuple[int, int, bool]], asked: list[int], by_moments: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if by_moments:
            patch.setattr(sorted_rows, "_MOST", 0)
        rows = sorted(rows)
        keys = np.cumsum([k > 0 and rows[k][0] != rows[k - 1][0] for k in range(len(rows))])
        times = np.array([time for _, time, _ in rows])
        events = np.array([is_event for *_, is_event in rows])
        made = SortedRows(keys, times, events, None, None)
        for key in np.unique(keys):
            before = made.before(np.full(len(asked), key), np.array(asked))
            started = made.first(np.full(len(asked), key))
            smaller = events & (keys < key)
            for time, count, start in zip(asked, before, started, strict=True):
                assert start == smaller.sum()
                assert count == (smaller | events & (keys == key) & (times < time)).sum()
