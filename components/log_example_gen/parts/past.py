"""Features of the past: rows are divided by the hash of their keys, and a task takes a share.

A share has all rows of each of its keys, so that what a row may know of the rows before it is found
there, as it is in one piece. Where the start of the user's session is asked for by rows that are
not divided by user, it is found beforehand, and joined.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.components.log_example_gen import writer
from ranklite.components.log_example_gen.log_table import EARLIER
from ranklite.components.log_example_gen.parts import shares
from ranklite.components.log_example_gen.parts.counts import Counts
from ranklite.components.log_example_gen.parts.log import Log
from ranklite.components.log_example_gen.parts.shares import Group
from ranklite.components.log_example_gen.parts.work import Stages, placed
from ranklite.components.log_example_gen.point_in_time import columns as whole
from ranklite.components.log_example_gen.point_in_time.state import Totals
from ranklite.components.log_example_gen.point_in_time.views import differing
from ranklite.models.features.past import KEY
from ranklite.models.features.sql import name


class PastOfParts(NamedTuple):
    """The columns of the past of all rows, in files.

    Attributes:
      totals: What is known of all rows.
      groups: The columns, by key.
      files: Of each group: Parquet files of places and columns.
      stored: By feature, the state of its keys at the end of the log.
    """

    totals: Totals
    groups: list[Group]
    files: list[list[shares.Computed]]
    stored: dict[str, pa.Table]

    def rows(self) -> dict[int, list[str]]:
        """Files of places and columns, by number of the group."""
        return {n: [each.rows for each in files if each.rows] for n, files in enumerate(self.files)}

    def views(self) -> dict[int, list[str]]:
        """The same of the columns in other states."""
        of_groups = {n: [e.views for e in files if e.views] for n, files in enumerate(self.files)}
        return {number: files for number, files in of_groups.items() if files}


def compute(stages: Stages, log: Log, counts: Counts) -> PastOfParts:
    """Computes the columns of the past of all rows.

    Args:
      stages: Runs the tasks.
      log: Its splits are assigned and negatives sampled.
      counts: Of the same log.

    Raises:
      IngestError: Of a split by files, one begins before the one before it ends.
    """
    config, shown = log.job.config, "the past"
    spans = {s: (c.first, c.last) for s, c in counts.splits.items()}
    whole.check_order(spans, config)  # type: ignore[arg-type]
    totals = _totals(log, counts)
    groups = shares.grouped(config)
    starts: list[str] = []
    if any(group.joins_sessions for group in groups):
        user = str(config.features.user)
        of_users = [
            shares.DivideTask(log, part, "users", (user,), ()) for part, _ in enumerate(log.parts)
        ]
        folders = stages.run("users", shares.divide, of_users, shown)
        found = [shares.SessionTask(log, folders, bucket) for bucket in range(log.job.buckets)]
        starts = [file for file in stages.run("sessions", shares.sessions, found, shown) if file]
    tasks = [
        shares.DivideTask(
            log, part, str(number), group.hashed, group.read, tuple(starts * group.joins_sessions)
        )
        for number, group in enumerate(groups)
        for part, _ in enumerate(log.parts)
    ]
    folders = stages.run("keys", shares.divide, tasks, shown)
    of_group = [folders[k : k + len(log.parts)] for k in range(0, len(tasks), len(log.parts))]
    shares_of = [
        shares.ShareTask(log, number, group, of_group[number], bucket, totals)
        for number, group in enumerate(groups)
        for bucket in range(log.job.buckets if group.hashed else 1)
    ]
    computed = stages.run("past", shares.compute, shares_of, shown)
    files: list[list[shares.Computed]] = [[] for _ in groups]
    for task, result in zip(shares_of, computed, strict=True):
        files[task.number] += [result] if result is not None else []
    return PastOfParts(totals, groups, files, _stored(files))


def _totals(log: Log, counts: Counts) -> Totals:
    """What is known of all rows, from what each part has."""
    every = list(counts.splits.values())
    before, judged = counts.splits.get(EARLIER), counts.splits[log.job.judged]
    return Totals(
        min(each.first for each in every if each.first is not None),
        max(each.last for each in every if each.last is not None) + 1,
        before.rows if before else 0,
        judged.first,
        {of: total.mean() for of, total in counts.rated.items()},
    )


def _stored(files: Sequence[Sequence[shares.Computed]]) -> dict[str, pa.Table]:
    """The state of all keys at the end of the log, in their order, and behind them of no key."""
    result = {}
    for of_group in files:
        for feature in of_group[0].stored:
            tables = [pq.read_table(each.stored[feature]) for each in of_group]
            keys = [table.slice(0, table.num_rows - 1) for table in tables]
            nobody = tables[0].slice(tables[0].num_rows - 1)
            ordered = pa.concat_tables(keys).sort_by([(KEY, "ascending")])
            result[feature] = pa.concat_tables([ordered, nobody])
    return result


class ViewsTask(NamedTuple):
    """Writes the judged rows' columns in other states.

    Attributes:
      log: Whose.
      groups: The columns, by key.
      files: Of the groups that have any in other states, by number.
      path: The file.
    """

    log: Log
    groups: list[Group]
    files: dict[int, list[str]]
    path: str


def write_views(task: ViewsTask) -> None:
    """Writes a file, as of `writer.write_views`."""
    config = task.log.job.config
    with (
        task.log.opened([]) as (con, _),
        placed(task.path) as path,
        contextlib.ExitStack() as stack,
    ):
        chosen = [
            f"of_{number}.{name(f'{view.name}/{column.name}')}"
            for view, column in differing(config.features, config.features.past_columns)
            for number, group in enumerate(task.groups)
            if column in group.columns
        ]
        joined = " JOIN ".join(
            f"{shares.parquet(files)} AS of_{number}" + " USING (place)" * (k > 0)
            for k, (number, files) in enumerate(task.files.items())
        )
        out = None
        batches = con.sql(f"SELECT {', '.join(chosen)} FROM {joined} ORDER BY place")
        for batch in batches.to_arrow_reader(writer.ROWS):
            table = pa.table(shares.with_plain_lists(batch))
            out = out or stack.enter_context(pq.ParquetWriter(path, table.schema))
            out.write_table(table)
