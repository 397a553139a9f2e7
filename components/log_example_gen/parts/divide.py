"""Which files, and pieces of files, are of which part."""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import EARLIER
from ranklite.components.log_example_gen.parts import cut
from ranklite.components.log_example_gen.piece import Piece
from ranklite.components.log_example_gen.query_shape import shape
from ranklite.components.log_example_gen.reader import NO_PIECES, Matched, tables_of_splits
from ranklite.components.log_example_gen.source import LOGS

PART_BYTES = 1 << 29  # of a part, so that a worker's tables stay small however large the log is
CUT_BYTES = 1 << 24  # of a piece of a file at the least: a smaller one is read sooner than divided
LOOKUP_BYTES = 1 << 28  # of the files of all other tables, which every worker reads
_log = logging.getLogger(__name__)


class Input(NamedTuple):
    """A file of the log, or a piece of one, in its place.

    Attributes:
      split: As of `reader.tables_of_splits`.
      path: The file.
      size: In bytes.
      piece: What is read of it; None for all.
    """

    split: str
    path: str
    size: int
    piece: Piece | None = None


class PartFiles(NamedTuple):
    """The files of a part.

    Attributes:
      matched: As of `IngestConfig.matching_files`.
      split: Of a query the split that its result is of, "" where it is not by files.
      pieces: What is read of files that are cut, by path.
    """

    matched: Matched
    split: str = ""
    pieces: Mapping[str, Piece] = NO_PIECES


class Group(NamedTuple):
    """Files that are divided together: all of the log, or of a query those of a split.

    Attributes:
      table: Whose they are.
      inputs: In the order of the log.
      at_most: How many parts they are to be.
      split: As of `PartFiles`.
      others: Of a query: the files of all tables, but for those that are divided.
    """

    table: str
    inputs: list[Input]
    at_most: int
    split: str
    others: Matched

    def large(self) -> Iterator[tuple[str, list[int]]]:
        """Files that are larger than an even part, and the bytes where even parts would begin."""
        total, before = sum(each.size for each in self.inputs), 0
        often = collections.Counter(each.path for each in self.inputs)
        often.update(path for paths in self.others.values() for path in paths)
        for each in self.inputs:
            if each.size * self.at_most > total and often[each.path] == 1:
                borders = [0]
                for number in range(1, self.at_most):
                    border = total * number // self.at_most - before
                    if borders[-1] + CUT_BYTES <= border <= each.size - CUT_BYTES:
                        borders.append(border)
                if len(borders) > 1:
                    yield each.path, borders[1:]
            before += each.size


