"""Where rows of a part are, found in one look at it."""

from __future__ import annotations

from typing import NamedTuple

from ranklite.components.log_example_gen import log_rows
from ranklite.components.log_example_gen.log_table import LOG, SPLIT
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.point_in_time.state import place_sql
from ranklite.models.features.sql import quoted


class PlaceTask(NamedTuple):
    """What is looked for in a part.

    Attributes:
      log: Its splits are assigned and negatives sampled.
      part: Number of the part.
      starts: Rows, by how many of the part's rows of their split come before.
      rows: Rows of the judged split, by their numbers in the log, in order.
    """

    log: Log
    part: int
    starts: list[tuple[str, int]]
    rows: list[int]


class Places(NamedTuple):
    """What was found.

    Attributes:
      starts: The place of each row, as of `state.place_sql`.
      examples: By number of the row: how many Examples of the part's come before.
    """

    starts: list[int]
    examples: dict[int, int]


def find(task: PlaceTask) -> Places:
    """Finds the rows of a part."""
    job = task.log.job
    with task.log.opened([task.part]) as (con, _):
        starts = []
        for split, before in task.starts:
            [(place,)] = con.execute(
                f"SELECT {place_sql(job.config)} FROM {LOG} WHERE {SPLIT} = {quoted(split)} "
                f"LIMIT 1 OFFSET {before}"
            ).fetchall()
            starts.append(place)
        examples = log_rows.examples_of(con, task.rows, job.judged) if task.rows else {}
    return Places(starts, examples)
