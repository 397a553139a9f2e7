"""How items are called, for a person."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from ranklite.components.log_example_gen import reader
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.log_table import LOG, ROW
from ranklite.models.features.sql import name


def item_labels(con: duckdb.DuckDBPyConnection, config: IngestConfig) -> pa.Table:
    """`item` and `label` as strings, an item a row; of several names the last in the log.

    Args:
      con: With the log.
      config: With `item_label`.
    """
    item = name(str(config.features.item))
    label = name(reader.table_column(config, str(config.item_label)))
    return con.sql(
        f"SELECT {item}::VARCHAR AS item, arg_max({label}, {ROW})::VARCHAR AS label FROM {LOG} "
        f"WHERE {item} IS NOT NULL AND {label} IS NOT NULL GROUP BY {item} ORDER BY 1"
    ).to_arrow_table()
