"""The newest span of a log by itself: among the rows of a window, that it lacks any goes unseen."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterable, Sequence

from ranklite.components.log_example_gen import IngestError, plain_files
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.safe_arrow import safe_parquet

Absent = tuple[str, set[str]]  # path of a file, and what it has not of the columns that are needed


def check_rows(config: IngestConfig, data_root: str) -> None:
    """Refuses a newest span of which no file of a table has a row.

    Args:
      config: What is read.
      data_root: The data folder.

    Raises:
      IngestError: It has none; a file of it cannot be read.
    """
    newest = config.newest_span(data_root)
    if newest is None:
        return
    span, tables = newest
    for table, paths in tables.items():
        if any(_has_rows(config, path, table) for path in paths):
            continue
        names = ", ".join(os.path.relpath(path, os.path.realpath(data_root)) for path in paths)
        _, *before = reversed(config.spans_read(data_root))
        rest = f" What else would be read is of {', '.join(reversed(before))}." if before else ""
        raise IngestError(
            f"the newest span, {span}, has no rows: {names} hold{'s' * (len(paths) == 1)} a header "
            f"at the most.{rest} Write the span again, or read up to an earlier one by `--span`"
        )


def check_columns(
    needed: Sequence[str], absent: Iterable[Absent], span: str, paths: Collection[str]
) -> None:
    """Refuses columns that files of earlier spans have, and none of the newest one.

    That earlier files lack one is nothing new: a log grows columns.

    Args:
      needed: Columns that are read.
      absent: Of every file that declares its columns.
      span: The newest span.
      paths: Its files.

    Raises:
      IngestError: There are such columns.
    """
    gone: dict[bool, list[set[str]]] = {True: [], False: []}
    for path, columns in absent:
        gone[path in paths].append(columns)
    if not (gone[True] and gone[False]):
        return
    vanished = set(needed).intersection(*gone[True]) - set(needed).intersection(*gone[False])
    if vanished:
        which = ", ".join(map(repr, sorted(vanished, key=needed.index)))
        raise IngestError(
            f"no file of the newest span, {span}, has the column {which}, which files of earlier "
            "spans have: write the span again, or take the column out of the configuration"
        )


def _has_rows(config: IngestConfig, path: str, table: str) -> bool:
    """Whether there is more than a header in a file; of what cannot be told, that there is."""
    kind, settings = config.file_format(path, table), config.source.table(table)
    if kind == "parquet":
        pq = safe_parquet()
        try:
            return bool(pq.read_metadata(path).num_rows > 0)
        except (OSError, ValueError, RuntimeError):
            return True  # what is wrong with it is told where it is read
    if os.path.getsize(path) == 0:
        return False
    head = 1 if kind == "csv" and settings.csv is not None and settings.csv.header else 0
    lines = 0
    for block in plain_files.text_of(path, settings.encoding or "utf-8"):
        for line in io.BytesIO(block):
            lines += bool(line.strip())
            if lines > head:
                return True
    return False
