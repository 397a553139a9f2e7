"""Which files, and pieces of files, are of which part."""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.keyed_query import shape_of
from ranklite.components.log_example_gen.log_table import EARLIER
from ranklite.components.log_example_gen.parts import cut
from ranklite.components.log_example_gen.piece import Piece
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
    keys = keyed_tables(config)
    table = check_divisible(config) if config.source.query else LOGS
    tables = tuple(keys) or (table,)
    splits = tables_of_splits(config, matched)
    if config.source.query:
        _check_files(config, tables, splits, matched)
    inputs = {
        (split, each): [
            Input(split, path, os.path.getsize(path)) for path in of_split.get(each, ())
        ]
        for split, of_split in splits.items()
        for each in tables
    }
    sizes = {key: sum(each.size for each in of) for key, of in inputs.items()}
    total = sum(sizes.values())
    count = max(workers, -(-total // PART_BYTES))
    if not config.source.query:
        return [Group(table, [each for of in inputs.values() for each in of], count, "", {})]
    return [
        Group(
            each,
            of,
            max(1, round(count * sizes[key] / max(1, total)), -(-sizes[key] // PART_BYTES)),
            split,
            {}
            if keys
            else {
                (split, other): paths if other != table else ()
                for other, paths in splits[split].items()
            },
        )
        for key, of in inputs.items()
        for split, each in [key]
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
    tables: dict[str, set[str]] = {}
    for group in divided:
        for each in group.inputs:
            tables.setdefault(each.path, set()).add(group.table)
    return [
        cut.begin(config, group.table, path, borders)
        for group in divided
        for path, borders in group.large()
        if len(tables[path]) == 1  # others may be written otherwise
    ]


def tell_uncut(large: Sequence[cut.Large]) -> None:
    """Tells a person which files make a part larger than it should be."""
    for each in large:
        if len(each.pieces) < 2 and os.path.getsize(each.path) > PART_BYTES:
            why = each.refused or "nowhere does a row begin that a part could begin with"
            _log.warning("%s is not cut, and one worker reads all of it: %s", each.path, why)


def keyed_tables(config: IngestConfig) -> dict[str, str]:
    """Tables whose rows are divided by a key, the first one of the query first, and its column.

    None without `source.partition_by`.

    Raises:
      IngestError: The query needs rows of several keys at once.
    """
    if config.source.partition_by is None:
        return {}
    tables = {table.lower(): table for _, table, _ in config.all_globs()}
    keys = shape_of(config.source).keys
    return {tables[table]: key for table, key in keys.items() if table in tables}


def check_divisible(config: IngestConfig) -> str:
    """The table whose files are divided: the first one of the query.

    Raises:
      IngestError: The query needs several of its rows at once, or of several keys where the log is
        divided by one, or reads another table first.
    """
    first = shape_of(config.source).table
    tables = {table.lower(): table for _, table, _ in config.all_globs()}
    if first not in tables:
        raise IngestError(
            f"source.query: its FROM begins with {first!r}, which is no table of source.tables: "
            f"with {_how(config)}, the log's own table comes first, and is divided"
        )
    if config.split.by == "files" and tables[first] != LOGS:
        raise IngestError(
            f"source.query: its FROM begins with {first!r}, and with a split by files and "
            f"{_how(config)} it has to begin with {LOGS!r}, the table of each split's files"
        )
    return tables[first]


def _how(config: IngestConfig) -> str:
    return "an `engine`" if config.source.partition_by is None else "`source.partition_by`"


def _check_files(
    config: IngestConfig,
    tables: Sequence[str],
    splits: Mapping[str, Mapping[str, Sequence[str]]],
    matched: Matched,
) -> None:
    """Raises IngestError where rows would be read twice, or tables that are looked up are large."""
    of_first = {split: of_split.get(tables[0], ()) for split, of_split in splits.items()}
    later = {path for split, paths in of_first.items() if split != EARLIER for path in paths}
    if later.intersection(of_first.get(EARLIER, ())):
        raise IngestError(
            f"source.query: its FROM begins with {tables[0]!r}, whose file names have no span, and "
            f"the log grows by spans: with {_how(config)}, the table that has them comes first"
        )
    others = {
        path for (_, other), paths in matched.items() if other not in tables for path in paths
    }
    size = sum(map(os.path.getsize, others))
    if size > LOOKUP_BYTES:
        divided = ", ".join(map(repr, tables))
        key = config.source.partition_by
        raise IngestError(
            f"source.query: the tables besides {divided} have {size / 1e6:,.0f} MB, and with "
            f"{_how(config)} every worker reads them: up to {LOOKUP_BYTES / 1e6:,.0f} MB can be "
            f"looked up. Join the large ones by {repr(key) if key else 'the key of the log, '}"
            f"{'' if key else 'which source.partition_by names'}, join them beforehand, or leave "
            f"{'both `partition_by` and ' if key else ''}`engine` out"
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
