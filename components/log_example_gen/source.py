"""The part of a configuration that says where the log is and how its files are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ranklite.models.config import Name, Strict

Glob = Annotated[str, Field(min_length=1)]
LOGS = "logs"  # name of the only table where `files` is given


class CsvConfig(Strict):
    """How CSV files are written.

    Attributes:
      delimiter: Between values; None finds it out.
      quote: Around values that hold a delimiter.
      escape: Before a quote inside quotes.
      null: Texts that mean a missing value.
      header: Whether the first line names the columns.
      columns: Their names, where it does not.
    """

    delimiter: str | None = Field(None, min_length=1, max_length=4)
    quote: str | None = Field(None, max_length=1)
    escape: str | None = Field(None, max_length=1)
    null: tuple[str, ...] = ("",)
    header: bool = True
    columns: tuple[Name, ...] | None = None

    @model_validator(mode="after")
    def _names_without_header(self) -> CsvConfig:
        if self.header == (self.columns is not None):
            raise ValueError("`columns` names the columns exactly where `header` is false")
        return self


class SourceConfig(Strict):
    """Where the log is.

    Attributes:
      files: Glob or list of globs, relative to the data folder. `{YYYY}`, `{MM}` and `{DD}`, or
        `{SPAN}` for a number, stand for the span that a file belongs to.
      tables: Several of them by name, for a query.
      query: SQL (DuckDB's) over the tables; the table of `files` is called `logs`.
      format: `csv`, `jsonl` or `parquet`; None goes by the file's name.
      csv: How CSV files are written.
      max_bad_rows: Share of rows that may be unreadable before the run stops.
      window: How many spans a run reads, the newest ones; None reads all.
      engine: `duckdb` on one machine; `beam` reads Parquet with TFX's own ExampleGen.
    """

    files: Glob | tuple[Glob, ...] | None = None
    tables: dict[Name, Glob | tuple[Glob, ...]] | None = None
    query: str | None = None
    format: Literal["csv", "jsonl", "parquet"] | None = None
    csv: CsvConfig = CsvConfig()
    max_bad_rows: float = Field(0.001, ge=0.0, lt=1.0)
    window: int | None = Field(None, ge=1)
    engine: Literal["duckdb", "beam"] = "duckdb"

    @model_validator(mode="after")
    def _one_way_to_name_files(self) -> SourceConfig:
        if self.files is not None and self.tables is not None:
            raise ValueError("give `files` or `tables`, not both")
        if self.tables is not None and self.query is None:
            raise ValueError("`tables` needs a `query` that joins them")
        return self

    def globs(self) -> dict[str, tuple[str, ...]]:
        """The globs of each table."""
        tables = self.tables or ({LOGS: self.files} if self.files is not None else {})
        return {name: (g,) if isinstance(g, str) else tuple(g) for name, g in tables.items()}
