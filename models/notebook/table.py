"""A pandas or Arrow table as the raw columns that features read, by the rules of ingest."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.sql import name, quoted
from ranklite.models.features.sql_values import Unconvertible, joined, problem, problems

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1024  # an Arrow batch


class UnreadableTable(ValueError):
    """A table lacks a column, or holds values that are not of its feature's type."""


def raw_batches(
    table: pa.Table | pd.DataFrame, features: FeatureSet, *, labelled: bool = True
) -> list[pa.RecordBatch]:
    """The label and the raw columns of a table, in its order of rows.

    Values are read as LogExampleGen reads them from a log, by the same SQL: integers that stand in
    texts are read, texts are split where the feature has a `separator`, "" is missing.

    Args:
      table: A row an example; other columns are ignored.
      features: What to read.
      labelled: Whether the table has the label; otherwise every row is given the label 0.

    Raises:
      UnreadableTable: A column is absent, a value is not of its type, or a label is neither 0
        nor 1; the message names the first row.
    """
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    if not labelled:
        table = table.drop([features.label] if features.label in table.column_names else [])
        table = table.append_column(features.label, pa.array([0.0] * table.num_rows, pa.float32()))
    with tempfile.TemporaryDirectory(prefix="ranklite-") as folder, duckdb.connect() as con:
        # Through a file, since DuckDB reads the tables of newer releases of Arrow only.
        path = os.path.join(folder, "given.parquet")
        pq.write_table(table, path)
        con.execute(f"CREATE VIEW given AS SELECT * FROM read_parquet({quoted(path)})")
        described = con.execute("DESCRIBE SELECT * FROM given").fetchall()
        types = {row[0]: row[1] for row in described}
        columns, reasons = _select(features, types)
        con.execute(
            f"CREATE TABLE typed AS SELECT {', '.join(columns)}, "
            f"{joined(reasons)} AS ranklite_bad FROM given"
        )
        _check(con, features)
        reader = con.sql("SELECT * EXCLUDE (ranklite_bad) FROM typed").to_arrow_reader(ROWS)
        return [batch for batch in reader if batch.num_rows]


def _select(features: FeatureSet, types: dict[str, str]) -> tuple[list[str], list[str]]:
    """SQL of each column, and of what is wrong with a row."""
    absent = [column for column in features.input_columns if column not in types]
    if absent:
        raise UnreadableTable(
            f"the table has no column {', '.join(map(repr, absent))}; it has {', '.join(types)}"
        )
    label = f"TRY_CAST({name(features.label)} AS DOUBLE)"
    columns = [f"{label} AS {name(features.label)}"]
    wrong = problem(features.label, "neither 0 nor 1", name(features.label))
    reasons = [f"CASE WHEN coalesce({label}, -1) NOT IN (0, 1) THEN {wrong} END"]
    read = {column.name: column for column in features.raw_columns}
    for column in features.input_columns:
        if column == features.label:
            continue
        of_role = RawColumn(column, "string")  # of the user or a slice
        try:
            value, reason = read.get(column, of_role).sql(types[column])
        except Unconvertible as error:
            raise UnreadableTable(str(error)) from None
        columns.append(f"{value} AS {name(column)}")
        reasons += [reason] if reason else []
    return columns, reasons


def _check(con: duckdb.DuckDBPyConnection, features: FeatureSet) -> None:
    first: Any = con.execute(
        "SELECT number, ranklite_bad FROM (SELECT row_number() OVER () - 1 AS number, ranklite_bad "
        "FROM typed) WHERE ranklite_bad != '' ORDER BY number LIMIT 1"
    ).fetchone()
    if first is not None:
        [(count,)] = con.execute("SELECT count(*) FROM typed WHERE ranklite_bad != ''").fetchall()
        shown = "; ".join(": ".join(filter(None, each)) for each in problems(first[1]))
        raise UnreadableTable(f"{count} rows cannot be read; row {first[0]}: {shown}")
    [(rows,)] = con.execute("SELECT count(*) FROM typed").fetchall()
    if not rows:
        raise UnreadableTable("the table has no rows")
