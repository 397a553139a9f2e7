"""Scores raw rows with a pushed version: numpy and the runtime of its target, no TensorFlow."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranklite.models.export import DEFAULT_TARGET, export_target
from ranklite.models.export.target import BATCH, SCORE, SERVING_RAW
from ranklite.models.serving.files import loaded
from ranklite.models.serving.metadata_file import DamagedFile, read_metadata
from ranklite.models.serving.versions import version_in

if TYPE_CHECKING:  # what a first score does not need is imported where it is used
    from ranklite.models.export.target import LoadedModel
    from ranklite.models.serving.csv_format import CsvFormat
    from ranklite.models.serving.inputs import Row
    from ranklite.models.serving.log_files import RowFile
    from ranklite.models.serving.prepared import PreparedItems
    from ranklite.models.serving.state import History

_TOGETHER = 16 * BATCH  # rows that are converted at once
_OF_TABLE = 128 * BATCH


class Scorer:
    """A pushed model.

    Args:
      path: Folder of a version, or of all versions (the newest is taken).
      target: Which file of the version to score with, by the name of its export target; None takes
        the first one that the version was pushed with.
      trusted: Whether the folder's writer is. The file is what `model.json` says in any case; it is
        mapped into memory, so nobody may write into it, as nobody does who pushes. A stranger's,
        which may be made to crash the runtime, False copies, and loads and runs in a process of its
        own first: about 0.2 s.

    Raises:
      FileNotFoundError: There is no version.
      ValueError: The version has no file of the target.
      DamagedFile: The model's file is not the one that was pushed, or `model.json` is not.
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
        self.metadata: dict[str, Any] = read_metadata(path)
        self._source = (self.metadata.get("config") or {}).get("source") or {}
        first = self.metadata.get("target", DEFAULT_TARGET)
        there = sorted(self.metadata.get("targets") or (first,))
        if target is not None and target not in there:
            raise ValueError(
                f"{path}: no file of the target {target!r}, only of {', '.join(there)}"
            )
        self._target = export_target(target or first)
        self._is_first = self._target.name == first
        self._take(loaded(self._target, path, self.metadata, trusted=trusted))

    def _take(self, model: LoadedModel) -> None:
        # These were imported while the file was digested.
        from ranklite.models.features.fingerprints import Encoder
        from ranklite.models.features.raw_column import RawColumn
        from ranklite.models.serving.inputs import Inputs
        from ranklite.models.serving.ranking import Ranking

        self._model = model
        if self._is_first and (entry := self.metadata.get("fingerprint")):
            # The file says so too; to read it there takes a tenth of what loading does.
            model.encoder = Encoder.of_entry(entry)
        # What the file says of its inputs is enough: no feature's kind is imported.
        self._columns = [RawColumn.of_entry(entry) for entry in self.metadata.get("features", ())]
        taken, described = set(model.inputs(SERVING_RAW)), {c.name for c in self._columns}
        if taken != described:
            raise DamagedFile(
                f"{self.path}: model.json describes other inputs than the file takes: "
                f"{', '.join(sorted(taken ^ described))}"
            )
        self._inputs = Inputs(self._columns, model.encoder)
        user = (self.metadata.get("past") or {}).get("user")
        file = os.path.join(self.path, self._target.file)
        self._ranking = Ranking(model, self._inputs, user, file)
        self._scores = self._ranking.scores

    def copy(self) -> Scorer:
        """Another scorer of the same bytes, for another thread: a scorer is of one at a time."""
        other = copy.copy(self)
        other._take(self._target.load(self._model.content))
        return other

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
        if type(rows) is list and len(rows) == 1:
            return self._scores(self._inputs.of_row(rows[0]))
        parts, first, rest = [], 0, iter(rows)
        while some := list(itertools.islice(rest, _TOGETHER)):
            parts.append(self._scores(self._inputs.of_rows(some, first)))
            first += len(some)
        return _joined(parts)

    def score_columns(self, table: Any) -> npt.NDArray[np.float32]:
        """The same of a table [R]: values are converted a column at a time.

        Args:
          table: A mapping from feature to a sequence or an array of numpy, a pandas or polars
            DataFrame, a pyarrow Table or RecordBatch, a structured array, or what has Arrow's
            `__arrow_c_stream__`. Values are those that `score` takes; None, NaN, NA and Arrow's
            null are missing ones. A multi-valued feature is a column of lists, or an array with two
            dimensions. Other columns are ignored.

        Raises:
          KeyError: The table lacks a feature.
          TypeError: It is no table.
          ValueError: A value is not of its feature's type; the message names row and feature.

        Example:
            >>> scorer = Scorer("pushed")
            >>> columns = {"user": ["u1", None], "item": np.array([2, 3])}
            >>> columns |= {"tags": [["a", "b"], []], "price": np.array([1.5, np.nan])}
            >>> scorer.score_columns(columns).shape
            (2,)
        """
        from ranklite.models.serving.tables import Table

        columns, parts = Table(table), []
        for start in range(0, max(1, columns.rows), _OF_TABLE):
            stop = min(start + _OF_TABLE, columns.rows)

            def where(place: int, start: int = start) -> str:
                return f"row {start + place}"

            parts.append(self._scores(self._inputs.of_table(columns, start, stop, where)))
        return _joined(parts)

    def prepare(self, items: Sequence[Row] | Any) -> PreparedItems:
        """Encodes candidates once, for `top_k` to rank them for many users.

        Args:
          items: A mapping for each candidate, all of them with the same features, or a table as
            `score_columns` takes it, of the features that candidates have.

        Returns:
          What `top_k` of this scorer takes in the place of the candidates. It does not follow what
          becomes of `items`.

        Raises:
          KeyError: A candidate lacks a feature that another one has.
          ValueError: A value is not of its feature's type.

        Example:
            >>> scorer = Scorer("pushed")
            >>> items = scorer.prepare({"item": [1, 2, 3], "price": [9.5, None, 1.0]})
            >>> context = {"user": "u1", "tags": ["a"]}
            >>> same = [{"item": 1, "price": 9.5}, {"item": 2, "price": None}]
            >>> scorer.top_k(context, items, k=2) == scorer.top_k(
            ...     context, [*same, {"item": 3, "price": 1.0}], k=2
            ... )
            True
        """
        keys = self.history().row_keys if self.metadata.get("past") else ()
        return self._ranking.prepare(items, keys)

    def top_k(
        self,
        user: Row,
        items: Sequence[Row] | PreparedItems,
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
          items: Features of each candidate, or what `prepare` makes of them; they take precedence.
          k: How many; all where there are fewer.
          history: The user's past; None leaves it out.
          time: When they are ranked, seconds since 1970, for the history; None is now.

        Raises:
          KeyError: A feature is neither the user's nor the candidates'.
          ValueError: k is negative, a value is not of its feature's type, or the candidates were
            prepared by a scorer of another file.
        """
        return self._ranking.top_k(user, items, k, history, time)

    def history(self) -> History:
        """A new user's history, for what this model reads of it.

        Raises:
          ValueError: The model reads nothing of the past.
        """
        from ranklite.models.serving.state import History

        return History(self.metadata)

    def score_file(self, source: str, target: str, *, column: str = SCORE) -> int:
        """Scores the rows of a file; the output is the input and a column with the scores.

        It reads CSV, JSON Lines and Parquet, by the file's name, as the model's own log was read:
        the configuration's CSV settings and encoding travel with it, and columns go by their names
        in the log. The output has the same format, uncompressed; text is left as it is.

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
        from ranklite.models.serving import log_files

        written = self._source.get("format")
        with log_files.open_rows(source, self.csv_format, self.encoding, written) as file:
            return self.score_rows(file, target, column=column)

    def score_rows(self, file: RowFile, target: str, *, column: str = SCORE) -> int:
        """Scores the rows of an open file, as `score_file` does; of a query's result to CSV."""
        from ranklite.models.serving import file_rows, scored_files

        file_rows.check_columns(file, self._columns, column)
        if file.batches is not None:
            tables = file_rows.scored_tables(file, self._inputs, self._scores)
            return scored_files.write_tables(target, file, tables, column)
        rows = file_rows.scored_rows(file, self._inputs, self._scores, column, _TOGETHER)
        return scored_files.write(target, file, rows, column)

    @property
    def csv_format(self) -> CsvFormat:
        """How CSV files of the model's log are written."""
        from ranklite.models.serving import csv_format

        return csv_format.CsvFormat.of_entry(self._source.get("csv") or {})

    @property
    def encoding(self) -> str:
        """Of text files of the model's log."""
        return str(self._source.get("encoding", "utf-8"))


def _joined(parts: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The scores [R] of batches, one after the other; there may be none."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])
