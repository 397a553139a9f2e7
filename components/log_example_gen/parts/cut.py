"""Where large files are cut: each piece begins with the first byte of a record."""

from __future__ import annotations

import bisect
import csv
import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.parts.look import Looked, LookTask, Marks, together
from ranklite.components.log_example_gen.piece import Piece
from ranklite.components.log_example_gen.plain_files import is_plain
from ranklite.components.log_example_gen.scans import csv_format
from ranklite.models.safe_arrow import safe_parquet
from ranklite.models.serving.csv_format import header_of

_ROW_NUMBER = "file_row_number"  # DuckDB's own column


@dataclasses.dataclass
class Large:
    """A file of the log that is larger than a part, and what becomes of it.

    Attributes:
      path: The file.
      borders: Bytes where it would be cut to divide the log evenly, in order.
      refused: Why it is not cut; "" where nothing is in the way so far.
      delimiter: Of a CSV file.
      columns: Of a CSV file.
      tasks: What looks at it, of a text file.
      pieces: Its pieces and how many bytes each has, once they are known.
    """

    path: str
    borders: tuple[int, ...]
    refused: str = ""
    delimiter: str = ""
    columns: tuple[str, ...] = ()
    tasks: list[LookTask] = dataclasses.field(default_factory=list)
    pieces: list[tuple[Piece, int]] = dataclasses.field(default_factory=list)


def begin(config: IngestConfig, table: str, path: str, borders: Sequence[int]) -> Large:
    """A large file, and what has to be done to cut it.

    Args:
      config: How files are written.
      table: Whose it is.
      path: The file.
      borders: As of `Large`.
    """
    large, marks = Large(path, tuple(borders)), Marks()
    kind, settings = config.file_format(path, table), config.source.table(table)
    if kind == "parquet":
        _of_groups(large)
        return large
    if (settings.encoding or "utf-8") != "utf-8" or not is_plain(path):
        large.refused = "it is compressed, or its encoding is not utf-8"
        return large
    if kind == "csv":
        assert settings.csv is not None
        form = csv_format(settings.csv)
        try:
            _, large.delimiter, columns = header_of(path, form)
        except (ValueError, csv.Error) as error:  # whoever reads it says so
            large.refused = str(error)
            return large
        large.columns = tuple(columns)
        escape = form.escape if form.quote else ""
        marks = Marks(form.quote.encode(), escape.encode(), large.delimiter.encode())
        if max(map(len, marks)) > 1:
            large.refused = "its delimiter or quote is no letter of ASCII"
            return large
    places = [0, *borders, os.path.getsize(path)]
    large.tasks = [LookTask(path, *each, marks) for each in itertools.pairwise(places)]
    return large


def end(large: Large, looked: Sequence[Looked]) -> None:
    """Cuts a text file.

    Args:
      large: As of `begin`.
      looked: What its tasks returned.
    """
    present = [each for each in looked if each.start < each.end]
    large.refused = large.refused or together(present)
    if large.refused:
        return
    quotes, before = any(each.quotes for each in present), 0
    for each in present:
        piece = Piece(
            large.path, each.start, each.end, before, quotes, large.delimiter, large.columns
        )
        large.pieces.append((piece, each.end - each.start))
        before += each.lines


def _of_groups(large: Large) -> None:
    """Cuts a Parquet file between row groups, near its borders."""
    try:
        metadata = safe_parquet().read_metadata(large.path)
        names = metadata.schema.to_arrow_schema().names
    except (pa.ArrowException, RuntimeError) as error:  # whoever reads it says so
        large.refused = str(error)
        return
    if metadata.num_row_groups == 1:
        large.refused = "it has one row group"
        return
    if _ROW_NUMBER in names:
        large.refused = f"it has a column called {_ROW_NUMBER}"
        return
    rows, sizes = [0], [0]
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = range(group.num_columns)
        rows.append(rows[-1] + group.num_rows)
        sizes.append(sizes[-1] + sum(group.column(c).total_compressed_size for c in columns))
    cuts, whole = {0, len(rows) - 1}, os.path.getsize(large.path)
    for border in (sizes[-1] * place // whole for place in large.borders):
        after = bisect.bisect_left(sizes, border, 1, len(sizes) - 1)
        cuts.add(min((after - 1, after), key=lambda number: abs(sizes[number] - border)))
    for first, last in itertools.pairwise(sorted(cuts)):
        if rows[first] < rows[last]:
            piece = Piece(large.path, rows[first], rows[last], rows[first])
            large.pieces.append((piece, sizes[last] - sizes[first]))


def pieces(files: Sequence[Large]) -> Mapping[str, list[tuple[Piece, int]]]:
    """The pieces of all files that are cut, and how many bytes each has."""
    return {each.path: each.pieces for each in files if len(each.pieces) > 1}
