"""The database that a log is read with: it sees the data folder and its own, and nothing else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

import duckdb

from ranklite.components.log_example_gen.log_table import REJECTED, SCHEMA
from ranklite.models.features.sql import quoted

MEMORY_LIMIT = "2GB"  # beyond it DuckDB spills to its temporary folder


def connect(data_root: str, work_dir: str) -> duckdb.DuckDBPyConnection:
    """Opens a database on disk that can read the data folder and nothing else.

    Args:
      data_root: The data folder.
      work_dir: Folder for the database and for what does not fit into memory.
    """
    con = duckdb.connect(os.path.join(work_dir, "ingest.duckdb"))
    con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    con.execute("SET preserve_insertion_order = true")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET autoinstall_known_extensions = false")
    con.execute("SET autoload_known_extensions = false")
    con.execute("SET enable_progress_bar = false")
    allowed = [os.path.realpath(data_root), os.path.realpath(work_dir)]
    con.execute(f"SET allowed_directories = [{', '.join(map(quoted, allowed))}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    con.execute(f"CREATE SCHEMA {SCHEMA}")
    con.execute(f"CREATE TABLE {REJECTED} (path VARCHAR, record BIGINT, problems VARCHAR)")
    return con


@contextlib.contextmanager
def opened(data_root: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A database for as long as a log is looked at, and the temporary folder that it is in."""
    with (
        tempfile.TemporaryDirectory(prefix="ranklite-") as work_dir,
        contextlib.closing(connect(data_root, work_dir)) as con,
    ):
        yield con, work_dir
