"""Rows of the log as they stand in its files, found by part; see `log_rows`."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ranklite.components.log_example_gen import lines, log_rows
from ranklite.components.log_example_gen.parts import load
from ranklite.components.log_example_gen.parts.counts import Counts
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.parts.places import Places
from ranklite.components.log_example_gen.parts.work import Job
from ranklite.components.log_example_gen.piece import copied
from ranklite.components.log_example_gen.scans import Scan


class ReadTask(NamedTuple):
    """Files of a part, and which records of them are read.

    Attributes:
      job: What every task knows.
      number: Of the part.
      scans: By number.
      wanted: By number of the scan: numbers of Examples by those of records.
      pieces: By number of the scan: what is known of all of a file that is cut.
    """

    job: Job
    number: int
    scans: dict[int, Scan]
    wanted: dict[int, dict[int, int]]
    pieces: dict[int, log_rows.PieceRows]


class _Place(NamedTuple):
    """A scan, by the number of its part and its own in there."""

    part: int
    scan: int


class _Files:
    """Which scans are of one file, in the parts of a log."""

    def __init__(self, loaded: Sequence[load.Loaded]) -> None:
        self.first: dict[_Place, _Place] = {}  # the scan that the file begins with
        self.before: dict[_Place, int] = {}  # records of the file that come before
        self._broken: set[_Place] = set()
        first, before = _Place(0, 0), 0
        for part, each in enumerate(loaded):
            numbers = [k for k, scan in enumerate(each.scans) if scan.after is not None]
            for k, behind in itertools.zip_longest(numbers, numbers[1:]):
                place, scan = _Place(part, k), each.scans[k]
                if not scan.before:
                    first, before = place, 0
                self.first[place], self.before[place] = first, before
                end = each.rows if behind is None else each.scans[behind].after
                before += (end or 0) - (scan.after or 0)
                if scan.path in each.broken:
                    self._broken.add(first)

    def piece(self, place: _Place, scan: Scan) -> log_rows.PieceRows | None:
        """What is known of all of a text file that is cut."""
        if scan.piece is None or scan.kind == "parquet":
            return None
        whole_lines = scan.form is None or not scan.piece.quotes
        whole_lines = whole_lines and self.first[place] not in self._broken
        return log_rows.PieceRows(whole_lines, self.before[place])


class Sample:
    """Rows of the judged split, as of `log_rows.sample`.

    Args:
      log: Its splits are assigned and negatives sampled.
      loaded: What each part has.
      counts: Of the same log.

    Attributes:
      of_parts: Numbers of the rows in the log, in order, by part.
    """

    def __init__(self, log: Log, loaded: Sequence[load.Loaded], counts: Counts) -> None:
        self._log, self._loaded, self._counts = log, loaded, counts
        chosen = itertools.chain.from_iterable(counts.candidates)
        self._chosen = heapq.nsmallest(log_rows.MOST, chosen, key=lambda each: each[:2])
        self._starts = [part.after for part in log.parts]
        self.of_parts: list[list[int]] = [[] for _ in log.parts]
        for _, row, _ in sorted(self._chosen, key=lambda each: each[1]):
            self.of_parts[_part(self._starts, row)].append(row)
        self._texts: list[dict[str, Any]] = []
        self._wanted: dict[_Place, dict[int, int]] = {}
        self._files = _Files(loaded)

    def tasks(self, places: Mapping[int, Places]) -> list[ReadTask]:
        """What reads the rows, where parts have told their places, by number of the part."""
        log, judged, before = self._log, self._log.job.judged, 0
        examples: dict[int, int] = {}
        for number, part in enumerate(self._counts.by_part):
            found = places[number].examples if number in places else {}
            examples |= {row: before + place for row, place in found.items()}
            before += part[judged].rows if judged in part else 0
        for _, row, text in self._chosen:
            number = _part(self._starts, row)
            place, record = lines.place(self._loaded[number].scans, row - self._starts[number])
            if text is not None:
                record += log.parts[number].before
                self._texts.append(log_rows.of_text(examples[row], record, text))
                continue
            at, scan = _Place(number, place), self._loaded[number].scans[place]
            if scan.kind == "parquet":  # all rows of a file are read together
                at, record = self._files.first[at], scan.before + record
            self._wanted.setdefault(at, {})[record] = examples[row]
        return [
            self._task(number, part, of_part)
            for number, part in enumerate(self._loaded)
            if (of_part := {at.scan: e for at, e in self._wanted.items() if at.part == number})
        ]

    def _task(self, number: int, part: load.Loaded, wanted: dict[int, dict[int, int]]) -> ReadTask:
        scans = {k: part.scans[k] for k in wanted}
        pieces = {k: self._files.piece(_Place(number, k), scan) for k, scan in scans.items()}
        known = {k: piece for k, piece in pieces.items() if piece is not None}
        return ReadTask(self._log.job, number, scans, wanted, known)

    def rows(
        self, tasks: Sequence[ReadTask], results: Sequence[dict[int, list[dict[str, Any]]]]
    ) -> list[dict[str, Any]]:
        """The rows, of what `read` returned for each task."""
        contents = {
            _Place(task.number, scan): content
            for task, result in zip(tasks, results, strict=True)
            for scan, content in result.items()
        }
        files: dict[_Place, list[_Place]] = {}
        for place in self._wanted:
            files.setdefault(self._files.first[place], []).append(place)
        places = [place for pieces in files.values() for place in sorted(pieces)]
        return self._texts + [row for place in places for row in contents[place]]


def _part(starts: Sequence[int], row: int) -> int:
    """The part that has a row."""
    return max(k for k, start in enumerate(starts) if start < row)


def read(task: ReadTask) -> dict[int, list[dict[str, Any]]]:
    """The rows of each file as they stand there."""
    rejected, result = load.unreadable(task.job, task.number), {}
    for number, examples in task.wanted.items():
        scan = task.scans[number]
        with tempfile.TemporaryDirectory(dir=task.job.work) as folder:
            if scan.piece is not None and not scan.plain:
                scan = dataclasses.replace(scan, plain=copied(scan.piece, folder))
            result[number] = log_rows.of_file(
                task.job.config,
                scan,
                examples,
                rejected.get(scan.path, frozenset()),
                task.pieces.get(number),
            )
    return result