def groups(config: IngestConfig, matched: Matched, workers: int) -> list[Group]:
    """The files that are divided, and into how many parts: one a worker, or more where large.

    Args:
      config: What is read.
      matched: As of `IngestConfig.matching_files`.
      workers: How many work at once.

    Raises:
      IngestError: Of a query, it cannot be divided, or other tables are large.
    """
    table = check_divisible(config) if config.source.query else LOGS
    splits = tables_of_splits(config, matched)
    every = {split: tables.get(table, ()) for split, tables in splits.items()}
    if config.source.query:
        _check_files(table, every, matched)
    inputs = {
        split: [Input(split, path, os.path.getsize(path)) for path in paths]
        for split, paths in every.items()
    }
    sizes = {split: sum(each.size for each in of_split) for split, of_split in inputs.items()}
    total = sum(sizes.values())
    count = max(workers, -(-total // PART_BYTES))
    if not config.source.query:
        return [Group(table, [each for of in inputs.values() for each in of], count, "", {})]
    return [
        Group(
            table,
            of_split,
            max(1, round(count * sizes[split] / max(1, total)), -(-sizes[split] // PART_BYTES)),
            split,
            {
                (split, other): paths if other != table else ()
                for other, paths in splits[split].items()
            },
        )
        for split, of_split in inputs.items()
    ]


def parts(
    divided: Sequence[Group], pieces: Mapping[str, Sequence[tuple[Piece, int]]]
) -> list[PartFiles]:
    """The files of each part, in the order of the log; those of other tables are of every part.

    There are never more parts than files and pieces. Of a query, a part is of one split.

    Args:
      divided: As of `groups`.
      pieces: As of `cut.pieces`.
    """
    result = []
    for group in divided:
        inputs = [
            each
            for whole in group.inputs
            for each in [
                whole._replace(size=size, piece=piece) for piece, size in pieces.get(whole.path, ())
            ]
            or [whole]
        ]
        for run in runs([each.size for each in inputs], group.at_most):
            matched = {key: list(paths) for key, paths in group.others.items()}
            of_part: dict[str, Piece] = {}
            for each in (inputs[number] for number in run):
                files = matched.setdefault((each.split, group.table), [])
                if each.piece is not None and each.path in of_part:
                    of_part[each.path] = of_part[each.path].up_to(each.piece)
                else:
                    files.append(each.path)
                    of_part |= {each.path: each.piece} if each.piece is not None else {}
            cut_ones = {p: e for p, e in of_part.items() if not _is_whole(e, pieces[p])}
            result.append(PartFiles(matched, group.split, cut_ones))
    return result


def _is_whole(piece: Piece, of_file: Sequence[tuple[Piece, int]]) -> bool:
    return (piece.start, piece.end) == (of_file[0][0].start, of_file[-1][0].end)


def large_files(config: IngestConfig, divided: Sequence[Group]) -> list[cut.Large]:
    """The files that are cut, as far as they can be."""
    return [
        cut.begin(config, group.table, path, borders)
        for group in divided
        for path, borders in group.large()
    ]


def tell_uncut(large: Sequence[cut.Large]) -> None:
    """Tells a person which files make a part larger than it should be."""
    for each in large:
        if len(each.pieces) < 2 and os.path.getsize(each.path) > PART_BYTES:
            why = each.refused or "nowhere does a row begin that a part could begin with"
            _log.warning("%s is not cut, and one worker reads all of it: %s", each.path, why)


def check_divisible(config: IngestConfig) -> str:
    """The table whose files are divided: the first one of the query.

    Raises:
      IngestError: The query needs several of its rows at once, or reads another table first.
    """
    first = shape(str(config.source.query)).table
    tables = {table.lower(): table for _, table, _ in config.all_globs()}
    if first not in tables:
        raise IngestError(
            f"source.query: its FROM begins with {first!r}, which is no table of source.tables: "
            "with an `engine`, the log's own table comes first, and is divided"
        )
    if config.split.by == "files" and tables[first] != LOGS:
        raise IngestError(
            f"source.query: its FROM begins with {first!r}, and with a split by files and an "
            f"`engine` it has to begin with {LOGS!r}, the table of each split's files"
        )
    return tables[first]


def _check_files(table: str, every: Mapping[str, Sequence[str]], matched: Matched) -> None:
    """Raises IngestError where rows would be read twice, or other tables are large."""
    later = {path for split, paths in every.items() if split != EARLIER for path in paths}
    if later.intersection(every.get(EARLIER, ())):
        raise IngestError(
            f"source.query: its FROM begins with {table!r}, whose file names have no span, and the "
            "log grows by spans: with an `engine`, the table that has them comes first"
        )
    others = {path for (_, other), paths in matched.items() if other != table for path in paths}
    size = sum(map(os.path.getsize, others))
    if size > LOOKUP_BYTES:
        raise IngestError(
            f"source.query: the tables besides {table!r} have {size / 1e6:,.0f} MB, and with an "
            f"`engine` every worker reads them: up to {LOOKUP_BYTES / 1e6:,.0f} MB can be looked "
            "up. Join the large ones beforehand, or leave `engine` out"
        )


def runs(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Numbers of things in runs of about the same size, none of them empty.

    Example:
        >>> runs([9, 1, 8], 2)
        [[0], [1, 2]]
    """
    result: dict[int, list[int]] = {}
    total, before = sum(sizes) or 1, 0
    for number, size in enumerate(sizes):
        middle = before + size / 2
        result.setdefault(min(int(middle * count / total), count - 1), []).append(number)
        before += size
    return list(result.values())
