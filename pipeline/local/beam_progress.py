"""Counts the records that Beam reads inside of TFX's stages: to show how far, and to miss none."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from ranklite.models import progress
from ranklite.models.features import row_counts
from ranklite.pipeline.stack import beam_in_process

EVERY = 100  # records between two reports: one for each would be felt


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Reports the records that Beam reads in this process, and of how many; holds it to them.

    A stage builds all of its sources before it reads the first, reads each of them once, and works
    on some records before it reads on: the count is how far the stage is. Beam's own counters are
    handed out when a pipeline has ended, and TFX's stages choose their sources by themselves, so
    their reading is listened to where it happens. A step after each source would need no private
    name, but lengthens the reading by some percent. Workers in other processes are not heard.
    """
    from apache_beam.io import tfrecordio

    source: Any = tfrecordio._TFRecordSource
    transform: Any = tfrecordio.ReadFromTFRecord
    reading = _Reading()
    read_records, init = source.read_records, transform.__init__

    def noted(self: Any, file_pattern: Any, *args: Any, **kwargs: Any) -> None:
        init(self, file_pattern, *args, **kwargs)
        reading.expect(str(file_pattern))

    def counting(self: Any, file: str, *args: Any) -> Iterator[Any]:
        records = read_records(self, file, *args)
        with row_counts.counted([file]) as counter:
            while some := list(itertools.islice(records, EVERY)):
                yield from some
                reading.add(len(some))
                counter.add(len(some))

    transform.__init__, source.read_records = noted, counting
    try:
        with beam_in_process():
            yield
    finally:
        transform.__init__, source.read_records = init, read_records


class _Reading:
    """What one pipeline of Beam's reads; the first source of the next one starts anew."""

    def __init__(self) -> None:
        self._patterns: list[str] = []
        self._rows: progress.Rows | None = None

    def expect(self, pattern: str) -> None:
        """A source was built that will be read."""
        if self._rows is not None:
            self._patterns, self._rows = [], None
        self._patterns.append(pattern)

    def add(self, records: int) -> None:
        """So many more were read."""
        if self._rows is None:
            self._rows = progress.Rows("read", _total(self._patterns))
        self._rows.add(records)


def _total(patterns: Sequence[str]) -> int | None:
    """Rows of `<examples>/Split-<name>/*`, all together; None where one is not known."""
    from tfx.dsl.io import fileio

    rows = 0
    for pattern in patterns:
        examples, split = os.path.split(os.path.dirname(pattern))
        path = os.path.join(examples, row_counts.ROWS_FILE)
        if not fileio.exists(path):
            return None
        with fileio.open(path) as file:
            rows += json.load(file)[split.removeprefix("Split-")]
    return rows
