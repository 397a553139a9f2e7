"""The part of a configuration that says where the log is and how its files are written."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ranklite.models.config import Column, Name, Strict

Glob = Annotated[str, Field(min_length=1)]
Globs = Glob | tuple[Glob, ...]
LOGS = "logs"  # name of the only table where `files` is given
SqlType = Literal["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP"]


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"{encoding!r} is no encoding: write one such as utf-8, latin-1, cp1252 or utf-16"
        ) from None


Encoding = Annotated[str, AfterValidator(_known)]


class CsvConfig(Strict):
    """How CSV files are written.

    Attributes:
      delimiter: Between values; None takes what is most frequent in the first line of the file
        among `,`, tab, `;` and `|`.
      quote: Around values that hold a delimiter, a quote or a line break; "" where there is none.
      escape: Before a quote inside quotes.
      null: Texts that mean a missing value; an empty one always does.
      header: Whether the first line names the columns.
      columns: Their names, where it does not.
    """

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)
    escape: str = Field('"', max_length=1)
    null: tuple[str, ...] = ("",)
    header: bool = True
    columns: tuple[Column, ...] | None = None

    @model_validator(mode="after")
    def _names_without_header(self) -> CsvConfig:
        if self.header == (self.columns is not None):
            raise ValueError("`columns` names the columns exactly where `header` is false")
        return self


class TableConfig(Strict):
    """The files of a table, and how they are written.

    Attributes:
      files: Glob or list of globs, relative to the data folder.
      format: `csv`, `jsonl` or `parquet`; None goes by the file's name.
      csv: How CSV files are written; None takes `source.csv`.
      encoding: Of text files; None takes `source.encoding`.
    """

    files: Globs
    format: Literal["csv", "jsonl", "parquet"] | None = None
    csv: CsvConfig | None = None
    encoding: Encoding | None = None


class SourceConfig(Strict):
    """Where the log is.

    Attributes:
      files: Glob or list of globs, relative to the data folder. `{YYYY}`, `{MM}` and `{DD}`, or
        `{SPAN}` for a number, stand for the span that a file belongs to.
      tables: Several of them by name, for a query: globs, or a mapping with `files` and how these
        are written.
      query: SQL (DuckDB's) over the tables; the table of `files` is called `logs`.
      partition_by: Column of the table that the query's FROM begins with: its rows, and those of
        tables that are joined by it, are divided by the hash of it, and the query is asked of each
        share. So windows, groups and joins of this key are worked on share by share, on an
        `engine` by all workers, with the same result without one.
      types: SQL type of columns that the query reads. A column of a text file has, unless it stands
        here, the type that gives every value back as it was written, else it is text.
      format: `csv`, `jsonl` or `parquet`; None goes by the file's name.
      csv: How CSV files are written.
      encoding: Of text files.
      max_bad_rows: Share of rows that may be unreadable before the run stops.
      window: How many spans are trained on and judged, the newest ones; None takes all.
      past_window: How many spans before these are read where features are computed from earlier
        rows, and for that alone; None reads all that there are.
      query_seconds: How long the query may run, in all, before it is stopped: one without an end
        would never say so.
      spill_gigabytes: Most of the disk that is taken by what does not fit into memory while the log
        is read; None takes up to 90 % of what is free.
    """

    files: Globs | None = None
    tables: dict[Name, Globs | TableConfig] | None = None
    query: str | None = None
    partition_by: Column | None = None
    types: dict[Column, SqlType] = {}
    format: Literal["csv", "jsonl", "parquet"] | None = None
    csv: CsvConfig = CsvConfig()
    encoding: Encoding = "utf-8"
    max_bad_rows: float = Field(0.001, ge=0.0, lt=1.0)
    window: int | None = Field(None, ge=1)
    past_window: int | None = Field(None, ge=0)
    query_seconds: float = Field(3600.0, gt=0.0, allow_inf_nan=False)
    spill_gigabytes: float | None = Field(None, gt=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_way_to_name_files(self) -> SourceConfig:
        if self.files is not None and self.tables is not None:
            raise ValueError("give `files` or `tables`, not both")
        if self.tables is not None and self.query is None:
            raise ValueError("`tables` needs a `query` that joins them")
        if self.past_window is not None and self.window is None:
            raise ValueError("`past_window` counts spans before those of `window`: give both")
        if self.types and self.query is None:
            raise ValueError("`types` is for the columns that a `query` reads")
        if self.partition_by is not None and self.query is None:
            raise ValueError(
                "`partition_by` divides what a `query` reads: leave it out. Features of the past "
                "(history, aggregate) divide rows by keys of their own"
            )
        return self

    def globs(self) -> dict[str, tuple[str, ...]]:
        """The globs of each table."""
        tables = self.tables or ({LOGS: self.files} if self.files is not None else {})
        given = {n: t.files if isinstance(t, TableConfig) else t for n, t in tables.items()}
        return {name: (g,) if isinstance(g, str) else tuple(g) for name, g in given.items()}

    def table(self, name: str) -> TableConfig:
        """How the files of a table are written, all said."""
        given = (self.tables or {}).get(name)
        own = given if isinstance(given, TableConfig) else None
        return TableConfig(
            files=self.globs().get(name, ("*",)),
            format=(own and own.format) or self.format,
            csv=(own and own.csv) or self.csv,
            encoding=(own and own.encoding) or self.encoding,
        )
