"""The rows of a log file with their scores: its columns are converted many rows at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.features import raw_values
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.inputs import Inputs
from ranklite.models.serving.log_files import RowFile, plain
from ranklite.models.serving.tables import Table

Array = npt.NDArray[Any]
Scores = npt.NDArray[np.float32]
Score = Callable[[Mapping[str, Array]], Scores]


def check_columns(file: RowFile, columns: Sequence[RawColumn], column: str) -> None:
    """Whether a file with a header has all features, and no column for the scores yet.

    Raises:
      ValueError: It is not so; the message says what there is.
    """
    if file.columns is None:
        return
    logged = [each.source for each in columns if each.past is None]
    absent = [name for name in logged if name not in file.columns]
    if absent:
        raise ValueError(f"{file.path}: no column {', '.join(absent)}; it has {file.columns}")
    if column in file.columns:
        raise ValueError(
            f"{file.path}: it has a column {column!r} already; call the scores otherwise"
        )


def scored_rows(
    file: RowFile, inputs: Inputs, score: Score, column: str, together: int
) -> Iterator[tuple[Mapping[str, Any], float]]:
    """The rows of a file, each with its score.

    Args:
      file: An open file.
      inputs: Encodes its columns.
      score: Of encoded rows.
      column: Of the scores.
      together: Rows that are converted at once.

    Raises:
      ValueError: A value is not of its feature's type, or a row has a score already.
    """
    while batch := list(itertools.islice(file.rows, together)):
        lines, rows = zip(*batch, strict=True)

        def where(place: int, lines: Sequence[int] = lines) -> str:
            return f"{file.path}:{lines[place]}"

        made = {
            name: encoder.array(_values(file, encoder.column, rows), where)
            for name, encoder in inputs.encoders.items()
        }
        for (line, row), value in zip(batch, score(made).tolist(), strict=True):
            if file.columns is None and column in row:
                raise ValueError(f"{file.path}:{line}: it has {column!r} already")
            yield row, value


def scored_tables(file: RowFile, inputs: Inputs, score: Score) -> Iterator[tuple[Any, Scores]]:
    """The record batches of a Parquet file, each with its scores.

    Raises:
      ValueError: A value is not of its feature's type.
    """
    for first, batch in file.batches or ():

        def where(place: int, first: int = first) -> str:
            return f"{file.path}:{first + place}"

        used = {encoder.column.source for encoder in inputs.encoders.values()}
        columns = {
            name: _readable(batch.column(place), name in file.uuids)
            for place, name in enumerate(batch.schema.names)
            if name in used
        }
        rows = batch.num_rows
        yield batch, score(inputs.of_table(Table(columns), 0, rows, where, logged=True))


def _values(file: RowFile, column: RawColumn, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    values = [row.get(column.source) for row in rows]
    if file.kind != "csv":
        return values
    absent = file.form.null
    return [None if value in absent else raw_values.parse(column, value) for value in values]


def _readable(column: Any, is_uuid: bool) -> Any:
    """A column of Arrow; bytes of a file that does not call them text are text."""
    is_plain = not is_uuid and "binary" not in str(column.type)
    return column if is_plain else [plain(value, is_uuid) for value in column.to_pylist()]
