"""The database that a log is read with: it sees the data folder and its own, and nothing else."""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator

import duckdb

from ranklite.components.log_example_gen import limits
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import REJECTED, SCHEMA
from ranklite.components.log_example_gen.query_shape import ROW_ORDER
from ranklite.models.environment import cores
from ranklite.models.features.sql import quoted

WIDE = 500  # columns from which on what is quadratic in them takes longer than it saves
_QUADRATIC = ("common_subexpressions",)  # of 2,000 columns 18 of 21 seconds that a plan takes
MEGABYTES = 2048  # of memory, beyond which DuckDB spills to its temporary folder


def is_wide(config: IngestConfig) -> bool:
    """Whether what is read has very many columns."""
    return len(config.features.ingested_columns) > WIDE


def connect(
    config: IngestConfig,
    data_root: str,
    work_dir: str,
    megabytes: int = MEGABYTES,
    threads: int | None = None,
    readable: str = "",
    in_order: bool = False,
) -> duckdb.DuckDBPyConnection:
    """Opens a database that can read the data folder and nothing else.

    It is one in memory: its tables are written to the folder only as far as they take more than
    their share of it, and then as they are. A table on disk is compressed, which takes longer than
    all the rest of reading a log.

    Args:
      config: What is read: how much of it may be spilled, and how many columns it has.
      data_root: The data folder.
      work_dir: Folder for what does not fit into memory.
      megabytes: How much does.
      threads: How many work at once; None takes as many as there are cores.
      readable: Another folder that it can read; "" for none.
      in_order: Whether joins read the table that a query names first, and look others up.
    """
    con = duckdb.connect(":memory:")
    con.execute(f"SET memory_limit = '{megabytes}MB'")
    con.execute(f"SET temp_directory = {quoted(os.path.join(work_dir, 'spilled'))}")
    if (most := config.source.spill_gigabytes) is not None:
        con.execute(f"SET max_temp_directory_size = '{int(most * 1e9)}B'")
    con.execute(f"SET threads = {threads or cores()}")  # by itself it counts those it may not use
    con.execute("SET preserve_insertion_order = true")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET autoinstall_known_extensions = false")
    con.execute("SET autoload_known_extensions = false")
    con.execute("SET enable_progress_bar = false")
    folders = [os.path.realpath(folder) for folder in (data_root, work_dir, readable) if folder]
    # A file is named as a glob that matches it alone, and that is what DuckDB looks at.
    allowed = dict.fromkeys([*folders, *map(glob.escape, folders)])
    con.execute(f"SET allowed_directories = [{', '.join(map(quoted, allowed))}]")
    con.execute("SET enable_external_access = false")
    disabled = [*ROW_ORDER * in_order, *_QUADRATIC * is_wide(config)]
    con.execute(f"SET disabled_optimizers = {quoted(','.join(disabled))}")
    con.execute("SET lock_configuration = true")
    con.execute(f"CREATE SCHEMA {SCHEMA}")
    con.execute(f"CREATE TABLE {REJECTED} (path VARCHAR, record BIGINT, problems VARCHAR)")
    return con


@contextlib.contextmanager
def opened(
    config: IngestConfig, data_root: str, in_order: bool = False
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A database for as long as a log is looked at, and the temporary folder that it is in.

    Args:
      config: What is read.
      data_root: The data folder.
      in_order: As of `connect`.

    Raises:
      IngestError: Memory or the disk ran out.
    """
    with (
        limits.told(),
        tempfile.TemporaryDirectory(prefix="ranklite-") as work_dir,
        contextlib.closing(connect(config, data_root, work_dir, in_order=in_order)) as con,
    ):
        try:
            yield con, work_dir
        except BaseException:
            con.interrupt()  # closing would wait for what still runs
            raise
