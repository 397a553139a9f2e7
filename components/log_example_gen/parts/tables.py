"""What a query's tables are, decided from all files before any part is read.

The type of a column of text is what every value of it keeps, in whichever file it stands; so is
whether a key that rows are looked up by has one row.
"""

from __future__ import annotations

from typing import NamedTuple

from ranklite.components.log_example_gen.keyed_query import shape_of
from ranklite.components.log_example_gen.limits import QueryLimit
from ranklite.components.log_example_gen.parts.divide import keyed_tables
from ranklite.components.log_example_gen.parts.work import Job, Stages, database
from ranklite.components.log_example_gen.query import TypedTables, make_tables
from ranklite.components.log_example_gen.query_shape import check_unique
from ranklite.components.log_example_gen.query_types import check_keys
from ranklite.components.log_example_gen.reader import Matched, tables_of_splits, told_of
from ranklite.components.log_example_gen.scans import Scan, scan

_QUERY = Scan("", "", "", {})  # in place of a file, where what is asked is of the query


class _TablesTask(NamedTuple):
    job: Job
    matched: Matched


def typed(stages: Stages, job: Job, matched: Matched) -> dict[str, TypedTables]:
    """The columns of each table, by split, as of `make_tables`.

    Args:
      stages: Runs the task, which reads all files of text.
      job: With a query.
      matched: All files.

    Raises:
      IngestError: A table cannot be made of its files, a key that rows are looked up by has several
        rows, or the key that they are divided by is absent or of a type that is none.
    """
    [result] = stages.run("tables", _typed, [_TablesTask(job, matched)], "tables")
    if isinstance(result, ValueError):
        raise result
    return result


def _typed(task: _TablesTask) -> dict[str, TypedTables] | ValueError:
    config, result = task.job.config, {}
    of_query, keys = shape_of(config.source), keyed_tables(config)
    with database(task.job) as (con, scratch):
        limit = QueryLimit(con, config.source)
        try:
            for split, tables in tables_of_splits(config, task.matched).items():
                scans: dict[str, list[Scan]] = {}
                for table, paths in tables.items():
                    for path in paths:
                        kind, how = config.file_format(path, table), config.source.table(table)
                        each = scan(con, path, kind, how, scratch, None)
                        scans.setdefault(table, []).append(each)
                result[split] = make_tables(con, config.source, scans)
                check_keys(con, keys)
                with limit.counting(), told_of(_QUERY):
                    for lookup in of_query.lookups:
                        check_unique(con, lookup, of_query.table)
        except ValueError as error:
            return error
    return result
