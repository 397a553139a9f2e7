"""Scores raw rows with a pushed version: numpy and the runtime of its target, no TensorFlow."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from ranklite.models.export import DEFAULT_TARGET, export_target
from ranklite.models.export.target import BATCH, SCORE, SERVING_RAW
from ranklite.models.features import raw_values
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.versions import METADATA_FILE, latest_version, model_files

Row = Mapping[str, Any]


class Scorer:
    """A pushed model.

    Args:
      path: Folder of a version, or of all versions (the newest is taken).

    Raises:
      FileNotFoundError: There is no version.
      UnknownEntry: Its export target is not registered here.
      UnreadableModel: The runtime cannot load its file.

    Example:
        >>> scorer = Scorer("pushed")
        >>> row = {"user": "u1", "item": 2, "tags": ["a", "b"], "price": 1.5}
        >>> scores = scorer.score([row, {**row, "user": None, "tags": "a|b"}])
        >>> scores.shape, scores.dtype
        ((2,), dtype('float32'))
        >>> best = scorer.top_k(row, [{"item": 1}, {"item": 2}, {"item": 3}], k=2)
        >>> len(best), best[0][1] >= best[1][1]
        (2, True)
    """

    def __init__(self, path: str) -> None:
        if not model_files(path):
            newest = latest_version(path)
            if newest is None:
                raise FileNotFoundError(f"no pushed model in {path!r}: it has no version folder")
            path = newest
        self.path = path
        with open(os.path.join(path, METADATA_FILE), encoding="utf-8") as file:
            self.metadata: dict[str, Any] = json.load(file)
        # What the file says of its inputs is enough: no feature's kind is imported.
        self._columns = [RawColumn.of_entry(entry) for entry in self.metadata["features"]]
        shipped = export_target(self.metadata.get("target", DEFAULT_TARGET))
        self._model = shipped.read(os.path.join(path, shipped.file))

    def score(self, rows: Iterable[Row]) -> npt.NDArray[np.float32]:
        """Probabilities of a positive [R].

        Args:
          rows: A mapping a row, from feature to str, int, float, a list for a multi-valued feature,
            or None where the value is missing; "" and NaN say so too. Other keys are ignored.

        Raises:
          KeyError: A row lacks a feature.
          ValueError: A value is not of its feature's type.
        """
        return self._score(enumerate(rows))

    def _score(self, iterator: Iterator[tuple[int, Row]]) -> npt.NDArray[np.float32]:
        parts = []
        while batch := list(itertools.islice(iterator, BATCH)):
            inputs = {column.name: self._array(column, batch) for column in self._columns}
            parts.append(self._model.score(inputs, SERVING_RAW))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def top_k(self, user: Row, items: Sequence[Row], k: int) -> list[tuple[int, float]]:
        """The k items with the highest scores, as (index into `items`, score), best first.

        Args:
          user: Features of the user and the context.
          items: Features of each candidate; they take precedence.
          k: How many; all where there are fewer.

        Raises:
          ValueError: k is negative.
        """
        if k < 0:
            raise ValueError(f"k = {k}; it is a number of items, 0 or more")
        scores = self.score({**user, **item} for item in items)
        best = np.argsort(-scores, kind="stable")[:k]
        return [(int(index), float(scores[index])) for index in best]

    def score_csv(self, source: str, target: str) -> int:
        """Scores a CSV file with a header; the output is the input and a column `score`.

        Args:
          source: The input; an empty field is a missing value.
          target: The output; it appears only once it is whole.

        Returns:
          Number of rows.

        Raises:
          ValueError: The files are the same, the header lacks a feature, names a column twice or
            has a `score` already, or a row has more fields than the header or a wrong value.
        """
        if os.path.realpath(source) == os.path.realpath(target):
            raise ValueError(f"{target!r} is the input; give the output another name")
        # A spreadsheet puts a byte order mark before the header; utf-8-sig reads both.
        with open(source, newline="", encoding="utf-8-sig") as read:
            reader = csv.DictReader(read)
            header = list(reader.fieldnames or [])
            self._check_header(source, header)
            with _replaced(target) as write:
                writer = csv.DictWriter(write, [*header, SCORE])
                writer.writeheader()
                count = 0
                while rows := list(itertools.islice(reader, BATCH)):
                    numbered = ((n, self._parsed(n, row)) for n, row in enumerate(rows, count))
                    try:
                        scores = self._score(numbered)
                    except ValueError as error:
                        raise ValueError(f"{source}: {error}; row 0 follows the header") from error
                    for row, score in zip(rows, scores, strict=True):
                        writer.writerow({**row, SCORE: f"{score:.9g}"})
                    count += len(rows)
        return count

    def _check_header(self, source: str, header: list[str]) -> None:
        absent = [column.name for column in self._columns if column.name not in header]
        if absent:
            raise ValueError(f"{source}: no column {', '.join(absent)}; it has {header}")
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ValueError(f"{source}: the header names {', '.join(twice)} twice")
        if SCORE in header:
            raise ValueError(f"{source}: it has a column {SCORE!r} already; rename or remove it")

    def _parsed(self, number: int, row: dict[str, Any]) -> dict[str, Any]:
        """A row of texts with its numbers read and its lists split."""
        if None in row:  # where DictReader puts what the header has no name for
            raise ValueError(f"row {number} has more fields than the header: {list(row.values())}")
        return {column.name: raw_values.parse(column, row[column.name]) for column in self._columns}

    def _array(self, column: RawColumn, rows: list[tuple[int, Row]]) -> npt.NDArray[Any]:
        values = []
        for number, row in rows:
            if column.name not in row:
                raise KeyError(
                    f"row {number} has no feature {column.name!r}; None says that a value is "
                    "missing"
                )
            try:
                values.append(raw_values.convert(column, row[column.name]))
            except ValueError as error:
                raise ValueError(f"row {number}: {error}") from error
        return raw_values.array(column, values)


@contextlib.contextmanager
def _replaced(path: str) -> Iterator[TextIO]:
    """A file that takes its place once it is whole, and leaves nothing where it fails."""
    folder, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with open(descriptor, "w", newline="", encoding="utf-8") as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
