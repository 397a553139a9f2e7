"""Examples, a file a task."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from ranklite.components.log_example_gen import writer
from ranklite.components.log_example_gen.log_table import LOG, PLACE, SPLIT
from ranklite.components.log_example_gen.parts import work
from ranklite.components.log_example_gen.parts.counts import Counts
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.parts.past import PastOfParts
from ranklite.components.log_example_gen.parts.shares import parquet
from ranklite.components.log_example_gen.point_in_time.state import place_sql
from ranklite.models.features.sql import name, quoted
from ranklite.models.features.tfrecords import ExampleFile


class Segment(NamedTuple):
    """Rows of a split that follow on each other in a part.

    Attributes:
      part: Its number.
      start: How many of the part's rows of the split come before.
      rows: How many.
      place: Of the first one, as of `state.place_sql`; None where it is not known yet.
    """

    part: int
    start: int
    rows: int
    place: int | None = None


class ShardTask(NamedTuple):
    """A file of Examples.

    Attributes:
      log: Its splits are assigned and negatives sampled.
      split: Whose it is.
      segments: Its rows.
      path: The file.
      past: Files of the columns that are computed from earlier rows, by number of their group.
    """

    log: Log
    split: str
    segments: list[Segment]
    path: str
    past: dict[int, list[str]]


def planned(log: Log, counts: Counts, folder_of: Callable[[str], str]) -> list[ShardTask]:
    """The files of all splits; where their rows are in the parts is not known yet.

    Args:
      log: Its splits are assigned and negatives sampled.
      counts: Of the same log.
      folder_of: Where the files of a split go; made if needed.
    """
    return [
        ShardTask(log, split, segments, os.path.join(os.path.abspath(folder_of(split)), file), {})
        for split in log.job.config.split_names
        for file, segments in _segments(log, counts, split)
    ]


def starts(tasks: Sequence[ShardTask], part: int) -> list[tuple[str, int]]:
    """Rows of a part that a file begins with, as of `PlaceTask`."""
    return [(t.split, s.start) for t in tasks for s in t.segments if s.part == part and s.start]


def placed(
    tasks: Sequence[ShardTask],
    places: Mapping[tuple[int, str, int], int],
    past: PastOfParts | None,
) -> list[ShardTask]:
    """The tasks, all known.

    Args:
      tasks: As of `planned`.
      places: By part, split and how many rows come before: the place of what `starts` returned.
      past: The columns that are computed from earlier rows, where there are any.
    """
    of_past = past.rows() if past is not None else {}
    return [
        task._replace(
            past=of_past,
            segments=[
                each._replace(place=places.get((each.part, task.split, each.start)))
                for each in task.segments
            ],
        )
        for task in tasks
    ]


def remove_others(tasks: Sequence[ShardTask]) -> None:
    """Removes what workers that were killed have left in the folders of the splits."""
    planned_ones = {task.path for task in tasks}
    for folder in {os.path.dirname(path) for path in planned_ones}:
        for file in os.listdir(folder):
            if os.path.join(folder, file) not in planned_ones:
                os.remove(os.path.join(folder, file))


def _segments(log: Log, counts: Counts, split: str) -> Iterator[tuple[str, list[Segment]]]:
    """The files of a split, and what rows each has."""
    most = log.job.shard_rows
    open_ones = [
        Segment(part, 0, of_split[split].rows)
        for part, of_split in enumerate(counts.by_part)
        if split in of_split
    ]
    for file in writer.shards(counts.splits[split].rows, most):
        left, chosen = most, []
        while left and open_ones:
            first = open_ones.pop(0)
            taken = min(left, first.rows)
            chosen.append(first._replace(rows=taken))
            left -= taken
            if taken < first.rows:
                rest = first._replace(start=first.start + taken, rows=first.rows - taken)
                open_ones.insert(0, rest)
        yield file, chosen


def write(task: ShardTask) -> None:
    """Writes a file."""
    with (
        concurrent.futures.ThreadPoolExecutor(task.log.job.threads) as pool,
        work.placed(task.path) as made,
        ExampleFile(made, pool) as file,
    ):
        waiting: list[pa.RecordBatch] = []
        for segment in task.segments:
            for batch in _rows(task, segment):
                waiting.append(batch)
                if sum(each.num_rows for each in waiting) >= writer.ROWS:
                    *full, rest = writer.cut(waiting)
                    for whole in full:
                        file.add(whole)
                    waiting = [rest]
        for last in writer.cut(waiting):
            if last.num_rows:
                file.add(last)


def _rows(task: ShardTask, segment: Segment) -> Iterator[pa.RecordBatch]:
    """The rows of a segment, as Examples have them."""
    config = task.log.job.config
    place = place_sql(config)
    with task.log.opened([segment.part]) as (con, _):
        columns = writer.of_examples(config)
        columns += [f"{place} AS {PLACE}"] if task.past else []
        from_here = f" AND {place} >= {segment.place}" if segment.place is not None else ""
        rows = (
            f"SELECT {', '.join(columns)} FROM {LOG} WHERE {SPLIT} = {quoted(task.split)}"
            f"{from_here} LIMIT {segment.rows}"
        )
        if task.past:
            con.execute(f"CREATE TABLE segment AS {rows}")
            [(first, last)] = con.execute(
                f"SELECT min({PLACE}), max({PLACE}) FROM segment"
            ).fetchall()
            of_past = ", ".join(name(column.name) for column in config.features.past_columns)
            joined = "".join(
                f" JOIN (SELECT * FROM {parquet(files)} WHERE place BETWEEN {first} AND {last}) "
                f"AS of_{number} ON {PLACE} = of_{number}.place"
                for number, files in task.past.items()
            )
            rows = (
                f"SELECT segment.* EXCLUDE ({PLACE}), {of_past} FROM segment{joined} "
                f"ORDER BY {PLACE}"
            )
        yield from con.sql(rows).to_arrow_reader(writer.ROWS)
