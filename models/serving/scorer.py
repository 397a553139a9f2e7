"""Scores raw rows with a pushed version: numpy and the runtime of its target, no TensorFlow."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import numbers
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from ranklite.models.export import DEFAULT_TARGET, export_target
from ranklite.models.export.target import BATCH, SCORE, SERVING_RAW
from ranklite.models.features.layout import MISSING_FLOAT, MISSING_INT64, MISSING_STRING
from ranklite.models.serving.versions import METADATA_FILE, latest_version, model_files

Row = Mapping[str, Any]

_MISSING = {
    "string": MISSING_STRING.encode(),
    "int64": MISSING_INT64,
    "float32": MISSING_FLOAT,
}
_INT64 = range(-(2**63), 2**63)
_NUMPY = {"string": np.object_, "int64": np.int64, "float32": np.float32}


class Scorer:
    """A pushed model.

        scorer = Scorer("runs/movielens/pushed")
        scorer.score([{"user": 7, "item": 1, "genres": ["Comedy"], "year": 1995}])

    Args:
      path: Folder of a version, or of all versions (the newest is taken).

    Raises:
      FileNotFoundError: There is no version.
      UnknownEntry: Its export target is not registered here.
      UnreadableModel: The runtime cannot load its file.
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
        self._features: list[dict[str, Any]] = self.metadata["features"]
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
            inputs = {f["name"]: self._array(f, batch) for f in self._features}
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
        absent = [f["name"] for f in self._features if f["name"] not in header]
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
        parsed: dict[str, Any] = {}
        for feature in self._features:
            text = row[feature["name"]]
            if feature["kind"] == "multi_categorical":
                separator = feature.get("separator") or "|"
                parsed[feature["name"]] = [part for part in (text or "").split(separator) if part]
            else:
                parsed[feature["name"]] = text or None
        return parsed

    def _array(self, feature: dict[str, Any], rows: list[tuple[int, Row]]) -> npt.NDArray[Any]:
        name, dtype = feature["name"], feature.get("dtype", "float32")
        values = []
        for number, row in rows:
            if name not in row:
                raise KeyError(
                    f"row {number} has no feature {name!r}; None says that a value is missing"
                )
            value = row[name]
            if feature["kind"] == "multi_categorical":
                parts = _parts(value, feature.get("separator"))
                kept = [_converted(v, dtype, name, number) for v in parts[: feature["max_length"]]]
                value = kept + [_MISSING[dtype]] * (feature["max_length"] - len(kept))
            else:
                value = _converted(value, dtype, name, number)
            values.append(value)
        return np.array(values, _NUMPY[dtype])


def _is_missing(value: Any) -> bool:
    return (
        value is None or value in ("", b"") or (isinstance(value, numbers.Real) and value != value)
    )


def _parts(value: Any, separator: str | None) -> list[Any]:
    """The present values of a list, or of what stands for one; ingestion drops blanks too."""
    if isinstance(value, str) and separator:
        value = value.split(separator)
    elif not isinstance(value, (list, tuple, np.ndarray)):
        value = [value]
    texts = (part.strip(" ") if isinstance(part, str) else part for part in value)
    present = [not _is_missing(text) and text != _MISSING["int64"] for text in texts]
    return list(itertools.compress(value, present))


def _converted(value: Any, dtype: str, name: str, row: int) -> Any:
    try:
        if _is_missing(value):
            return _MISSING[dtype]
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        if dtype == "string":
            if not isinstance(value, (str, bytes, numbers.Integral)):
                raise TypeError
            return value if isinstance(value, bytes) else str(value).encode()
        if dtype == "int64":
            if isinstance(value, numbers.Real) and not float(value).is_integer():
                raise TypeError
            if int(value) not in _INT64:
                raise OverflowError
            return int(value)
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"row {row}: {name} = {value!r} is not of type {dtype}") from error


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
