"""Scores raw rows with a pushed version: numpy and the runtime of its target, no TensorFlow."""

from __future__ import annotations

import itertools
import json
import os
import time as clock
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.export import DEFAULT_TARGET, export_target
from ranklite.models.export.target import BATCH, SCORE, SERVING_RAW
from ranklite.models.features import raw_values
from ranklite.models.features.fingerprints import Encoder
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving import log_files, scored_files, trial
from ranklite.models.serving.csv_format import CsvFormat
from ranklite.models.serving.log_files import RowFile
from ranklite.models.serving.state import History
from ranklite.models.serving.versions import METADATA_FILE, read_model, version_in

Row = Mapping[str, Any]


class Scorer:
    """A pushed model.

    Args:
      path: Folder of a version, or of all versions (the newest is taken).
      target: Which file of the version to score with, by the name of its export target; None takes
        the first one that the version was pushed with.
      trusted: Whether the folder's writer is. The file is what `model.json` says in any case; of
        a stranger's, which may be made to crash the runtime, False loads and runs it in a process
        of its own first: about 0.2 s.

    Raises:
      FileNotFoundError: There is no version.
      ValueError: The version has no file of the target.
      DamagedFile: The model's file is not the one that was pushed.
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

    def __init__(self, path: str, target: str | None = None, *, trusted: bool = True) -> None:
        self.path = path = version_in(path)
        with open(os.path.join(path, METADATA_FILE), encoding="utf-8") as file:
            self.metadata: dict[str, Any] = json.load(file)
        # What the file says of its inputs is enough: no feature's kind is imported.
        self._columns = [RawColumn.of_entry(entry) for entry in self.metadata["features"]]
        first = self.metadata.get("target", DEFAULT_TARGET)
        there = sorted(self.metadata.get("targets") or (first,))
        if target is not None and target not in there:
            raise ValueError(
                f"{path}: no file of the target {target!r}, only of {', '.join(there)}"
            )
        shipped = export_target(target or first)
        content = read_model(path, shipped.file, self.metadata)
        if not trusted:
            trial.check(shipped.name, content)
        self._model = shipped.load(content)
        if shipped.name == first and (entry := self.metadata.get("fingerprint")):
            # The file says so too; to read it there takes a tenth of what loading does.
            self._model.encoder = Encoder.of_entry(entry)

    def score(self, rows: Iterable[Row]) -> npt.NDArray[np.float32]:
        """Probabilities of a positive [R].

        Args:
          rows: A mapping a row, from feature to str, int, float, a list for a multi-valued feature,
            or None where the value is missing; "" and NaN say so too. Other keys are ignored. What
            is computed from the past may be left out: then there is no history, and an aggregate is
            what the file stores of it.

        Raises:
          KeyError: A row lacks a feature.
          ValueError: A value is not of its feature's type.
        """
        return self._score(enumerate(rows))

    def _score(self, iterator: Iterator[tuple[int, Row]]) -> npt.NDArray[np.float32]:
        parts = []
        while batch := list(itertools.islice(iterator, BATCH)):
            inputs = {column.name: self._array(column, batch) for column in self._columns}
            parts.append(self._scores(inputs))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def top_k(
        self,
        user: Row,
        items: Sequence[Row],
        k: int,
        *,
        history: History | None = None,
        time: float | None = None,
    ) -> list[tuple[int, float]]:
        """The k items with the highest scores, as (index into `items`, score), best first.

        What the candidates share, a user's history above all, is converted and looked up once for
        all of them.

        Args:
          user: Features of the user and the context.
          items: Features of each candidate; they take precedence.
          k: How many; all where there are fewer.
          history: The user's past; None leaves it out.
          time: When they are ranked, seconds since 1970, for the history; None is now.

        Raises:
          ValueError: k is negative.
        """
        if k < 0:
            raise ValueError(f"k = {k}; it is a number of items, 0 or more")
        if history is not None:
            moment = clock.time() if time is None else time
            items = history.with_past(items, moment)
            user = {**user, **history.shared(moment)}
        scores = self._candidates(user, items)
        best = np.argsort(-scores, kind="stable")[:k]
        return [(int(index), float(scores[index])) for index in best]

    def _candidates(self, shared: Row, items: Sequence[Row]) -> npt.NDArray[np.float32]:
        """Scores [R] of rows that differ from `shared` by what the items hold."""
        own = {name for item in items for name in item}
        parts = [np.zeros(0, np.float32)]
        for first in range(0, len(items), BATCH):
            batch = enumerate(items[first : first + BATCH], first)
            rows = [(number, {**shared, **item}) for number, item in batch]
            inputs = {}
            for column in self._columns:
                if column.name in own:
                    inputs[column.name] = self._array(column, rows)
                else:
                    one = self._array(column, [(0, shared)])
                    count = 1 if self._is_of_user(column) else len(rows)
                    inputs[column.name] = np.repeat(one, count, axis=0)
            parts.append(self._scores(inputs))
        return np.concatenate(parts)

    def _is_of_user(self, column: RawColumn) -> bool:
        """Whether the file takes one row of a column for all candidates of a user."""
        about = self.metadata.get("past") or {}
        return column.past is not None and column.past.is_only_of(about.get("user"))

    def _scores(self, inputs: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """The scores of a batch; one that is no number would rank above all others."""
        scores = self._model.score(inputs, SERVING_RAW)
        if not np.isfinite(scores).all():
            raise ValueError(f"the model gives no number for {inputs}")
        return scores

    def history(self) -> History:
        """A new user's history, for what this model reads of it.

        Raises:
          ValueError: The model reads nothing of the past.
        """
        return History(self.metadata)

    def score_file(self, source: str, target: str, *, column: str = SCORE) -> int:
        """Scores the rows of a file; the output is the input and a column with the scores.

        It reads CSV, JSON Lines and Parquet, by the file's name, as the model's own log was read:
        the configuration's CSV settings and encoding travel with it, and columns go by their names
        in the log. What is written is in the same format, uncompressed where it is text. Text that
        a spreadsheet would take for a formula is left as it is.

        Args:
          source: The input.
          target: The output; it appears only once it is whole.
          column: Of the scores.

        Returns:
          Number of rows.

        Raises:
          ValueError: The files are the same, the input lacks a feature, has the column already, or
            has a wrong value; the message names file and line.
        """
        if os.path.realpath(source) == os.path.realpath(target):
            raise ValueError(f"{target!r} is the input; give the output another name")
        written = self._source.get("format")
        with log_files.open_rows(source, self.csv_format, self.encoding, written) as file:
            return self.score_rows(file, target, column=column)

    def score_rows(self, file: RowFile, target: str, *, column: str = SCORE) -> int:
        """Scores the rows of an open file, as `score_file` does; of a query's result to CSV."""
        self._check_columns(file, column)
        return scored_files.write(target, file, self._scored(file, column), column)

    @property
    def csv_format(self) -> CsvFormat:
        """How CSV files of the model's log are written."""
        return CsvFormat.of_entry(self._source.get("csv") or {})

    @property
    def encoding(self) -> str:
        """Of text files of the model's log."""
        return str(self._source.get("encoding", "utf-8"))

    @property
    def _source(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.metadata.get("config") or {}
        return config.get("source") or {}

    def _scored(self, file: RowFile, column: str) -> Iterator[tuple[Row, float]]:
        """The rows of a file with their scores."""
        while batch := list(itertools.islice(file.rows, BATCH)):
            inputs = {each.name: self._of_file(file, each, batch) for each in self._columns}
            scores = self._scores(inputs)
            for (line, row), score in zip(batch, scores, strict=True):
                if file.columns is None and column in row:
                    raise ValueError(f"{file.path}:{line}: it has {column!r} already")
                yield row, float(score)

    def _check_columns(self, file: RowFile, column: str) -> None:
        if file.columns is None:
            return
        logged = [each.source for each in self._columns if each.past is None]
        absent = [column for column in logged if column not in file.columns]
        if absent:
            raise ValueError(f"{file.path}: no column {', '.join(absent)}; it has {file.columns}")
        if column in file.columns:
            raise ValueError(
                f"{file.path}: it has a column {column!r} already; call the scores otherwise"
            )

    def _of_file(
        self, file: RowFile, column: RawColumn, rows: Sequence[tuple[int, Row]]
    ) -> npt.NDArray[Any]:
        values = []
        for line, row in rows:
            value = file.value(row, column.source)
            try:
                if file.kind == "csv":
                    value = raw_values.parse(column, value)
                values.append(raw_values.convert(column, value))
            except ValueError as error:
                raise ValueError(f"{file.path}:{line}: {error}") from error
        return raw_values.array(column, values)

    def _array(self, column: RawColumn, rows: Sequence[tuple[int, Row]]) -> npt.NDArray[Any]:
        name, values = column.name, []
        for number, row in rows:
            if name not in row and column.past is None:
                raise KeyError(
                    f"row {number} has no feature {name!r}; None says that a value is missing"
                )
        made = raw_values.plain(column, [row.get(name) for _, row in rows])
        if made is not None:
            return made
        for number, row in rows:
            try:
                values.append(raw_values.convert(column, row.get(column.name)))
            except ValueError as error:
                raise ValueError(f"row {number}: {error}") from error
        return raw_values.array(column, values)
