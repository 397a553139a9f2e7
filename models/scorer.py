"""Scores raw rows with a pushed version: numpy and ai-edge-litert, no TensorFlow."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.bundle import MODEL_FILE, latest_version
from models.lite import BATCH, SERVING_RAW, LiteModel

Row = Mapping[str, Any]

METADATA_FILE = "model.json"
_MISSING = {"string": b"", "int64": -(2**63), "float32": float("nan")}
_NUMPY = {"string": np.object_, "int64": np.int64, "float32": np.float32}


class Scorer:
    """A pushed model.

        scorer = Scorer("runs/movielens/pushed")
        scorer.score([{"user": 7, "item": 1, "genres": ["Comedy"], "year": 1995}])

    Args:
      path: Folder of a version, or of all versions (the newest is taken).

    Raises:
      FileNotFoundError: There is no version.
    """

    def __init__(self, path: str) -> None:
        if not os.path.isfile(os.path.join(path, MODEL_FILE)):
            newest = latest_version(path)
            if newest is None:
                raise FileNotFoundError(f"no pushed model in {path!r}: it has no version folder")
            path = newest
        self.path = path
        with open(os.path.join(path, METADATA_FILE), encoding="utf-8") as file:
            self.metadata: dict[str, Any] = json.load(file)
        self._features: list[dict[str, Any]] = self.metadata["features"]
        self._model = LiteModel(os.path.join(path, MODEL_FILE))

    def score(self, rows: Iterable[Row]) -> npt.NDArray[np.float32]:
        """Probabilities of a positive [R].

        Args:
          rows: A mapping a row, from feature to str, int, float, a list for a multi-valued feature,
            or None where the value is missing. Other keys are ignored.

        Raises:
          KeyError: A row lacks a feature.
          ValueError: A value is not of its feature's type.
        """
        parts = []
        iterator = enumerate(rows)
        while batch := list(itertools.islice(iterator, BATCH)):
            inputs = {f["name"]: self._array(f, batch) for f in self._features}
            parts.append(self._model.score(inputs, SERVING_RAW))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def top_k(self, user: Row, items: Sequence[Row], k: int) -> list[tuple[int, float]]:
        """The k items with the highest scores, as (index into `items`, score), best first.

        Args:
          user: Features of the user and the context.
          items: Features of each candidate; they take precedence.
          k: How many.
        """
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
          ValueError: The files are the same, or the header lacks a feature.
        """
        if os.path.realpath(source) == os.path.realpath(target):
            raise ValueError(f"{target!r} is the input; give the output another name")
        temporary = f"{target}.tmp"
        count = 0
        with (
            open(source, newline="", encoding="utf-8") as read,
            open(temporary, "w", newline="", encoding="utf-8") as write,
        ):
            reader = csv.DictReader(read)
            header = list(reader.fieldnames or [])
            absent = [f["name"] for f in self._features if f["name"] not in header]
            if absent:
                os.unlink(temporary)
                raise ValueError(f"{source}: no column {', '.join(absent)}; it has {header}")
            writer = csv.DictWriter(write, [*header, "score"])
            writer.writeheader()
            while rows := list(itertools.islice(reader, BATCH)):
                for row, score in zip(rows, self.score(map(self._parsed, rows)), strict=True):
                    writer.writerow({**row, "score": f"{score:.9g}"})
                count += len(rows)
        os.replace(temporary, target)
        return count

    def _parsed(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of texts with its numbers read and its lists split."""
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
                if isinstance(value, str) and feature.get("separator"):
                    value = value.split(feature["separator"])
                elif isinstance(value, (str, int)):
                    value = [value]
                kept = [v for v in value or [] if v is not None and v != ""]
                kept = [_converted(v, dtype, name, number) for v in kept[: feature["max_length"]]]
                value = kept + [_MISSING[dtype]] * (feature["max_length"] - len(kept))
            else:
                value = _converted(value, dtype, name, number)
            values.append(value)
        return np.array(values, _NUMPY[dtype])


def _converted(value: Any, dtype: str, name: str, row: int) -> Any:
    if value is None or value == "":
        return _MISSING[dtype]
    try:
        if dtype == "string":
            if not isinstance(value, (str, bytes, int)):
                raise TypeError
            return value if isinstance(value, bytes) else str(value).encode()
        if dtype == "int64":
            if isinstance(value, float) and not value.is_integer():
                raise TypeError
            return int(value)
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"row {row}: {name} = {value!r} is not of type {dtype}") from error
