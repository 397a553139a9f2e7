"""The rows of some parts, as the table that the rest of ingestion reads."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb

from ranklite.components.log_example_gen import log_rows
from ranklite.components.log_example_gen.log_table import LOG, NUMBER, RAW, ROW, SPLIT, WRONG
from ranklite.components.log_example_gen.parts.work import Job, database
from ranklite.models.features.sql import quoted


@dataclasses.dataclass(frozen=True)
class LogPart:
    """Rows of a part, in files.

    Attributes:
      files: Parquet files, in the order of their rows.
      after: How many rows of the log come before them.
      before: Of a query: how many rows its result has in the parts before.
      complete: Whether they hold the columns of `LOG`, and not those of `LOADED`.
    """

    files: tuple[str, ...]
    after: int
    before: int = 0
    complete: bool = False


@dataclasses.dataclass(frozen=True)
class Log:
    """A log in parts.

    Attributes:
      job: What every task knows.
      parts: In the order of the log.
      split: SQL of a row's split.
    """

    job: Job
    parts: tuple[LogPart, ...]
    split: str = SPLIT

    def rows(self, number: int) -> str:
        """SQL of a part's rows, as `LOG` has them."""
        part = self.parts[number]
        files = f"read_parquet([{', '.join(map(quoted, part.files))}])"
        if part.complete:
            return f"SELECT * FROM {files}"
        raw = ""
        if self.job.config.source.query:
            raw = f" REPLACE ({log_rows.raw_of_part(part.before, NUMBER)} AS {RAW})"
        return (
            f"SELECT {self.split} AS {SPLIT}, * EXCLUDE ({SPLIT}) FROM (SELECT {NUMBER} + "
            f"{part.after} AS {ROW}, * EXCLUDE ({NUMBER}, {WRONG}){raw} FROM {files} "
            f"WHERE {WRONG} = '')"
        )

    @contextlib.contextmanager
    def opened(self, numbers: Sequence[int]) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A database with the view `LOG` of some parts, and a folder for what is written."""
        with database(self.job) as (con, scratch):
            rows = " UNION ALL ".join(f"({self.rows(number)})" for number in numbers)
            if rows:
                con.execute(f"CREATE VIEW {LOG} AS {rows}")
            yield con, scratch

    @contextlib.contextmanager
    def whole(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A database with the view `LOG` of all parts."""
        with self.opened(range(len(self.parts))) as (con, _):
            yield con


class PartTask(NamedTuple):
    """A part of a log, where a task needs no more."""

    log: Log
    number: int

    @classmethod
    def every(cls, log: Log) -> list[PartTask]:
        """One for each part."""
        return [cls(log, number) for number in range(len(log.parts))]
